-- Named statements of mlshare. A header line gives the name and the parameter types; {name} marks a place for a
-- quoted identifier or an expression made by mlshare.frame.

-- current_user()
SELECT current_user::text;

-- context()
-- Runs behind doors that their owner may have altered: nothing in it is looked up by search_path.
SELECT current_user AS "user", session_user AS session, pg_catalog.current_setting('role') AS role,
       pg_catalog.current_setting('search_path') AS path, pg_catalog.statement_timestamp() AS statement,
       pg_catalog.current_setting('exit_on_error') AS ends_on_error;

-- has_catalog()
-- Whether the catalog of that name is the role's own.
SELECT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = ('ml_schema_' || current_user)::name
                                               AND pg_get_userbyid(n.nspowner) = current_user);

-- interrupts()
SELECT 1;

-- application_name()
SELECT current_setting('application_name');

-- set_application_name(text)
SELECT set_config('application_name', $1, false);

-- in_snapshot()
SELECT sys._in_snapshot();

-- as_owner()
SELECT sys.{door}();

-- version()
SELECT sys._version();

-- setting(text)
SELECT value FROM sys.ml_settings WHERE name = $1;

-- read_only()
SELECT current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery();

-- --- catalogs -----------------------------------------------------------------------------------

-- catalog_state(name)
SELECT sys._catalog_schema($1) AS schema,
       (SELECT nspowner = (SELECT oid FROM pg_roles WHERE rolname = $1) FROM pg_namespace
        WHERE nspname = sys._catalog_schema($1)) AS owned,
       to_regprocedure(format('sys.%I()', sys._owner_door($1))) IS NOT NULL AS door,
       CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END AS acting;

-- own_catalog(name)
SELECT count(*) = 4 AS own FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid
WHERE n.nspname = sys._catalog_schema($1) AND pg_get_userbyid(n.nspowner) = $1 AND pg_get_userbyid(c.relowner) = $1
  AND c.relname IN ('model_catalog', 'model_object_catalog', 'model_partition', 'model_privilege');

-- plain_catalog(name, name[], name[], regtype[])
-- Tables that read as data: no view, rule, policy for the owner, child table, generated column, foreign type,
-- trigger; nor an expression of an index, of statistics or of a constraint, which the planner may evaluate.
-- They can be read, and have at least the columns given by their tables, names and types.
SELECT count(*) = 4 AS plain FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid
WHERE n.nspname = $1 AND pg_get_userbyid(n.nspowner) = current_user AND pg_get_userbyid(c.relowner) = current_user
  AND c.relname IN ('model_catalog', 'model_object_catalog', 'model_partition', 'model_privilege')
  AND c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relforcerowsecurity AND NOT c.relhassubclass
  AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND num_nonnulls(i.indexprs, i.indpred) > 0)
  AND NOT EXISTS (SELECT FROM pg_statistic_ext AS s WHERE s.stxrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_constraint AS k JOIN pg_depend AS d ON d.classid = 'pg_constraint'::regclass
                  WHERE k.conrelid = c.oid AND k.contype = 'c' AND d.objid = k.oid AND d.refclassid <> 'pg_class'::regclass)
  AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
  AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                  AND (a.attgenerated <> '' OR a.atttypid >= 16384))
  AND NOT EXISTS (SELECT FROM unnest($2, $3, $4) AS w (relname, attname, type) WHERE w.relname = c.relname
                  AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = w.attname
                                  AND a.atttypid = w.type))
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT');

-- create_catalog_schema()
SELECT sys._create_catalog_schema();

-- catalog_tables(text)
SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1);

-- create_model_catalog()
CREATE TABLE {schema}.model_catalog (
    model_id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_handle         text        NOT NULL UNIQUE CHECK (char_length(model_handle) BETWEEN 1 AND 255),
    model_object         text        CHECK (model_object IS NULL),
    model_owner          name        NOT NULL DEFAULT current_user,
    build_timestamp      timestamptz NOT NULL DEFAULT clock_timestamp(),
    target_column_name   text,
    train_table_name     text,
    model_object_size    bigint      NOT NULL DEFAULT 0,
    model_type           text,
    task                 text,
    column_names         jsonb,
    model_explanation    jsonb,
    last_accessed        timestamptz,
    model_metadata       jsonb,
    notes                text,
    model_digest         bytea
);

