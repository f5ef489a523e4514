-- Statements of the publish worker. A header line gives the name and the parameters.

-- --- jobs ----------------------------------------------------------------------------------------

-- present()
SELECT pg_advisory_lock_shared(1835821928, 0);

-- claim()
UPDATE mlshare_share.job AS j SET status = 'RUNNING', started = now(), ended = NULL, attempts = attempts + 1,
                                  num_rows = 0, size = 0
WHERE j.job_id = (
    SELECT q.job_id FROM mlshare_share.job AS q
    WHERE q.status = 'QUEUED'
      AND (q.share_id IS NULL OR NOT EXISTS (SELECT FROM mlshare_share.job AS r
                                             WHERE r.share_id = q.share_id AND r.status = 'RUNNING'))
    ORDER BY q.job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING j.job_id, j.kind, j.owner::oid::bigint AS owner, pg_get_userbyid(j.owner) AS owner_name, j.share_id,
          j.storage_link_id, j.arguments, j.cancel_requested, j.attempts;

-- hold(job_id)
SELECT pg_try_advisory_lock(1835821928, (%(job_id)s %% 2147483647)::int) AS held;

-- release(job_id)
SELECT pg_advisory_unlock(1835821928, (%(job_id)s %% 2147483647)::int);

-- running()
SELECT j.job_id, j.share_id, j.share_version, j.attempts FROM mlshare_share.job AS j WHERE j.status = 'RUNNING';

-- to_cancel()
SELECT j.job_id FROM mlshare_share.job AS j WHERE j.status = 'RUNNING' AND j.cancel_requested;

-- requeue(job_id)
UPDATE mlshare_share.job AS j SET status = 'QUEUED' WHERE j.job_id = %(job_id)s AND j.status = 'RUNNING';

-- schedule()
WITH due AS (
    UPDATE mlshare_share.share AS s
    -- Both columns are the owner's to write.
    SET next_publish = greatest(now(), s.next_publish + greatest('1 second', least('10 years',
                                mlshare_share.duration(s.properties ->> 'PUBLISH_INTERVAL'))))
    WHERE s.next_publish <= now() AND isfinite(s.next_publish) AND s.properties ? 'PUBLISH_INTERVAL'
    RETURNING s.share_id, s.owner)
INSERT INTO mlshare_share.job (owner, kind, share_id, arguments)
SELECT due.owner, 'PUBLISH', due.share_id, '{"scheduled": true}' FROM due
WHERE NOT EXISTS (SELECT FROM mlshare_share.job AS j WHERE j.share_id = due.share_id AND j.status IN ('QUEUED', 'RUNNING'))
  AND EXISTS (SELECT FROM mlshare_share.share_table AS t WHERE t.share_id = due.share_id);

-- next_publish()
SELECT extract(epoch FROM min(s.next_publish) - clock_timestamp())::float8 AS seconds FROM mlshare_share.share AS s
WHERE isfinite(s.next_publish);

-- progress(job_id, num_rows, size)
UPDATE mlshare_share.job AS j SET num_rows = %(num_rows)s, size = %(size)s WHERE j.job_id = %(job_id)s
RETURNING j.cancel_requested;

-- expect(job_id, total_rows)
UPDATE mlshare_share.job AS j SET total_rows = %(total_rows)s WHERE j.job_id = %(job_id)s;

-- finish(job_id, status, error, result)
UPDATE mlshare_share.job AS j
SET status = %(status)s, ended = clock_timestamp(), error = %(error)s, result = %(result)s
WHERE j.job_id = %(job_id)s AND j.status = 'RUNNING';

-- cancel_queued()
UPDATE mlshare_share.job AS j SET status = 'CANCELLED', ended = now(), error = 'the job was cancelled'
WHERE j.status = 'QUEUED' AND j.cancel_requested;

-- setting(name)
SELECT mlshare_share.setting_value(%(name)s) AS value;

-- reader_login(owner)
SELECT l.reader, l.password FROM mlshare_share.reader_login(%(owner)s::bigint::oid::regrole) AS l;

-- storage_access(link)
SELECT a.uri, a.username, a.password, a.metadata FROM mlshare_share.storage_access(%(link)s) AS a;

-- link_uri(link)
SELECT l.uri FROM mlshare_share.storage_link AS l WHERE l.storage_link_id = %(link)s;

-- --- publishing ----------------------------------------------------------------------------------

-- share(share_id)
SELECT s.share_id, s.share_name::text, s.storage_link_id, s.storage_folder, s.current_version, s.properties
FROM mlshare_share.share AS s WHERE s.share_id = %(share_id)s;

-- share_tables(share_id)
SELECT t.table_id, t.share_schema_name::text, t.share_table_name::text, t.table_owner::text, t.table_name::text,
       t.columns::text[] AS columns, t.where_clause, t.properties
FROM mlshare_share.share_table AS t WHERE t.share_id = %(share_id)s
ORDER BY t.share_schema_name, t.share_table_name;

-- begin_version(share_id, job_id, export_time)
WITH numbered AS (
    UPDATE mlshare_share.share AS s SET last_version = s.last_version + 1 WHERE s.share_id = %(share_id)s
    RETURNING s.share_id, s.last_version
), made AS (
    INSERT INTO mlshare_share.version (share_id, share_version, export_time)
    SELECT share_id, last_version, %(export_time)s FROM numbered RETURNING share_version)
UPDATE mlshare_share.job AS j SET share_version = made.share_version FROM made WHERE j.job_id = %(job_id)s
RETURNING made.share_version;

-- begin_again(share_id, share_version, export_time)
UPDATE mlshare_share.version AS v SET export_time = %(export_time)s
WHERE v.share_id = %(share_id)s AND v.share_version = %(share_version)s;

-- last_exported(share_id)
SELECT max(v.share_version) AS share_version FROM mlshare_share.version AS v
WHERE v.share_id = %(share_id)s AND v.status = 'EXPORTED';

-- fingerprint_of(share_id, share_version, table_id, partition_name)
SELECT p.fingerprint FROM mlshare_share.version_partition AS p
WHERE p.share_id = %(share_id)s AND p.share_version = %(share_version)s AND p.table_id = %(table_id)s
  AND p.partition_name = %(partition_name)s;

-- files_of(share_id, share_version, table_id, partition_name, storage_link_id)
SELECT f.file_id, f.size, f.num_rows, f.sha256
FROM mlshare_share.version_file AS v JOIN mlshare_share.file AS f USING (file_id)
WHERE v.share_id = %(share_id)s AND v.share_version = %(share_version)s AND v.table_id = %(table_id)s
  AND f.partition_name = %(partition_name)s AND f.storage_link_id = %(storage_link_id)s
ORDER BY v.file_no;

-- begin_file(file_id, storage_link_id, share_id, table_id, partition_name, path, first_version)
INSERT INTO mlshare_share.file (file_id, storage_link_id, share_id, table_id, partition_name, path, first_version)
VALUES (%(file_id)s, %(storage_link_id)s, %(share_id)s, %(table_id)s, %(partition_name)s, %(path)s, %(first_version)s);

-- end_file(file_id, size, num_rows, sha256, stats)
UPDATE mlshare_share.file AS f
SET complete = true, size = %(size)s, num_rows = %(num_rows)s, sha256 = %(sha256)s, stats = %(stats)s
WHERE f.file_id = %(file_id)s;

-- begin_segment(job_id, segment_no, table_id, partition_name)
INSERT INTO mlshare_share.job_segment (job_id, segment_no, table_id, partition_name, status)
VALUES (%(job_id)s, %(segment_no)s, %(table_id)s, %(partition_name)s, 'RUNNING');

-- end_segment(job_id, segment_no, status, num_rows, size)
UPDATE mlshare_share.job_segment AS g
SET status = %(status)s, num_rows = %(num_rows)s, size = %(size)s, ended = clock_timestamp()
WHERE g.job_id = %(job_id)s AND g.segment_no = %(segment_no)s;

-- clear_segments(job_id)
DELETE FROM mlshare_share.job_segment AS g WHERE g.job_id = %(job_id)s;

-- lock_job(job_id)
SELECT j.cancel_requested, j.status FROM mlshare_share.job AS j WHERE j.job_id = %(job_id)s FOR UPDATE;

-- end_table(share_id, share_version, table_id, schema_name, table_name, table_schema, primary_key, comment, num_files, num_rows, size)
INSERT INTO mlshare_share.version_table (share_id, share_version, table_id, share_schema_name, share_table_name, table_schema,
                                         primary_key, comment, num_files, num_rows, size)
VALUES (%(share_id)s, %(share_version)s, %(table_id)s, %(schema_name)s, %(table_name)s, %(table_schema)s, %(primary_key)s,
        %(comment)s, %(num_files)s, %(num_rows)s, %(size)s);

-- end_table_files(share_id, share_version, table_id, files)
INSERT INTO mlshare_share.version_file (share_id, share_version, table_id, file_no, file_id)
SELECT %(share_id)s, %(share_version)s, %(table_id)s, f.no, f.id
FROM unnest(%(files)s::uuid[]) WITH ORDINALITY AS f (id, no);

-- end_partition(share_id, share_version, table_id, partition_name, fingerprint)
INSERT INTO mlshare_share.version_partition (share_id, share_version, table_id, partition_name, fingerprint)
VALUES (%(share_id)s, %(share_version)s, %(table_id)s, %(partition_name)s, %(fingerprint)s);

-- end_version(share_id, share_version)
UPDATE mlshare_share.version AS v SET status = 'EXPORTED', published = clock_timestamp(), num_files = t.num_files,
                                      num_rows = t.num_rows, size = t.size
FROM (SELECT coalesce(sum(num_files), 0) AS num_files, coalesce(sum(num_rows), 0) AS num_rows, coalesce(sum(size), 0) AS size
      FROM mlshare_share.version_table WHERE share_id = %(share_id)s AND share_version = %(share_version)s) AS t
WHERE v.share_id = %(share_id)s AND v.share_version = %(share_version)s;

-- serve(share_id, share_version)
UPDATE mlshare_share.share AS s SET current_version = %(share_version)s WHERE s.share_id = %(share_id)s;

-- drop_older(share_id, before)
UPDATE mlshare_share.version AS v SET status = 'DROPPED'
WHERE v.share_id = %(share_id)s AND v.share_version < %(before)s AND v.status IN ('EXPORTED', 'FAILED');

-- keep_last(share_id, kept)
UPDATE mlshare_share.version AS v SET status = 'DROPPED'
WHERE v.share_id = %(share_id)s AND v.status = 'EXPORTED' AND v.share_version NOT IN (
    SELECT k.share_version FROM mlshare_share.version AS k WHERE k.share_id = %(share_id)s AND k.status = 'EXPORTED'
    ORDER BY k.share_version DESC LIMIT %(kept)s);

-- fail_version(share_id, share_version)
UPDATE mlshare_share.version AS v SET status = 'FAILED'
WHERE v.share_id = %(share_id)s AND v.share_version = %(share_version)s AND v.status = 'EXPORTING';

-- event(share_id, job_id, status, object_name, partition_name, details)
INSERT INTO mlshare_share.share_event (share_id, job_id, status, object_name, partition_name, details)
SELECT s.share_id, %(job_id)s, %(status)s, %(object_name)s, %(partition_name)s, %(details)s
FROM mlshare_share.share AS s WHERE s.share_id = %(share_id)s;

-- --- files that nobody needs ---------------------------------------------------------------------

-- detached(link, share_id, first_version)
SELECT f.file_id, f.path FROM mlshare_share.file AS f
WHERE f.storage_link_id = %(link)s
  AND (%(share_id)s::uuid IS NULL OR f.share_id = %(share_id)s AND f.first_version = %(first_version)s)
  AND NOT EXISTS (SELECT FROM mlshare_share.version_file AS v WHERE v.file_id = f.file_id)
  AND NOT EXISTS (SELECT FROM mlshare_share.version AS v WHERE v.share_id = f.share_id
                  AND v.share_version = f.first_version AND v.status = 'EXPORTING')
ORDER BY f.file_id;

-- forget(file_id)
DELETE FROM mlshare_share.file AS f
WHERE f.file_id = %(file_id)s AND NOT EXISTS (SELECT FROM mlshare_share.version_file AS v WHERE v.file_id = f.file_id);

-- --- in the owner's session ----------------------------------------------------------------------

-- relation(schema_name, table_name)
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, c.relrowsecurity AS row_security, c.reltuples::bigint AS num_rows,
       pg_relation_filenode(c.oid)::bigint AS filenode, obj_description(c.oid, 'pg_class') AS comment,
       (SELECT a.amname FROM pg_am AS a WHERE a.oid = c.relam) AS method,
       has_table_privilege(c.oid, 'SELECT') AS readable, row_security_active(c.oid) AS filtered,
       c.relhassubclass AS has_children
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema_name)s AND c.relname = %(table_name)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f');

