CREATE OR REPLACE PROCEDURE sys.ml_model_load(model_handle text, user_name text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_load(model_handle, user_name)
$python$;
COMMENT ON PROCEDURE sys.ml_model_load(text, text) IS
    'Loads a model into the session, so that the first prediction does not wait for it; user_name names the owner if it is not the caller';

CREATE OR REPLACE PROCEDURE sys.ml_model_unload(model_handle text)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_unload(model_handle)
$python$;
COMMENT ON PROCEDURE sys.ml_model_unload(text) IS 'Removes a model from the session''s memory; an unknown one is no error';

CREATE OR REPLACE PROCEDURE sys.ml_model_active(user_name text DEFAULT NULL, INOUT model_info jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_active(user_name, model_info)
$python$;
COMMENT ON PROCEDURE sys.ml_model_active(text, jsonb) IS
    'Lists the models that the session has loaded: current (the caller''s, with metadata) or all (by owner, with sizes)';

CREATE OR REPLACE FUNCTION sys._cached_models()
RETURNS TABLE (model_owner name, model_handle text, bytes bigint, hits bigint, loaded_at timestamptz)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._cached_models()
$python$;
COMMENT ON FUNCTION sys._cached_models() IS 'Rows of sys.ml_cache';

CREATE OR REPLACE VIEW sys.ml_cache WITH (security_invoker = true) AS
SELECT * FROM sys._cached_models();
COMMENT ON VIEW sys.ml_cache IS
    'The models that this session holds in memory and the caller may use: estimated bytes, how often each was used, since when';