-- create_model_object_catalog()
CREATE TABLE {schema}.model_object_catalog (
    chunk_id             integer     NOT NULL,
    model_handle         text        NOT NULL REFERENCES {schema}.model_catalog (model_handle)
                                     ON UPDATE CASCADE ON DELETE CASCADE,
    model_object         bytea       NOT NULL,
    partition_id         integer     NOT NULL DEFAULT 0,
    signature            bytea,
    PRIMARY KEY (model_handle, partition_id, chunk_id)
);

-- create_model_privilege()
CREATE TABLE {schema}.model_privilege (
    model_handle         text        NOT NULL REFERENCES {schema}.model_catalog (model_handle)
                                     ON UPDATE CASCADE ON DELETE CASCADE,
    grantee              regrole     NOT NULL,
    privilege            text        NOT NULL CHECK (privilege IN ('PREDICT', 'SELECT', 'ALTER')),
    granted_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    partition_id         integer,    -- NULL: on the whole model
    FOREIGN KEY (model_handle, partition_id) REFERENCES {schema}.model_partition ON UPDATE CASCADE ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (model_handle, grantee, privilege, partition_id)
);

-- privilege_condition()
model_handle IN (SELECT p.model_handle FROM {schema}.model_privilege AS p
                 WHERE p.partition_id IS NULL AND p.privilege IN ({privileges}) AND pg_catalog.pg_has_role(p.grantee, 'USAGE'));

-- protect_catalog()
ALTER TABLE {schema}.model_catalog ENABLE ROW LEVEL SECURITY;
CREATE POLICY may_see    ON {schema}.model_catalog FOR SELECT USING ({may_see});
CREATE POLICY may_update ON {schema}.model_catalog FOR UPDATE USING ({may_change});
CREATE POLICY may_delete ON {schema}.model_catalog FOR DELETE USING ({may_change});

-- protect_object_catalog()
ALTER TABLE {schema}.model_object_catalog ALTER COLUMN model_object SET STORAGE EXTERNAL;
ALTER TABLE {schema}.model_object_catalog ENABLE ROW LEVEL SECURITY;
CREATE POLICY may_see    ON {schema}.model_object_catalog FOR SELECT USING ({may_see});
CREATE POLICY may_insert ON {schema}.model_object_catalog FOR INSERT WITH CHECK ({may_change});
CREATE POLICY may_update ON {schema}.model_object_catalog FOR UPDATE USING ({may_change});
CREATE POLICY may_delete ON {schema}.model_object_catalog FOR DELETE USING ({may_change});

-- protect_partition()
ALTER TABLE {schema}.model_partition ENABLE ROW LEVEL SECURITY;
CREATE POLICY may_see    ON {schema}.model_partition FOR SELECT USING ({may_see});
CREATE POLICY may_insert ON {schema}.model_partition FOR INSERT WITH CHECK ({may_change});
CREATE POLICY may_update ON {schema}.model_partition FOR UPDATE USING ({may_change});
CREATE POLICY may_delete ON {schema}.model_partition FOR DELETE USING ({may_change});

-- protect_privilege()
ALTER TABLE {schema}.model_privilege ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON {schema}.model_privilege FOR SELECT USING (pg_catalog.pg_has_role(grantee, 'USAGE'));

-- --- models: the owner's own look-up --------------------------------------------------------------

-- own_model(text)
SELECT encode(model_digest, 'hex') AS digest FROM {schema}.model_catalog WHERE model_handle = $1;

-- handle_exists(text)
SELECT EXISTS (SELECT FROM {schema}.model_catalog WHERE model_handle = $1) AS there;

-- model_row(text)
SELECT model_owner::text, target_column_name, train_table_name, model_type, task, column_names::text,
       model_explanation::text, model_metadata::text, notes, model_object_size
FROM {schema}.model_catalog WHERE model_handle = $1;

-- object_size(text, integer[])
SELECT coalesce(sum(octet_length(model_object)), 0)::bigint AS size FROM {schema}.model_object_catalog
WHERE model_handle = $1 AND partition_id = ANY ($2);