-- replaced()
-- The catalog is read by the snapshot, files are looked up as they are now: which locked relations are others since.
SELECT l.relation::bigint AS oid
FROM pg_locks AS l LEFT JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
  AND (c.oid IS NULL OR c.relkind IN ('r', 'm') AND c.relfilenode <> 0
                        AND c.relfilenode <> pg_relation_filenode(l.relation));

-- leaves(oid)
SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS table_name, c.relkind::text AS kind,
       c.reltuples::bigint AS num_rows, pg_relation_filenode(c.oid)::bigint AS filenode,
       (SELECT a.amname FROM pg_am AS a WHERE a.oid = c.relam) AS method,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable,
       row_security_active(c.oid) AS filtered, c.relhassubclass AS has_children
FROM pg_partition_tree(%(oid)s::bigint::oid::regclass) AS t
JOIN pg_class AS c ON c.oid = t.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.isleaf ORDER BY n.nspname, c.relname;

-- columns(oid)
SELECT a.attname AS name, a.attnum AS number, a.atttypid::bigint AS type, a.atttypmod AS typmod, a.attndims AS dimensions, a.attnotnull AS not_null,
       col_description(a.attrelid, a.attnum) AS comment
FROM pg_attribute AS a WHERE a.attrelid = %(oid)s::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- type(oid)
SELECT t.typname AS name, n.nspname AS schema_name, t.typtype::text AS kind, t.typcategory::text AS category,
       t.typelem::bigint AS element, t.typbasetype::bigint AS base, t.typtypmod AS typmod, t.typrelid::bigint AS relation,
       t.typndims AS dimensions, format_type(t.oid, NULL) AS shown,
       (SELECT string_agg(e.enumlabel, ',' ORDER BY e.oid) FROM pg_enum AS e WHERE e.enumtypid = t.oid) AS labels
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.oid = %(oid)s::bigint::oid;

-- primary_key(oid)
SELECT (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
        FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) AS columns
FROM pg_index AS i WHERE i.indrelid = %(oid)s::bigint::oid AND i.indisprimary;

-- pages(oid)
SELECT pg_relation_size(%(oid)s::bigint::oid::regclass) / current_setting('block_size')::int AS pages;

-- version_of_job(job_id)
SELECT j.share_version FROM mlshare_share.job AS j WHERE j.job_id = %(job_id)s;
