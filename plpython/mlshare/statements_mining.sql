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

-- partition_of()
, s.documents ->> ({code}) AS partition_name

-- apply_labels()
-- One row for each class of each case; one without a prediction for a case without.
CREATE TABLE {output} AS
SELECT i.{case}, c.prediction, s.numbers[i._4aad19ca6e_n * {width} + c.n] AS probability {partition}
FROM {batches}
LEFT JOIN unnest({labels}) WITH ORDINALITY AS c (prediction, n) ON s.numbers[i._4aad19ca6e_n * {width} + 1] <> 'NaN';

-- apply_numbers()
CREATE TABLE {output} AS
SELECT i.{case}, {rounded}::{type} AS prediction {partition}
FROM (SELECT i.{case}, i._4aad19ca6e_n, s.documents, s.codes, nullif(s.numbers[i._4aad19ca6e_n + 1], 'NaN') AS number
      FROM {batches} OFFSET 0) AS i ({case}, _4aad19ca6e_n, _4aad19ca6e_d, _4aad19ca6e_c, _4aad19ca6e_v),
     LATERAL (SELECT i._4aad19ca6e_d AS documents, i._4aad19ca6e_c AS codes) AS s;