-- model_chunks(text, integer[])
SELECT partition_id, chunk_id, model_object, signature FROM {schema}.model_object_catalog
WHERE model_handle = $1 AND partition_id = ANY ($2) ORDER BY partition_id, chunk_id;

-- insert_model(text, text, text, text, text, jsonb, jsonb, jsonb, text, bigint, bytea)
INSERT INTO {schema}.model_catalog (model_handle, target_column_name, train_table_name, model_type, task, column_names,
    model_explanation, model_metadata, notes, model_object_size, model_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- insert_chunk(text, integer, integer, bytea, bytea)
INSERT INTO {schema}.model_object_catalog (model_handle, partition_id, chunk_id, model_object, signature)
VALUES ($1, $2, $3, $4, $5);

-- delete_chunks(text, integer[])
DELETE FROM {schema}.model_object_catalog WHERE model_handle = $1 AND partition_id = ANY ($2);

-- sign_chunks(text, integer[], integer[], bytea[])
UPDATE {schema}.model_object_catalog AS o SET signature = s.signature
FROM unnest($2, $3, $4) AS s (partition_id, chunk_id, signature)
WHERE o.model_handle = $1 AND o.partition_id = s.partition_id AND o.chunk_id = s.chunk_id;

-- delete_model(text)
DELETE FROM {schema}.model_catalog WHERE model_handle = $1;

-- touch_model(text)
UPDATE {schema}.model_catalog SET last_accessed = clock_timestamp()
WHERE model_id IN (SELECT model_id FROM {schema}.model_catalog
                   -- Of a row that changed after a transaction's only snapshot, asking for the lock is an error.
                   WHERE current_setting('transaction_isolation') = 'read committed'
                     AND model_handle = $1 AND (last_accessed > clock_timestamp() - interval '1 minute') IS NOT TRUE
                   FOR NO KEY UPDATE SKIP LOCKED);

-- --- models: shared with the caller; run as their owner -------------------------------------------

-- shared_doors(name)
SELECT substr(p.proname::text, length('_as_owner_') + 1) AS owner FROM pg_proc AS p
WHERE p.pronamespace = 'sys'::regnamespace AND p.proname LIKE '\_as\_owner\_%' AND p.prosecdef
  AND p.proname = sys._owner_door(pg_get_userbyid(p.proowner)) AND has_function_privilege($1, p.oid, 'EXECUTE')
  AND p.proowner <> (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = $1)
  AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = $1);

-- door_exists(name)
SELECT has_function_privilege(p.oid, 'EXECUTE') AS open FROM pg_proc AS p
WHERE p.pronamespace = 'sys'::regnamespace AND p.proname = sys._owner_door($1);

-- shared_model(text, name)
SELECT c.model_id, encode(c.model_digest, 'hex') AS digest, pg_has_role($2, current_user, 'USAGE') AS as_owner,
       ARRAY(SELECT p.privilege FROM {schema}.model_privilege AS p
             WHERE p.model_handle = $1 AND p.partition_id IS NULL AND pg_has_role($2, p.grantee, 'USAGE')) AS privileges,
       ARRAY(SELECT p.partition_id || ' ' || p.privilege FROM {schema}.model_privilege AS p
             WHERE p.model_handle = $1 AND p.partition_id IS NOT NULL AND pg_has_role($2, p.grantee, 'USAGE')) AS partial
FROM {schema}.model_catalog AS c WHERE c.model_handle = $1;

-- shared_privileges(name)
SELECT current_user::text AS model_owner, p.model_handle, pg_get_userbyid(p.grantee)::text AS grantee, p.privilege,
       p.granted_at::text, t.partition_name
FROM {schema}.model_privilege AS p LEFT JOIN {schema}.model_partition AS t USING (model_handle, partition_id)
WHERE pg_has_role($1, p.grantee, 'USAGE') OR pg_has_role($1, current_user, 'USAGE');

-- --- scoring a table ----------------------------------------------------------------------------

