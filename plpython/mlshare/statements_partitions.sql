-- Named statements of partitioned models; see statements.sql.

-- create_model_partition()
-- key: the canonical texts of the key columns, in order; NULL: the sub-model for all other rows.
CREATE TABLE {schema}.model_partition (
    model_handle         text        NOT NULL REFERENCES {schema}.model_catalog (model_handle)
                                     ON UPDATE CASCADE ON DELETE CASCADE,
    partition_id         integer     NOT NULL CHECK (partition_id > 0),
    partition_name       text        NOT NULL,
    key                  jsonb,
    status               text        NOT NULL CHECK (status IN ('ready', 'failed')),
    n_rows               bigint      NOT NULL,
    score                float8,
    object_size          bigint      NOT NULL DEFAULT 0,
    build_seconds        float8,
    built_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    fingerprint          bytea,
    digest               bytea,
    error                text,
    details              jsonb,
    PRIMARY KEY (model_handle, partition_id),
    UNIQUE (model_handle, partition_name),
    UNIQUE NULLS NOT DISTINCT (model_handle, key)
);

-- partitions(text)
SELECT partition_id, partition_name, key::text, encode(digest, 'hex') AS digest, object_size, encode(fingerprint, 'hex') AS fingerprint
FROM {schema}.model_partition WHERE model_handle = $1 ORDER BY partition_id;

-- partition_id(text, text)
SELECT partition_id FROM {schema}.model_partition WHERE model_handle = $1 AND partition_name = $2;

-- insert_partitions(text, jsonb)
INSERT INTO {schema}.model_partition (model_handle, partition_id, partition_name, key, status, n_rows, score,
                                      object_size, build_seconds, fingerprint, digest, error, details)
SELECT $1, p.partition_id, p.partition_name, p.key, p.status, p.n_rows, p.score, p.object_size, p.build_seconds,
       decode(p.fingerprint, 'hex'), decode(p.digest, 'hex'), p.error, p.details
FROM jsonb_to_recordset($2) AS p (partition_id integer, partition_name text, key jsonb, status text, n_rows bigint,
                                  score float8, object_size bigint, build_seconds float8, fingerprint text,
                                  digest text, error text, details jsonb)
ON CONFLICT (model_handle, partition_id) DO UPDATE SET
    status = excluded.status, n_rows = excluded.n_rows, score = excluded.score, object_size = excluded.object_size,
    build_seconds = excluded.build_seconds, built_at = excluded.built_at, fingerprint = excluded.fingerprint,
    digest = excluded.digest, error = excluded.error, details = excluded.details;

-- insert_objects(text, integer[], integer[], bytea[], bytea[])
INSERT INTO {schema}.model_object_catalog (model_handle, partition_id, chunk_id, model_object, signature)
SELECT $1, o.partition_id, o.chunk_id, o.model_object, o.signature
FROM unnest($2, $3, $4, $5) AS o (partition_id, chunk_id, model_object, signature);

-- delete_partition(text, integer)
DELETE FROM {schema}.model_partition WHERE model_handle = $1 AND partition_id = $2;

-- digest_of_partitions(text)
SELECT encode(sha256(convert_to(coalesce(string_agg(p.line, E'\n' ORDER BY p.partition_id), ''), 'UTF8')), 'hex') AS digest
FROM (SELECT partition_id, concat_ws(' ', partition_id, status, encode(digest, 'hex'), key, partition_name) AS line
      FROM {schema}.model_partition WHERE model_handle = $1) AS p;

-- lock_model(text)
SELECT encode(model_digest, 'hex') AS digest FROM {schema}.model_catalog WHERE model_handle = $1 FOR NO KEY UPDATE;

-- set_model(text, jsonb, jsonb, bytea)
UPDATE {schema}.model_catalog AS c SET column_names = $2, model_metadata = c.model_metadata || $3, model_digest = $4,
    model_object_size = (SELECT sum(octet_length(o.model_object)) FROM {schema}.model_object_catalog AS o WHERE o.model_handle = $1)
WHERE c.model_handle = $1;

-- executor(text)
SELECT name, address, ca, certificate, key FROM sys.ml_executors WHERE name = $1;
