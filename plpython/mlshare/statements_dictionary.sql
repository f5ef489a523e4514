-- Named statements of Oracle's dictionary views; see statements.sql. They run in the catalog of an owner, behind the
-- owner's door unless it is the caller's own: every value is taken apart by what cannot fail, or in Python.

-- all_doors()
SELECT substr(p.proname::text, length('_as_owner_') + 1) AS owner FROM pg_proc AS p
WHERE p.pronamespace = 'sys'::regnamespace AND p.proname LIKE '\_as\_owner\_%' AND p.prosecdef
  AND p.proname = sys._owner_door(pg_get_userbyid(p.proowner));

-- is_superuser()
SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user;

-- listed_models(name)
SELECT c.model_handle AS handle, c.build_timestamp::text AS built_at, c.model_type, c.task, c.target_column_name AS target,
       c.train_table_name AS source, c.model_object_size AS size, c.notes, c.column_names::text AS columns,
       (c.model_metadata -> 'partition_columns')::text AS keys, (c.model_metadata -> 'lineage' -> 'columns')::text AS types,
       c.model_metadata ->> 'target_type' AS target_type, (c.model_metadata -> 'training_time')::text AS seconds,
       (c.model_metadata -> 'mining')::text AS mining, (c.model_metadata -> 'options')::text AS options,
       (c.model_metadata -> 'hyperparameters')::text AS parameters, (c.model_metadata -> 'details' -> 'settings')::text AS computed,
       pg_has_role($1, current_user, 'USAGE') AS as_owner,
       ARRAY(SELECT p.privilege FROM {schema}.model_privilege AS p
             WHERE p.model_handle = c.model_handle AND p.partition_id IS NULL AND pg_has_role($1, p.grantee, 'USAGE')) AS privileges,
       ARRAY(SELECT p.partition_id || ' ' || p.privilege FROM {schema}.model_privilege AS p
             WHERE p.model_handle = c.model_handle AND p.partition_id IS NOT NULL AND pg_has_role($1, p.grantee, 'USAGE')) AS partial
FROM {schema}.model_catalog AS c ORDER BY c.model_handle;

-- listed_partitions(text, integer[])
-- NULL: all of them.
SELECT partition_id, partition_name, key::text, n_rows, score, object_size, build_seconds, built_at::text, status, error
FROM {schema}.model_partition WHERE model_handle = $1 AND ($2 IS NULL OR partition_id = ANY ($2)) ORDER BY partition_id;

-- partition_details(text, integer[], text)
SELECT partition_name, error, (details -> 'details' -> $3)::text AS part
FROM {schema}.model_partition WHERE model_handle = $1 AND ($2 IS NULL OR partition_id = ANY ($2)) ORDER BY partition_id;

-- model_details(text, text)
SELECT (model_metadata -> 'details' -> $2)::text AS part, model_explanation::text AS explanation
FROM {schema}.model_catalog WHERE model_handle = $1;
