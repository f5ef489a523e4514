-- Oracle's scoring functions. A row is JSON, any record (a table's alias, ROW(…)), or named columns by
-- sys.json_object('column', value, …). The functions that take a record or a text only convert and call the one that
-- takes json. They have no SET clause, so that the planner puts them into the query; every name in them is qualified.

CREATE OR REPLACE FUNCTION sys.prediction(model text, "row" text)
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction($1, $2::pg_catalog.json) $$;
COMMENT ON FUNCTION sys.prediction(text, text) IS
    'The prediction for a row, as text: the label of the most probable class, or the number; NULL where no partition has the row''s key';

CREATE OR REPLACE FUNCTION sys.prediction(model text, "row" anyelement)
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction($1, pg_catalog.to_json($2)) $$;
COMMENT ON FUNCTION sys.prediction(text, anyelement) IS
    'The prediction for a row, as text: the label of the most probable class, or the number; NULL where no partition has the row''s key';

CREATE OR REPLACE FUNCTION sys.prediction(model text, "row" json)
RETURNS text
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction(model, row)
$python$;
COMMENT ON FUNCTION sys.prediction(text, json) IS
    'The prediction for a row, as text: the label of the most probable class, or the number; NULL where no partition has the row''s key';

CREATE OR REPLACE FUNCTION sys.prediction_number(model text, "row" text)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction_number($1, $2::pg_catalog.json) $$;
COMMENT ON FUNCTION sys.prediction_number(text, text) IS
    'The prediction for a row as a number: of a regression, or of classes that are numbers';

CREATE OR REPLACE FUNCTION sys.prediction_number(model text, "row" anyelement)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction_number($1, pg_catalog.to_json($2)) $$;
COMMENT ON FUNCTION sys.prediction_number(text, anyelement) IS
    'The prediction for a row as a number: of a regression, or of classes that are numbers';

CREATE OR REPLACE FUNCTION sys.prediction_number(model text, "row" json)
RETURNS double precision
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction_number(model, row)
$python$;
COMMENT ON FUNCTION sys.prediction_number(text, json) IS
    'The prediction for a row as a number: of a regression, or of classes that are numbers';

CREATE OR REPLACE FUNCTION sys.prediction_probability(model text, "row" text, class_label text DEFAULT NULL)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction_probability($1, $2::pg_catalog.json, $3) $$;
COMMENT ON FUNCTION sys.prediction_probability(text, text, text) IS
    'The probability of a class for a row; by default of the predicted one';

CREATE OR REPLACE FUNCTION sys.prediction_probability(model text, "row" anyelement, class_label text DEFAULT NULL)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.prediction_probability($1, pg_catalog.to_json($2), $3) $$;
COMMENT ON FUNCTION sys.prediction_probability(text, anyelement, text) IS
    'The probability of a class for a row; by default of the predicted one';

CREATE OR REPLACE FUNCTION sys.prediction_probability(model text, "row" json, class_label text DEFAULT NULL)
RETURNS double precision
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction_probability(model, row, class_label)
$python$;
COMMENT ON FUNCTION sys.prediction_probability(text, json, text) IS
    'The probability of a class for a row; by default of the predicted one';

CREATE OR REPLACE FUNCTION sys.prediction_set(model text, "row" text, best_n integer DEFAULT NULL, cutoff double precision DEFAULT NULL)
RETURNS TABLE (prediction text, probability double precision)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 5
AS $$ SELECT * FROM sys.prediction_set($1, $2::pg_catalog.json, $3, $4) $$;
COMMENT ON FUNCTION sys.prediction_set(text, text, integer, double precision) IS
    'All classes with their probabilities for a row, the most probable first; at most best_n, and none below cutoff';

CREATE OR REPLACE FUNCTION sys.prediction_set(model text, "row" anyelement, best_n integer DEFAULT NULL, cutoff double precision DEFAULT NULL)
RETURNS TABLE (prediction text, probability double precision)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 5
AS $$ SELECT * FROM sys.prediction_set($1, pg_catalog.to_json($2), $3, $4) $$;
COMMENT ON FUNCTION sys.prediction_set(text, anyelement, integer, double precision) IS
    'All classes with their probabilities for a row, the most probable first; at most best_n, and none below cutoff';

CREATE OR REPLACE FUNCTION sys.prediction_set(model text, "row" json, best_n integer DEFAULT NULL, cutoff double precision DEFAULT NULL)
RETURNS TABLE (prediction text, probability double precision)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction_set(model, row, best_n, cutoff)
$python$;
COMMENT ON FUNCTION sys.prediction_set(text, json, integer, double precision) IS
    'All classes with their probabilities for a row, the most probable first; at most best_n, and none below cutoff';