-- scan_in_heap_order()
SELECT name, current_setting(name) AS before, set_config(name, value, true)
FROM (VALUES ('jit', 'off'), ('max_parallel_maintenance_workers', '0'), ('synchronize_seqscans', 'off'),
             ('max_parallel_workers_per_gather', '0'), ('extra_float_digits', '1'), ('enable_indexscan', 'off'),
             ('enable_indexonlyscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_seqscan', 'on'),
             ('enable_hashjoin', 'on'), ('enable_mergejoin', 'off'), ('enable_nestloop', 'off')) AS s (name, value);

-- restore_settings(text[], text[])
SELECT set_config(s.name, s.value, true) FROM unnest($1, $2) AS s (name, value);

-- target_type(text)
-- By what format_type prints, without the modifier: to_regtype raises an error for what it cannot parse.
SELECT format_type(t.oid, -1) AS type, t.typcategory = 'N' AND t.typname LIKE 'int_' AS whole FROM pg_type AS t
-- Whoever owns an enumeration can make a cast to it with a function, which would run with the caller's rights.
WHERE format_type(t.oid, NULL) = regexp_replace($1, '[(][0-9]+(,-?[0-9]+)?[)]', '')
  AND (t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typcategory <> 'A'
    OR t.typtype = 'e' AND t.typowner IN (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user OR r.rolsuper));

-- stage()
CREATE {unlogged} TABLE {staging} AS SELECT * FROM {source};

-- drop_table()
DROP TABLE {table};

-- make_output()
CREATE TABLE {output} AS SELECT {columns}, NULL::{type} AS prediction, NULL::jsonb AS ml_results FROM ONLY {source} AS i
WITH NO DATA;

-- set_not_null()
ALTER TABLE {output} ALTER COLUMN {column} SET NOT NULL;

-- scored_batches()
-- Batches s, made one by one while the statement runs, and the rows i of each with their number in it, from 0 on.
(SELECT (r.batch).first, (r.batch).beyond, (r.batch).start, (r.batch).labels, (r.batch).codes, (r.batch).common,
        (r.batch).documents, (r.batch).numbers
 FROM (SELECT sys._scored() AS batch OFFSET 0) AS r OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT {number} AS _4aad19ca6e_n, q.* FROM ONLY {source} AS q
                    WHERE q.ctid >= s.first AND q.ctid < s.beyond OFFSET 0) AS i

-- number()
(row_number() OVER ())::integer - 1

-- number_by_key()
-- Out of the new table's sequence, which nobody else can use yet: half the work of a window, and the key is found, too.
(nextval({sequence}::regclass) - 1 - s.start)::integer

-- labels()
(SELECT (array_agg(l.name::{type} ORDER BY l.n)) FROM jsonb_array_elements_text({classes}) WITH ORDINALITY AS l (name, n))

-- document_of_label()
-- A code is three bytes. The first codes are those of the common documents, the next ones those of the batch.
coalesce((SELECT sys._scored_values()) -> ({code}), s.documents -> (({code}) - s.common))

-- document_of_number()
({before} || {number} || {after})::jsonb

-- code()
-- Operators like these are evaluated from left to right.
get_byte(s.codes, 3 * i._4aad19ca6e_n) << 8 | get_byte(s.codes, 3 * i._4aad19ca6e_n + 1) << 8
| get_byte(s.codes, 3 * i._4aad19ca6e_n + 2)

-- write_batches()
INSERT INTO {output} ({names}, prediction, ml_results)
SELECT {columns}, {prediction}, {document} FROM {batches};

-- write_inline()
-- A row that the model, an expression, has no answer for makes the statement fail. The cast rounds.
INSERT INTO {output} ({names}, prediction, ml_results)
SELECT {columns}, {prediction}, (SELECT sys._scored_values()) -> ((10000 * i._4aad19ca6e_n)::integer + ({second})::integer)
FROM (SELECT q.*, coalesce({probability}, 'NaN') AS _4aad19ca6e_n FROM ONLY {source} AS q OFFSET 0) AS i;

-- add_primary_key()
ALTER TABLE {output} ADD PRIMARY KEY ({columns});

-- make_identity()
-- Many numbers at once are several times cheaper.
ALTER TABLE {output} ALTER COLUMN _4aad19ca6e_pk_id SET NOT NULL,
                     ALTER COLUMN _4aad19ca6e_pk_id ADD GENERATED BY DEFAULT AS IDENTITY (CACHE 1000);

