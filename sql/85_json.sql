CREATE OR REPLACE FUNCTION sys.json_object(VARIADIC "any") RETURNS jsonb
LANGUAGE internal STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'jsonb_build_object';
CREATE OR REPLACE FUNCTION sys.json_object() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN '{}'::jsonb;
COMMENT ON FUNCTION sys.json_object() IS 'JSON_OBJECT() of MySQL: an empty object';

COMMENT ON FUNCTION sys.json_object(VARIADIC "any") IS 'JSON_OBJECT(key, value, …) of MySQL, as jsonb';
