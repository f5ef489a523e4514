CREATE OR REPLACE PROCEDURE sys.ml_model_add_partition(
    model_handle text, data_query text, add_options text DEFAULT 'ERROR',
    search_path text DEFAULT current_setting('search_path'))
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_add_partition(model_handle, data_query, add_options, search_path)
$python$;
COMMENT ON PROCEDURE sys.ml_model_add_partition(text, text, text, text) IS
    'Builds a partition for each key in a query''s rows; keys that are there already: ERROR, REPLACE or IGNORE';

CREATE OR REPLACE PROCEDURE sys.ml_model_drop_partition(
    model_handle text, partition_name text DEFAULT NULL, partition_key jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_drop_partition(model_handle, partition_name, partition_key)
$python$;
COMMENT ON PROCEDURE sys.ml_model_drop_partition(text, text, jsonb) IS
    'Drops a partition by its name or by the values of its key; the last one cannot be dropped';

CREATE OR REPLACE FUNCTION sys.ml_model_refresh_partitions(
    model_handle text, data_query text, search_path text DEFAULT current_setting('search_path'))
RETURNS TABLE (partition_name text, action text, n_rows bigint)
LANGUAGE plpython3u VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_refresh_partitions(model_handle, data_query, search_path)
$python$;
COMMENT ON FUNCTION sys.ml_model_refresh_partitions(text, text, text) IS
    'Builds those partitions anew whose rows in a query are not those they were built from, and adds new ones: rebuilt, added, unchanged, absent';
