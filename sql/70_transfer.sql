CREATE OR REPLACE PROCEDURE sys.ml_model_export(model_handle text, output_table_name text)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_export(model_handle, output_table_name)
$python$;
COMMENT ON PROCEDURE sys.ml_model_export(text, text) IS 'Copies a model into a new table that others can import it from';

CREATE OR REPLACE PROCEDURE sys.ml_model_import(
    model_object bytea, model_metadata jsonb DEFAULT NULL, INOUT model_handle text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_import(model_object, model_metadata, model_handle)
$python$;
COMMENT ON PROCEDURE sys.ml_model_import(bytea, jsonb, text) IS
    'Stores a model from an export table ({"schema": …, "table": …}) or from an ONNX object in the caller''s catalog, after an audit';
