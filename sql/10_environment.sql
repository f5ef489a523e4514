-- The bridge to Python. Every routine's body is two lines: start the session's Python side if need be,
-- call the function of the same name.

CREATE OR REPLACE FUNCTION sys._version() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN '@@VERSION@@';
COMMENT ON FUNCTION sys._version() IS 'Version of the SQL side of mlshare';

CREATE OR REPLACE FUNCTION sys._start() RETURNS void
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
import sys
hint = ("Put the bin directory of mlshare's virtual environment first in the PATH of the PostgreSQL server "
        "and restart it (docs/operations.md).")
preload = sys.modules.get("mlshare.preload")
if preload and preload.is_stale():
    plpy.error("mlshare was installed anew since this server started", sqlstate="ML900",
               detail="With mlshare_preload, sessions inherit the modules that were there when the server started.",
               hint="Restart the server.")
try:
    import mlshare.routines
except ModuleNotFoundError as e:
    plpy.error(f"mlshare is not installed correctly: Python {sys.version.split()[0]} of this server cannot find "
               f"module {e.name}", detail=f"sys.prefix is {sys.prefix}", hint=hint, sqlstate="ML900")
mlshare.routines.check_environment()
GD["mlshare"] = mlshare.routines
$python$;
COMMENT ON FUNCTION sys._start() IS 'Loads and checks the Python side, once per session';

-- A real is read as it is written, whatever the session prints.
CREATE OR REPLACE FUNCTION sys._in_snapshot() RETURNS void
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._in_snapshot()
$python$;
COMMENT ON FUNCTION sys._in_snapshot() IS
    'Runs the work a routine has left in memory; STABLE, so that all its reads see the snapshot of the calling statement';

CREATE OR REPLACE FUNCTION sys._create_key() RETURNS void
LANGUAGE plpython3u VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._create_key()
$python$;
COMMENT ON FUNCTION sys._create_key() IS 'Makes the key that signs stored models, if the server has none yet';

CREATE OR REPLACE FUNCTION sys._base_type(domain oid) RETURNS oid
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE base (oid, typtype, typbasetype) AS (
        SELECT t.oid, t.typtype, t.typbasetype FROM pg_type AS t WHERE t.oid = domain
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype FROM base JOIN pg_type AS t ON t.oid = base.typbasetype
        WHERE base.typtype = 'd'
    )
    SELECT base.oid FROM base WHERE base.typtype <> 'd';
END;
COMMENT ON FUNCTION sys._base_type(oid) IS 'The type under a domain';
