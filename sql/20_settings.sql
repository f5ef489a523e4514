CREATE OR REPLACE VIEW sys.ml_settings AS
SELECT d.name, coalesce(s.value, d.value) AS value, d.value AS default_value, d.unit, d.description
FROM (VALUES
    ('training_memory',  4096, 'MB', 'memory that one training process may use'),
    ('training_threads', 0,    '',   'threads of one training process; 0: one per core'),
    ('training_seconds', 0,    's',  'time that one training process may take; 0: no limit'),
    ('audit_seconds',    60,   's',  'time that the audit of a foreign model may take'),
    ('audit_memory',     4096, 'MB', 'memory that the audit of a foreign model may use'),
    ('cache_size',       256,  'MB', 'loaded models that one session keeps in memory'),
    ('import_size',      4096, 'MB', 'largest model that can be imported, unpacked')
) AS d (name, value, unit, description)
LEFT JOIN sys._setting AS s USING (name);
COMMENT ON VIEW sys.ml_settings IS 'Limits of mlshare, with their defaults';

CREATE OR REPLACE PROCEDURE sys.ml_set(setting_name text, setting_value bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sys.ml_settings WHERE name = setting_name) THEN
        RAISE EXCEPTION 'unknown setting "%"', setting_name
            USING ERRCODE = 'ML001', HINT = 'SELECT * FROM sys.ml_settings lists them.';
    END IF;
    IF setting_value IS NULL THEN
        DELETE FROM sys._setting WHERE name = setting_name;
    ELSE
        INSERT INTO sys._setting VALUES (setting_name, setting_value)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    END IF;
END
$$;
COMMENT ON PROCEDURE sys.ml_set(text, bigint) IS
    'Changes a limit of mlshare for the whole database (administrators); NULL restores the default';