-- begin_identity(text)
-- A statement that failed may have taken numbers: these do not come back.
SELECT s.name, setval(s.name::regclass, 1, false) FROM pg_get_serial_sequence($1, '_4aad19ca6e_pk_id') AS s (name);

-- continue_identity()
ALTER TABLE {output} ALTER COLUMN _4aad19ca6e_pk_id SET CACHE 1;

-- skip_identity(text)
SELECT setval(pg_get_serial_sequence($1, '_4aad19ca6e_pk_id'), n.last)
FROM (SELECT max(o._4aad19ca6e_pk_id) AS last FROM {output} AS o) AS n WHERE n.last IS NOT NULL;

-- add_output_columns()
ALTER TABLE {output} ADD COLUMN _4aad19ca6e_pk_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
                     ADD COLUMN prediction {type}, ADD COLUMN ml_results jsonb;

-- fill_batches()
UPDATE ONLY {output} AS o SET prediction = f.prediction, ml_results = f.ml_results
FROM (SELECT i._4aad19ca6e_pk_id AS id, {prediction} AS prediction, {document} AS ml_results FROM {batches}) AS f
WHERE o._4aad19ca6e_pk_id = f.id;

-- --- sharing ------------------------------------------------------------------------------------

-- insert_privilege(text, regrole, text, integer)
INSERT INTO {schema}.model_privilege (model_handle, grantee, privilege, partition_id) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- delete_privilege(text, regrole, text, integer)
-- Without a partition, those on single partitions too.
DELETE FROM {schema}.model_privilege
WHERE model_handle = $1 AND grantee = $2 AND ($3 IS NULL OR privilege = $3) AND ($4 IS NULL OR partition_id = $4);

-- privileges_left(regrole)
SELECT DISTINCT privilege, partition_id IS NULL AS whole FROM {schema}.model_privilege WHERE grantee = $1;

-- open_door()
GRANT EXECUTE ON FUNCTION sys.{door}() TO {grantee};

-- close_door()
REVOKE EXECUTE ON FUNCTION sys.{door}() FROM {grantee};

-- open_catalog()
GRANT USAGE ON SCHEMA {schema} TO {grantee};
GRANT SELECT ON {schema}.model_catalog, {schema}.model_object_catalog, {schema}.model_partition,
                {schema}.model_privilege TO {grantee};

-- open_catalog_for_change()
GRANT UPDATE, DELETE ON {schema}.model_catalog TO {grantee};
GRANT INSERT, UPDATE, DELETE ON {schema}.model_object_catalog, {schema}.model_partition TO {grantee};

-- close_catalog()
REVOKE ALL ON {schema}.model_catalog, {schema}.model_object_catalog, {schema}.model_partition,
              {schema}.model_privilege FROM {grantee};

-- close_catalog_for_change()
REVOKE UPDATE, DELETE ON {schema}.model_catalog FROM {grantee};
REVOKE INSERT, UPDATE, DELETE ON {schema}.model_object_catalog, {schema}.model_partition FROM {grantee};

-- --- relations ----------------------------------------------------------------------------------

-- relation_attributes(regclass)
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, c.relkind, c.relhassubclass AS has_children,
       CASE WHEN t.typtype = 'd' THEN format_type(b.oid, NULL) ELSE format_type(a.atttypid, a.atttypmod) END AS plain,
       CASE WHEN b.typtype = 'e' THEN 'enum' WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname::text
            ELSE 'other' END AS base,
       -- A policy may say otherwise when it is asked again, and ctid is for those who may read the whole table.
       CASE WHEN c.relkind IN ('r', 'm') AND NOT row_security_active(c.oid) AND has_table_privilege(c.oid, 'SELECT')
            THEN (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint END AS blocks
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_type AS b ON b.oid = CASE WHEN t.typtype = 'd' THEN sys._base_type(t.oid) ELSE t.oid END
WHERE c.oid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- types(oid[])
SELECT t.oid::bigint, format_type(t.oid, NULL) AS type, format_type(b.oid, NULL) AS plain,
       CASE WHEN b.typtype = 'e' THEN 'enum' WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname::text
            ELSE 'other' END AS base
FROM pg_type AS t JOIN pg_type AS b ON b.oid = CASE WHEN t.typtype = 'd' THEN sys._base_type(t.oid) ELSE t.oid END
WHERE t.oid = ANY ($1);

-- primary_key(regclass)
-- Not that of a table with heirs, whose rows may repeat it.
SELECT a.attname::text AS name FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
JOIN pg_attribute AS a ON a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = $1 AND k.n <= i.indnkeyatts
  AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = $1 AND c.relkind = 'r' AND c.relhassubclass) ORDER BY k.n;

