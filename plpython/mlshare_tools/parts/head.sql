-- The head of the installation script: pins names, takes the lock, finds out where this database stands.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
-- As CREATE EXTENSION does, so that the order of functions does not matter.
SET LOCAL check_function_bodies = off;

-- One installer at a time; the next one waits here and then finds everything done.
DO $head$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('mlshare installation', 0)); END $head$;

DO $head$
DECLARE
    is_extension boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'mlshare');
    is_member boolean := EXISTS (
        SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'mlshare'
          AND d.classid = 'pg_class'::regclass AND d.objid = to_regclass('sys._migration'));
    newer text;
BEGIN
    IF to_regclass('sys._migration') IS NULL THEN
        -- No IF NOT EXISTS: a schema of this name that someone else made is refused.
        CREATE SCHEMA sys;
        CREATE TABLE sys._migration (
            name text PRIMARY KEY,
            version text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT statement_timestamp(),
            body_sha256 text NOT NULL
        );
        COMMENT ON SCHEMA sys IS 'mlshare: machine-learning routines and views';
        COMMENT ON TABLE sys._migration IS 'The migrations this database has seen; row "sql" is the version installed.';
        RETURN;
    END IF;
    IF is_extension AND NOT is_member THEN
        RAISE EXCEPTION 'mlshare is already installed in this database without CREATE EXTENSION'
            USING ERRCODE = 'duplicate_object', HINT = 'Upgrade it with "mlshare migrate".';
    END IF;
    SELECT version INTO newer FROM sys._migration
    WHERE name = 'sql'
      AND string_to_array(substring(version FROM '^[0-9.]+'), '.')::int[]
          > string_to_array(substring('@@VERSION@@' FROM '^[0-9.]+'), '.')::int[];
    IF newer IS NOT NULL THEN
        RAISE EXCEPTION 'this database has mlshare %, which is newer than @@VERSION@@', newer
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Install mlshare ' || newer || ' or later.';
    END IF;
END
$head$;
