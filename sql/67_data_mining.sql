-- Oracle's package as a schema. A query or table that a caller names is looked up in the caller's search_path, which
-- the last parameter carries: its default is worked out before the routine's own path holds.

CREATE OR REPLACE PROCEDURE dbms_data_mining.create_model2(
    model_name text, mining_function text, data_query text, set_list jsonb, case_id_column_name text DEFAULT NULL,
    target_column_name text DEFAULT NULL, xform_list jsonb DEFAULT NULL,
    search_path text DEFAULT current_setting('search_path'))
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].create_model2(model_name, mining_function, data_query, set_list, case_id_column_name, target_column_name, xform_list, search_path)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.create_model2(text, text, text, jsonb, text, text, jsonb, text) IS
    'Builds a model on the rows of a query; the settings are a JSON object of Oracle''s names and values';

CREATE OR REPLACE PROCEDURE dbms_data_mining.create_model(
    model_name text, mining_function text, data_table_name text, case_id_column_name text,
    target_column_name text DEFAULT NULL, settings_table_name text DEFAULT NULL, data_schema_name text DEFAULT NULL,
    settings_schema_name text DEFAULT NULL, xform_list jsonb DEFAULT NULL,
    search_path text DEFAULT current_setting('search_path'))
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].create_model(model_name, mining_function, data_table_name, case_id_column_name, target_column_name, settings_table_name, data_schema_name, settings_schema_name, xform_list, search_path)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.create_model(text, text, text, text, text, text, text, text, jsonb, text) IS
    'Builds a model on a table or view; the settings are rows of a table with setting_name and setting_value';

CREATE OR REPLACE PROCEDURE dbms_data_mining.add_partition(
    model_name text, data_query text, add_options text DEFAULT 'ERROR',
    search_path text DEFAULT current_setting('search_path'))
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].add_partition(model_name, data_query, add_options, search_path)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.add_partition(text, text, text, text) IS
    'Builds a partition for each key in a query''s rows; keys that are there already: ERROR, REPLACE or IGNORE';

CREATE OR REPLACE PROCEDURE dbms_data_mining.drop_partition(
    model_name text, partition_name text DEFAULT NULL, partition_key jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].drop_partition(model_name, partition_name, partition_key)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.drop_partition(text, text, jsonb) IS
    'Drops a partition by its name, or by the values of its key; the last one cannot be dropped';

CREATE OR REPLACE PROCEDURE dbms_data_mining.drop_model(model_name text, force boolean DEFAULT false)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].drop_model(model_name, force)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.drop_model(text, boolean) IS
    'Drops a model with all its partitions; force changes nothing: a build that was interrupted leaves nothing behind';

CREATE OR REPLACE PROCEDURE dbms_data_mining.rename_model(
    model_name text, new_model_name text, versioned_model_name text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].rename_model(model_name, new_model_name, versioned_model_name)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.rename_model(text, text, text) IS
    'Gives a model a new name; a model that has it already is first renamed to versioned_model_name';

CREATE OR REPLACE PROCEDURE dbms_data_mining.apply(
    model_name text, data_table_name text, case_id_column_name text, result_table_name text,
    data_schema_name text DEFAULT NULL, search_path text DEFAULT current_setting('search_path'))
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].apply(model_name, data_table_name, case_id_column_name, result_table_name, data_schema_name, search_path)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.apply(text, text, text, text, text, text) IS
    'Writes a table of predictions: case identifier, prediction, probability (a row for each class), partition_name';

CREATE OR REPLACE PROCEDURE dbms_data_mining.export_sermodel(
    INOUT model_data bytea, model_name text, partition_name text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].export_sermodel(model_data, model_name, partition_name)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.export_sermodel(bytea, text, text) IS
    'Gives a model as bytes; with partition_name one partition of it, as an ordinary model';

CREATE OR REPLACE PROCEDURE dbms_data_mining.import_sermodel(model_data bytea, model_name text)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].import_sermodel(model_data, model_name)
$python$;
COMMENT ON PROCEDURE dbms_data_mining.import_sermodel(bytea, text) IS
    'Stores a model from the bytes that export_sermodel gave, after an audit';
