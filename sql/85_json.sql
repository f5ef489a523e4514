CREATE OR REPLACE FUNCTION sys.json_object(VARIADIC "any") RETURNS jsonb
LANGUAGE internal STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'jsonb_build_object';
COMMENT ON FUNCTION sys.json_object(VARIADIC "any") IS 'JSON_OBJECT(key, value, …) of MySQL, as jsonb';