CREATE OR REPLACE FUNCTION sys.prediction_details(model text, "row" text, class_label text DEFAULT NULL, top_n integer DEFAULT 5, direction text DEFAULT 'DESC')
RETURNS TABLE (attribute text, actual_value text, weight double precision, rank integer)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 5
AS $$ SELECT * FROM sys.prediction_details($1, $2::pg_catalog.json, $3, $4, $5) $$;
COMMENT ON FUNCTION sys.prediction_details(text, text, text, integer, text) IS
    'The attributes that speak most for (DESC), against (ASC) or either way (ABS) for a prediction; weight: how much the probability or number falls when the attribute is missing';

CREATE OR REPLACE FUNCTION sys.prediction_details(model text, "row" anyelement, class_label text DEFAULT NULL, top_n integer DEFAULT 5, direction text DEFAULT 'DESC')
RETURNS TABLE (attribute text, actual_value text, weight double precision, rank integer)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 5
AS $$ SELECT * FROM sys.prediction_details($1, pg_catalog.to_json($2), $3, $4, $5) $$;
COMMENT ON FUNCTION sys.prediction_details(text, anyelement, text, integer, text) IS
    'The attributes that speak most for (DESC), against (ASC) or either way (ABS) for a prediction; weight: how much the probability or number falls when the attribute is missing';

CREATE OR REPLACE FUNCTION sys.prediction_details(model text, "row" json, class_label text DEFAULT NULL, top_n integer DEFAULT 5, direction text DEFAULT 'DESC')
RETURNS TABLE (attribute text, actual_value text, weight double precision, rank integer)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction_details(model, row, class_label, top_n, direction)
$python$;
COMMENT ON FUNCTION sys.prediction_details(text, json, text, integer, text) IS
    'The attributes that speak most for (DESC), against (ASC) or either way (ABS) for a prediction; weight: how much the probability or number falls when the attribute is missing';

CREATE OR REPLACE FUNCTION sys.prediction_bounds(model text, "row" text, confidence_level double precision DEFAULT 0.95, class_label text DEFAULT NULL)
RETURNS TABLE (lower double precision, upper double precision)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 1
AS $$ SELECT * FROM sys.prediction_bounds($1, $2::pg_catalog.json, $3, $4) $$;
COMMENT ON FUNCTION sys.prediction_bounds(text, text, double precision, text) IS
    'The bounds within which a generalized linear model without ridge expects the number, or the probability of a class';

CREATE OR REPLACE FUNCTION sys.prediction_bounds(model text, "row" anyelement, confidence_level double precision DEFAULT 0.95, class_label text DEFAULT NULL)
RETURNS TABLE (lower double precision, upper double precision)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 1
AS $$ SELECT * FROM sys.prediction_bounds($1, pg_catalog.to_json($2), $3, $4) $$;
COMMENT ON FUNCTION sys.prediction_bounds(text, anyelement, double precision, text) IS
    'The bounds within which a generalized linear model without ridge expects the number, or the probability of a class';

CREATE OR REPLACE FUNCTION sys.prediction_bounds(model text, "row" json, confidence_level double precision DEFAULT 0.95, class_label text DEFAULT NULL)
RETURNS TABLE (lower double precision, upper double precision)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].prediction_bounds(model, row, confidence_level, class_label)
$python$;
COMMENT ON FUNCTION sys.prediction_bounds(text, json, double precision, text) IS
    'The bounds within which a generalized linear model without ridge expects the number, or the probability of a class';

CREATE OR REPLACE FUNCTION sys.ora_dm_partition_name(model text, "row" text)
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.ora_dm_partition_name($1, $2::pg_catalog.json) $$;
COMMENT ON FUNCTION sys.ora_dm_partition_name(text, text) IS
    'The name of the partition that predicts a row; NULL without one, and for models without partitions';

CREATE OR REPLACE FUNCTION sys.ora_dm_partition_name(model text, "row" anyelement)
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT sys.ora_dm_partition_name($1, pg_catalog.to_json($2)) $$;
COMMENT ON FUNCTION sys.ora_dm_partition_name(text, anyelement) IS
    'The name of the partition that predicts a row; NULL without one, and for models without partitions';

CREATE OR REPLACE FUNCTION sys.ora_dm_partition_name(model text, "row" json)
RETURNS text
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ora_dm_partition_name(model, row)
$python$;
COMMENT ON FUNCTION sys.ora_dm_partition_name(text, json) IS
    'The name of the partition that predicts a row; NULL without one, and for models without partitions';