-- read_blocks(tid, tid)
SELECT count(*)::integer AS rows, sys._raw(array_agg({numbers})) AS numbers, sys._raw(array_agg({strings})) AS strings
FROM ONLY {source} AS q WHERE q.ctid >= $1 AND q.ctid < $2;

-- read_query(integer)
SELECT count(*)::integer AS rows, sys._raw(array_agg(s.numbers)) AS numbers, sys._raw(array_agg(s.strings)) AS strings,
       array_agg(s.document) FILTER (WHERE s.document IS NOT NULL) AS documents
FROM (SELECT {numbers} AS numbers, {strings} AS strings, {document} AS document, (row_number() OVER () - 1) / $1 AS batch
      FROM {source} AS q) AS s GROUP BY s.batch ORDER BY s.batch;

-- distinct_strings()
SELECT array_agg(s.string) AS strings, array_agg(hashtextextended(s.string, 0)) AS hashes
FROM (SELECT DISTINCT {string} AS string FROM {source} AS q ORDER BY 1) AS s WHERE s.string IS NOT NULL;

-- hash_strings(text[])
SELECT array_agg(s.string ORDER BY s.n) AS strings,
       array_agg(hashtextextended(s.string COLLATE "C", 0) ORDER BY s.n) AS hashes
FROM unnest($1) WITH ORDINALITY AS s (string, n);

-- now()
SELECT now()::text;

-- server_version()
SELECT current_setting('server_version');

-- is_table(regclass)
SELECT relkind = 'r' FROM pg_class WHERE oid = $1;

-- same_table(text, regclass)
SELECT coalesce(to_regclass($1) = $2, false) AS same;

-- table_exists(text)
SELECT to_regclass($1) IS NOT NULL AS there;

-- pid()
SELECT pg_backend_pid();

-- --- export and import ---------------------------------------------------------------------------

-- create_export()
CREATE TABLE {output} (
    chunk_id       integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    model_object   bytea,
    model_metadata jsonb
);
ALTER TABLE {output} ALTER COLUMN model_object SET STORAGE EXTERNAL;

-- export_chunk(integer, bytea, jsonb)
INSERT INTO {output} (chunk_id, model_object, model_metadata) VALUES ($1, $2, $3);

-- lock_to_read()
LOCK TABLE {table} IN ACCESS SHARE MODE;

-- is_plain_table(regclass)
-- Not by pg_has_role: a superuser has every role.
SELECT pg_get_userbyid(c.relowner) = current_user
    OR (c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relrowsecurity AND NOT c.relhassubclass
        AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND num_nonnulls(i.indexprs, i.indpred) > 0)
        AND NOT EXISTS (SELECT FROM pg_statistic_ext AS s WHERE s.stxrelid = c.oid)
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'c')
        AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attgenerated <> '')) AS plain
FROM pg_class AS c WHERE c.oid = $1;

-- export_summary()
SELECT coalesce(sum(octet_length(model_object)), 0)::bigint AS bytes FROM {table};

-- export_rows()
SELECT chunk_id::bigint, model_object, model_metadata::text FROM {table} ORDER BY chunk_id;

-- folded(text)
SELECT parse_ident($1) AS names;

-- --- compiled functions ---------------------------------------------------------------------------

-- is_utf8()
SELECT getdatabaseencoding() = 'UTF8';

-- encoding()
SELECT getdatabaseencoding();

-- function_exists(text)
SELECT EXISTS (SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
               WHERE ARRAY[n.nspname, p.proname] = parse_ident($1)::name[]) AS there;

