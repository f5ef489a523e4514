CREATE OR REPLACE PROCEDURE sys.ml_train(
    table_name regclass, target_column_name text, options jsonb DEFAULT NULL, INOUT model_handle text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_train(table_name, target_column_name, options, model_handle)
$python$;
COMMENT ON PROCEDURE sys.ml_train(regclass, text, jsonb, text) IS
    'Trains a model on a table or view and stores it in the caller''s catalog; a NULL handle is made up and returned';
