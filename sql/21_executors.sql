-- Where partitions may be fitted beside this machine. Only an administrator names such a place: a Dask client trusts
-- its scheduler, so an address from a caller would be a way to run code here.
CREATE OR REPLACE VIEW sys.ml_executors AS
SELECT name, address, ca, certificate, key FROM sys._executor;
COMMENT ON VIEW sys.ml_executors IS
    'Clusters that partitions may be fitted on: address of the scheduler, files of the certificates on this server';

CREATE OR REPLACE PROCEDURE sys.ml_executor_set(executor_name text, address text, ca text, certificate text, key text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF address IS NULL THEN
        DELETE FROM sys._executor WHERE name = executor_name;
        RETURN;
    END IF;
    INSERT INTO sys._executor AS e VALUES (executor_name, address, ca, certificate, key)
    ON CONFLICT (name) DO UPDATE
    SET address = excluded.address, ca = excluded.ca, certificate = excluded.certificate, key = excluded.key;
END
$$;
COMMENT ON PROCEDURE sys.ml_executor_set(text, text, text, text, text) IS
    'Names a Dask cluster that models may be built on (administrators): scheduler tls://host:port, and files with the CA, certificate and key; a NULL address removes it';
