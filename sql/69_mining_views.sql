-- Oracle's dictionary views. Whoever has PREDICT sees what is needed to call a model, whoever has SELECT all of it; a
-- privilege on single partitions shows these, and nothing that tells of others.

CREATE OR REPLACE FUNCTION sys._mining_models(scope text)
RETURNS TABLE (owner name, model_name text, mining_function text, algorithm text, algorithm_type text, creation_date timestamptz, build_duration double precision, model_size double precision, partitioned text, build_source text, comments text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._mining_models(scope)
$python$;
COMMENT ON FUNCTION sys._mining_models(text) IS 'Rows of the views mining_models';

CREATE OR REPLACE VIEW sys.all_mining_models WITH (security_invoker = true) AS
SELECT * FROM sys._mining_models('all');
COMMENT ON VIEW sys.all_mining_models IS 'Models that the caller may use';

CREATE OR REPLACE VIEW sys.user_mining_models WITH (security_invoker = true) AS
SELECT model_name, mining_function, algorithm, algorithm_type, creation_date, build_duration, model_size, partitioned, build_source, comments FROM sys._mining_models('all') WHERE owner = current_user;
COMMENT ON VIEW sys.user_mining_models IS 'Models that the caller owns';

CREATE OR REPLACE VIEW sys.dba_mining_models WITH (security_invoker = true) AS
SELECT * FROM sys._mining_models('dba');
COMMENT ON VIEW sys.dba_mining_models IS 'Models that all roles have (superusers only)';

CREATE OR REPLACE FUNCTION sys._mining_model_attributes(scope text)
RETURNS TABLE (owner name, model_name text, attribute_name text, attribute_type text, data_type text, data_length integer, data_precision integer, data_scale integer, usage_type text, target text, attribute_spec text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._mining_model_attributes(scope)
$python$;
COMMENT ON FUNCTION sys._mining_model_attributes(text) IS 'Rows of the views mining_model_attributes';

CREATE OR REPLACE VIEW sys.all_mining_model_attributes WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_attributes('all');
COMMENT ON VIEW sys.all_mining_model_attributes IS 'Columns of the models that the caller may use; key columns have the type PARTITION';

CREATE OR REPLACE VIEW sys.user_mining_model_attributes WITH (security_invoker = true) AS
SELECT model_name, attribute_name, attribute_type, data_type, data_length, data_precision, data_scale, usage_type, target, attribute_spec FROM sys._mining_model_attributes('all') WHERE owner = current_user;
COMMENT ON VIEW sys.user_mining_model_attributes IS 'Columns of the models that the caller owns; key columns have the type PARTITION';

CREATE OR REPLACE VIEW sys.dba_mining_model_attributes WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_attributes('dba');
COMMENT ON VIEW sys.dba_mining_model_attributes IS 'Columns of the models that all roles have (superusers only); key columns have the type PARTITION';

CREATE OR REPLACE FUNCTION sys._mining_model_settings(scope text)
RETURNS TABLE (owner name, model_name text, setting_name text, setting_value text, setting_type text, partition_name text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._mining_model_settings(scope)
$python$;
COMMENT ON FUNCTION sys._mining_model_settings(text) IS 'Rows of the views mining_model_settings';

CREATE OR REPLACE VIEW sys.all_mining_model_settings WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_settings('all');
COMMENT ON VIEW sys.all_mining_model_settings IS 'Settings of the models that the caller may use: given (INPUT), DEFAULT, or COMPUTED, also for each partition';

CREATE OR REPLACE VIEW sys.user_mining_model_settings WITH (security_invoker = true) AS
SELECT model_name, setting_name, setting_value, setting_type, partition_name FROM sys._mining_model_settings('all') WHERE owner = current_user;
COMMENT ON VIEW sys.user_mining_model_settings IS 'Settings of the models that the caller owns: given (INPUT), DEFAULT, or COMPUTED, also for each partition';

CREATE OR REPLACE VIEW sys.dba_mining_model_settings WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_settings('dba');
COMMENT ON VIEW sys.dba_mining_model_settings IS 'Settings of the models that all roles have (superusers only): given (INPUT), DEFAULT, or COMPUTED, also for each partition';

CREATE OR REPLACE FUNCTION sys._mining_model_partitions(scope text)
RETURNS TABLE (owner name, model_name text, partition_name text, "position" integer, column_name text, column_value text, n_rows bigint, score double precision, object_size bigint, build_seconds double precision, built_at timestamptz, status text, error text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._mining_model_partitions(scope)
$python$;
COMMENT ON FUNCTION sys._mining_model_partitions(text) IS 'Rows of the views mining_model_partitions';

CREATE OR REPLACE VIEW sys.all_mining_model_partitions WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_partitions('all');
COMMENT ON VIEW sys.all_mining_model_partitions IS 'Partitions of the models that the caller may use, a row for each column of the key; rows, score, bytes, build time, status and error of each';

CREATE OR REPLACE VIEW sys.user_mining_model_partitions WITH (security_invoker = true) AS
SELECT model_name, partition_name, "position", column_name, column_value, n_rows, score, object_size, build_seconds, built_at, status, error FROM sys._mining_model_partitions('all') WHERE owner = current_user;
COMMENT ON VIEW sys.user_mining_model_partitions IS 'Partitions of the models that the caller owns, a row for each column of the key; rows, score, bytes, build time, status and error of each';

CREATE OR REPLACE VIEW sys.dba_mining_model_partitions WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_partitions('dba');
COMMENT ON VIEW sys.dba_mining_model_partitions IS 'Partitions of the models that all roles have (superusers only), a row for each column of the key; rows, score, bytes, build time, status and error of each';

CREATE OR REPLACE FUNCTION sys._mining_model_views(scope text)
RETURNS TABLE (owner name, model_name text, view_name text, view_type text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._mining_model_views(scope)
$python$;
COMMENT ON FUNCTION sys._mining_model_views(text) IS 'Rows of the views mining_model_views';

CREATE OR REPLACE VIEW sys.all_mining_model_views WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_views('all');
COMMENT ON VIEW sys.all_mining_model_views IS 'Functions that show the inside of the models that the caller may use';

CREATE OR REPLACE VIEW sys.user_mining_model_views WITH (security_invoker = true) AS
SELECT model_name, view_name, view_type FROM sys._mining_model_views('all') WHERE owner = current_user;
COMMENT ON VIEW sys.user_mining_model_views IS 'Functions that show the inside of the models that the caller owns';

CREATE OR REPLACE VIEW sys.dba_mining_model_views WITH (security_invoker = true) AS
SELECT * FROM sys._mining_model_views('dba');
COMMENT ON VIEW sys.dba_mining_model_views IS 'Functions that show the inside of the models that all roles have (superusers only)';

CREATE OR REPLACE VIEW sys.all_mining_model_xforms WITH (security_invoker = true) AS
SELECT NULL::name AS owner, NULL::text AS model_name, NULL::text AS attribute_name, NULL::text AS attribute_subname, NULL::text AS attribute_spec,
       NULL::text AS expression, NULL::text AS reverse
WHERE false;
COMMENT ON VIEW sys.all_mining_model_xforms IS 'Transformations kept with the models that the caller may use: there are none, queries and views do this';

CREATE OR REPLACE VIEW sys.user_mining_model_xforms WITH (security_invoker = true) AS
SELECT NULL::text AS model_name, NULL::text AS attribute_name, NULL::text AS attribute_subname, NULL::text AS attribute_spec,
       NULL::text AS expression, NULL::text AS reverse
WHERE false;
COMMENT ON VIEW sys.user_mining_model_xforms IS 'Transformations kept with the models that the caller owns: there are none, queries and views do this';

CREATE OR REPLACE VIEW sys.dba_mining_model_xforms WITH (security_invoker = true) AS
SELECT NULL::name AS owner, NULL::text AS model_name, NULL::text AS attribute_name, NULL::text AS attribute_subname, NULL::text AS attribute_spec,
       NULL::text AS expression, NULL::text AS reverse
WHERE false;
COMMENT ON VIEW sys.dba_mining_model_xforms IS 'Transformations kept with the models that all roles have (superusers only): there are none, queries and views do this';

CREATE OR REPLACE FUNCTION sys.model_coefficients(model text, partition text DEFAULT NULL)
RETURNS TABLE (partition_name text, target_value text, attribute_name text, attribute_value text, coefficient double precision,
    std_error double precision, test_statistic double precision, p_value double precision,
    lower_coeff_limit double precision, upper_coeff_limit double precision)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].model_coefficients(model, partition)
$python$;
COMMENT ON FUNCTION sys.model_coefficients(text, text) IS
    'Coefficients of linear models, the intercept without an attribute; standard errors of models without ridge';

CREATE OR REPLACE FUNCTION sys.model_importances(model text, partition text DEFAULT NULL)
RETURNS TABLE (partition_name text, attribute_name text, importance double precision, rank integer)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].model_importances(model, partition)
$python$;
COMMENT ON FUNCTION sys.model_importances(text, text) IS
    'How much each column counts in a model, or in each of its partitions';

CREATE OR REPLACE FUNCTION sys.model_global_statistics(model text, partition text DEFAULT NULL)
RETURNS TABLE (partition_name text, name text, numeric_value double precision, string_value text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].model_global_statistics(model, partition)
$python$;
COMMENT ON FUNCTION sys.model_global_statistics(text, text) IS
    'Statistics of the fit of a model, or of each of its partitions';

CREATE OR REPLACE FUNCTION sys.model_settings(model text, partition text DEFAULT NULL)
RETURNS TABLE (partition_name text, setting_name text, setting_value text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].model_settings(model, partition)
$python$;
COMMENT ON FUNCTION sys.model_settings(text, text) IS
    'Settings that were computed from the data of a model, or of each of its partitions';

CREATE OR REPLACE FUNCTION sys.model_alerts(model text, partition text DEFAULT NULL)
RETURNS TABLE (partition_name text, error_text text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].model_alerts(model, partition)
$python$;
COMMENT ON FUNCTION sys.model_alerts(text, text) IS
    'What should be known before a model, or a partition, is trusted; and why a partition failed';
