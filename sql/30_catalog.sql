-- A role's catalog is a schema of its own with ordinary tables. Only making the schema needs a right that
-- ordinary roles lack, so only that is done by a SECURITY DEFINER function; the tables are made by the role itself.

CREATE OR REPLACE FUNCTION sys._catalog_schema(role name) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'ml_schema_' || role;
COMMENT ON FUNCTION sys._catalog_schema(name) IS 'Name of a role''s model catalog';

CREATE OR REPLACE FUNCTION sys._owner_door(role name) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN '_as_owner_' || role;
COMMENT ON FUNCTION sys._owner_door(name) IS 'Name of the function in sys that reads a role''s catalog with that role''s rights';

CREATE OR REPLACE FUNCTION sys._create_catalog_schema() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The role that the session acts as. current_user is the definer here, and an argument could name anybody.
    role name := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
    door text := format('sys.%I()', sys._owner_door(role));
BEGIN
    IF octet_length(sys._catalog_schema(role)) > 63 THEN
        RAISE EXCEPTION 'role "%" cannot have a model catalog: its name is longer than 53 bytes', role
            USING ERRCODE = 'ML006', HINT = 'Rename the role, or let a role with a shorter name own the models.';
    END IF;
    -- IF NOT EXISTS looks before it waits for another session of the role: whoever is second waits first.
    PERFORM pg_advisory_xact_lock(hashtext('mlshare'), quote_ident(role)::regrole::oid::integer);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', sys._catalog_schema(role), role);
    -- The door through which the role's shared models are read by others: it runs as the role, takes nothing and
    -- returns nothing. What to do was left in memory by a routine that checks privileges; see docs/security.md.
    EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS void LANGUAGE plpython3u VOLATILE SECURITY DEFINER '
                   'SET search_path = pg_catalog, pg_temp AS %L', door,
                   'GD.get("mlshare") or plpy.execute("SELECT sys._start()")' || E'\n' ||
                   'return GD["mlshare"]._as_owner()');
    EXECUTE format('ALTER FUNCTION %s OWNER TO %I', door, role);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', door);
END
$$;
COMMENT ON FUNCTION sys._create_catalog_schema() IS
    'Makes the schema of the acting role''s catalog and the door to it, both owned by the role, and nothing else';

CREATE OR REPLACE PROCEDURE sys.ml_create_or_upgrade_catalog()
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_create_or_upgrade_catalog()
$python$;
COMMENT ON PROCEDURE sys.ml_create_or_upgrade_catalog() IS
    'Makes the calling role''s model catalog, or brings it up to date; routines that store a model do so by themselves';

CREATE OR REPLACE PROCEDURE sys.ml_model_drop(model_handle text)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_drop(model_handle)
$python$;
COMMENT ON PROCEDURE sys.ml_model_drop(text) IS 'Drops a model with its object and its privileges';