-- today()
SELECT current_date::text;

-- create_compiled_sql()
CREATE {or_replace} FUNCTION {function} ({arguments}) RETURNS pg_catalog.{returns}
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST {cost} {settings}
RETURN {body};

-- create_compiled_plpgsql()
CREATE {or_replace} FUNCTION {function} ({arguments}) RETURNS pg_catalog.{returns}
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST {cost} {settings}
AS {body};

-- comment_on_compiled()
COMMENT ON FUNCTION {function} ({types}) IS {text};

-- --- shares of others -----------------------------------------------------------------------------

-- private_endpoints()
SELECT mlshare_share.setting_value('private_endpoints') = 'true';

-- name_of_share_object(text, text)
SELECT mlshare_share.check_name($1, $2, '[[:cntrl:]]');

-- share_provider(text)
-- One of the caller's own.
SELECT provider_id, owner::text AS owner, provider_name, endpoint, sealed_token
FROM mlshare_share.share_provider
WHERE owner = mlshare_share.me() AND provider_name = mlshare_share.fold($1);

-- share_object_taken(text, text)
SELECT mlshare_share.taken($1, $2);

-- insert_share_provider(text, text, bytea)
INSERT INTO mlshare_share.share_provider (owner, provider_name, endpoint, sealed_token)
VALUES (mlshare_share.me(), $1, $2, $3);

-- update_share_provider(uuid, text, bytea)
UPDATE mlshare_share.share_provider SET endpoint = $2, sealed_token = $3, updated = now() WHERE provider_id = $1;

-- share_link(text)
SELECT l.link_id, l.share_name, p.provider_id, p.owner::text AS owner, p.provider_name, p.endpoint, p.sealed_token
FROM mlshare_share.share_link AS l JOIN mlshare_share.share_provider AS p USING (provider_id)
WHERE l.owner = mlshare_share.me() AND l.link_name = mlshare_share.fold($1);

-- default_schema()
SELECT coalesce((SELECT nspname::text FROM pg_namespace WHERE nspname = current_user), 'public');

-- create_link_data()
CREATE TABLE {data} ({columns});

-- create_link_view()
CREATE VIEW {view} WITH (security_barrier) AS SELECT {columns} FROM {data};
COMMENT ON VIEW {view} IS {comment};

-- insert_link_view(uuid, text, text, text, text, text[], text)
INSERT INTO mlshare_share.share_link_view
    (owner, link_id, view, data, share_schema_name, share_table_name, column_names, where_clause)
VALUES (mlshare_share.me(), $1, $2::regclass, $3::regclass, $4, $5, $6, $7);

-- share_link_view(text)
-- Locked: of two that refresh it, one waits and then finds it fresh.
SELECT v.view_id, v.view::text AS view, v.data::text AS data, v.share_schema_name, v.share_table_name, v.column_names, v.where_clause,
       v.table_version, v.table_id, v.file_ids, l.share_name, p.provider_id, p.owner::text AS owner, p.provider_name, p.endpoint,
       p.sealed_token
FROM mlshare_share.share_link_view AS v
JOIN mlshare_share.share_link AS l USING (link_id)
JOIN mlshare_share.share_provider AS p USING (provider_id)
WHERE v.view = to_regclass($1) AND v.owner = mlshare_share.me()
FOR UPDATE OF v;

-- delete_link_files(text[])
DELETE FROM {data} WHERE mlshare_file = ANY ($1);

-- insert_link_rows(text, text)
INSERT INTO {data} ({columns}, mlshare_file)
SELECT {columns}, $2 FROM json_to_recordset($1::json) AS r ({record}) WHERE ({condition}
);

-- update_link_view(uuid, bigint, text, text[], integer)
UPDATE mlshare_share.share_link_view
SET table_version = $2, table_id = $3, file_ids = $4, num_files = $5, refreshed = now()
WHERE view_id = $1;

-- analyze_link_data()
ANALYZE {data};

-- drop_link_view()
DROP VIEW {view};
DROP TABLE {data};

-- delete_link_view(uuid)
DELETE FROM mlshare_share.share_link_view WHERE view_id = $1;
