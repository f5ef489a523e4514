-- Named statements of what the dialects add; see statements.sql.

-- --- names in the caller's search_path -----------------------------------------------------------

-- search_path()
SELECT current_setting('search_path');

-- set_search_path(text)
SELECT set_config('search_path', $1, true);

-- may_make_temporary()
SELECT has_database_privilege(current_database(), 'TEMPORARY') AND NOT pg_is_in_recovery() AS may;

-- name_query()
-- In another search_path: only the text in it is looked up there.
CREATE TEMPORARY VIEW _mlshare_query AS ({query}
);

-- named_query()
SELECT pg_get_viewdef('pg_temp._mlshare_query'::regclass);

-- forget_query()
DROP VIEW pg_temp._mlshare_query;

-- found_relation(text)
SELECT to_regclass($1)::text AS name, to_regclass($1)::oid::bigint AS oid;

-- relation_name(oid)
SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.oid = $1;

-- current_schema()
SELECT current_schema()::text;

-- setting_rows()
SELECT s.setting_name::text AS name, s.setting_value::text AS value FROM {table} AS s;

-- --- whole models ---------------------------------------------------------------------------------

-- partition_rows(text)
SELECT partition_id, partition_name, key::text, status, n_rows, score, build_seconds, encode(fingerprint, 'hex') AS fingerprint,
       error, details::text
FROM {schema}.model_partition WHERE model_handle = $1 ORDER BY partition_id;

-- rename_model(text, text)
UPDATE {schema}.model_catalog SET model_handle = $2 WHERE model_handle = $1;

-- --- applying -------------------------------------------------------------------------------------

-- apply_labels()
-- One row for each class of each case; one without a prediction for a case without.
CREATE TABLE {output} AS
WITH scored AS MATERIALIZED (SELECT encode(s.codes, 'escape')::integer[] AS codes, s.numbers::float8[] AS numbers FROM sys._scored() AS s),
     meaning AS MATERIALIZED (SELECT m.code, m.prediction FROM sys._scored_values() AS m),
     classes AS MATERIALIZED (SELECT -1 - m.code AS k, m.prediction::{type} AS prediction FROM meaning AS m WHERE m.code < 0)
SELECT {columns}
FROM (SELECT row_number() OVER () - 1 AS _4aad19ca6e_n, q.* FROM ONLY {source} AS q) AS i
JOIN meaning AS p ON p.code = (SELECT s.codes FROM scored AS s)[i._4aad19ca6e_n + 1]
LEFT JOIN classes AS c ON p.code > 0;

-- apply_numbers()
CREATE TABLE {output} AS
WITH scored AS MATERIALIZED (SELECT encode(s.codes, 'escape')::integer[] AS codes, s.numbers::float8[] AS numbers FROM sys._scored() AS s),
     meaning AS MATERIALIZED (SELECT m.code, m.prediction FROM sys._scored_values() AS m)
SELECT {columns}
FROM (SELECT row_number() OVER () - 1 AS _4aad19ca6e_n, q.* FROM ONLY {source} AS q) AS i
JOIN meaning AS p ON p.code = (SELECT s.codes FROM scored AS s)[i._4aad19ca6e_n + 1];
