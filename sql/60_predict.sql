CREATE OR REPLACE FUNCTION sys.ml_predict_row(input jsonb, model_handle text, options jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_predict_row(input, model_handle, options)
$python$;
COMMENT ON FUNCTION sys.ml_predict_row(jsonb, text, jsonb) IS
    'Predicts one row given as JSON: the input with Prediction and ml_results added';

-- What has no type yet, like a literal, goes to the form that takes text.
CREATE OR REPLACE FUNCTION sys.ml_predict_row(input text, model_handle text, options jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_predict_row(input, model_handle, options)
$python$;
COMMENT ON FUNCTION sys.ml_predict_row(text, text, jsonb) IS
    'The same for a row given as the text of a JSON object';

CREATE OR REPLACE FUNCTION sys._predict_row(input json, model_handle text, options jsonb) RETURNS jsonb
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._predict_row(input, model_handle, options)
$python$;
COMMENT ON FUNCTION sys._predict_row(json, text, jsonb) IS 'What ml_predict_row adds to a row';

-- Put into the calling query by the planner, which a setting would prevent: every name in it is qualified.
CREATE OR REPLACE FUNCTION sys.ml_predict_row(input anyelement, model_handle text, options jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
AS 'SELECT sys._predict_row(pg_catalog.to_json($1), $2, $3)';
COMMENT ON FUNCTION sys.ml_predict_row(anyelement, text, jsonb) IS
    'Predicts a row of a table or query, given as it is: Prediction and ml_results alone';

CREATE OR REPLACE PROCEDURE sys.ml_predict_table(
    table_name regclass, model_handle text, output_table_name text, options jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_predict_table(table_name, model_handle, output_table_name, options)
$python$;
COMMENT ON PROCEDURE sys.ml_predict_table(regclass, text, text, jsonb) IS
    'Writes a table with every row of the input and its prediction; with the input as output the columns are added to it';

CREATE OR REPLACE FUNCTION sys.ml_predict(model_handle text, query text, options jsonb DEFAULT NULL)
RETURNS TABLE ("row" jsonb, prediction text, ml_results jsonb)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_predict(model_handle, query, options)
$python$;
COMMENT ON FUNCTION sys.ml_predict(text, text, jsonb) IS 'Predicts every row of any query';

CREATE OR REPLACE PROCEDURE sys.ml_score(
    table_name regclass, target_column_name text, model_handle text, metric text,
    OUT score double precision, options jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_score(table_name, target_column_name, model_handle, metric, options)
$python$;
COMMENT ON PROCEDURE sys.ml_score(regclass, text, text, text, double precision, jsonb) IS
    'Compares a model''s predictions for a table with the known target by a metric';

-- The two halves of ml_predict_table's one statement; they work on what the routine has left in memory.
CREATE OR REPLACE FUNCTION sys._scored() RETURNS TABLE (
    first tid, beyond tid, start bigint, labels bytea, codes bytea, common integer, documents jsonb,
    numbers double precision[])
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._scored()
$python$;
COMMENT ON FUNCTION sys._scored() IS
    'Scores the table at hand in the snapshot of the calling statement, one range of blocks after the other';

CREATE OR REPLACE FUNCTION sys._scored_values() RETURNS jsonb
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._scored_values()
$python$;
COMMENT ON FUNCTION sys._scored_values() IS 'The documents that the first codes of sys._scored() stand for';

-- An array as it is in memory. byteasend copies any value of variable length: nothing is converted one by one.
CREATE OR REPLACE FUNCTION sys._raw(double precision[]) RETURNS bytea
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'byteasend';
COMMENT ON FUNCTION sys._raw(double precision[]) IS 'The bytes of an array';

CREATE OR REPLACE FUNCTION sys._raw(bigint[]) RETURNS bytea
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'byteasend';
COMMENT ON FUNCTION sys._raw(bigint[]) IS 'The bytes of an array';
