-- mlshare @@VERSION@@ without CREATE EXTENSION: run the whole file as a superuser, in psql or with "mlshare migrate".
BEGIN;
DO $plain$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('mlshare installation', 0));
    IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'mlshare') THEN
        RAISE EXCEPTION 'mlshare is installed in this database as an extension'
            USING ERRCODE = 'duplicate_object', HINT = 'Use ALTER EXTENSION mlshare UPDATE.';
    END IF;
    -- The lock makes the check safe; IF NOT EXISTS would send a notice on each run.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'plpython3u') THEN
        CREATE EXTENSION plpython3u;
    END IF;
END
$plain$;
