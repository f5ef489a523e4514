CREATE OR REPLACE PROCEDURE sys.ml_model_compile(model_handle text, function_name text, options jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_compile(model_handle, function_name, options)
$python$;
COMMENT ON PROCEDURE sys.ml_model_compile(text, text, jsonb) IS
    'Writes a model as an SQL function that needs no Python: immutable, parallel safe, with the model''s columns as arguments';
