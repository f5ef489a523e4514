-- What the caller may see of shares: all_… shows the rows of every role whose rights the caller has (row-level security
-- of the tables under it decides), user_… those of the caller, dba_… all, for administrators.

CREATE OR REPLACE FUNCTION mlshare_share.object_status(schema_name name, relation_name name) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW'
                                           WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'FOREIGN TABLE' END
                     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE n.nspname = schema_name AND c.relname = relation_name), 'MISSING');
END;
COMMENT ON FUNCTION mlshare_share.object_status(name, name) IS 'What kind of relation that is';

CREATE OR REPLACE VIEW sys.all_shares WITH (security_invoker = true) AS
SELECT s.share_id, pg_get_userbyid(s.owner) AS owner, s.share_name::text, s.share_type, s.current_version, s.description,
       s.public_description, l.storage_link_name, s.storage_folder, s.properties, s.created, s.updated
FROM mlshare_share.share AS s LEFT JOIN mlshare_share.storage_link AS l USING (storage_link_id);
COMMENT ON VIEW sys.all_shares IS 'Shares';

CREATE OR REPLACE VIEW sys.all_share_tables WITH (security_invoker = true) AS
SELECT pg_get_userbyid(s.owner) AS owner, s.share_name::text, t.share_schema_name::text, t.share_table_name::text,
       mlshare_share.object_status(t.table_owner, t.table_name) AS object_type, t.table_owner, t.table_name,
       CASE WHEN EXISTS (SELECT FROM mlshare_share.version_table AS v WHERE v.share_id = s.share_id
                         AND v.share_version = s.current_version AND v.table_id = t.table_id)
            THEN 'PUBLISHED' ELSE 'NOT PUBLISHED' END AS status,
       t.columns AS column_list, t.where_clause, t.properties, t.table_id, t.updated
FROM mlshare_share.share_table AS t JOIN mlshare_share.share AS s USING (share_id);
COMMENT ON VIEW sys.all_share_tables IS 'Tables of shares, as the next publish takes them';

CREATE OR REPLACE VIEW sys.all_share_schemas WITH (security_invoker = true) AS
SELECT pg_get_userbyid(s.owner) AS owner, s.share_name::text, t.share_schema_name::text, count(*) AS num_tables
FROM mlshare_share.share_table AS t JOIN mlshare_share.share AS s USING (share_id)
GROUP BY s.share_id, t.share_schema_name;
COMMENT ON VIEW sys.all_share_schemas IS 'Schemas of shares';

CREATE OR REPLACE VIEW sys.all_share_versions WITH (security_invoker = true) AS
SELECT pg_get_userbyid(s.owner) AS owner, s.share_name::text, v.share_version,
       CASE WHEN v.share_version = s.current_version THEN 'CURRENT'
            WHEN v.status = 'EXPORTED' AND v.share_version < s.current_version THEN 'RETIRED'
            ELSE v.status END AS status,
       v.num_files, v.num_rows, v.size AS total_size, v.export_time, v.published
FROM mlshare_share.version AS v JOIN mlshare_share.share AS s USING (share_id);
COMMENT ON VIEW sys.all_share_versions IS 'Versions of shares: EXPORTING, EXPORTED, CURRENT, RETIRED, FAILED or DROPPED';

CREATE OR REPLACE VIEW sys.all_share_files WITH (security_invoker = true) AS
SELECT pg_get_userbyid(s.owner) AS owner, s.share_name::text, v.share_version, t.share_schema_name::text,
       t.share_table_name::text, f.partition_name, f.path AS file_name, f.size AS file_size, f.num_rows,
       f.first_version, f.file_id, encode(f.sha256, 'hex') AS sha256
FROM mlshare_share.version_file AS v
JOIN mlshare_share.version_table AS t USING (share_id, share_version, table_id)
JOIN mlshare_share.file AS f USING (file_id)
JOIN mlshare_share.share AS s ON s.share_id = v.share_id;
COMMENT ON VIEW sys.all_share_files IS 'Files that make up the versions of shares';

CREATE OR REPLACE VIEW sys.all_share_detached_files WITH (security_invoker = true) AS
SELECT pg_get_userbyid(l.owner) AS owner, l.storage_link_name, f.path AS file_name, f.size AS file_size, f.complete,
       f.created, f.file_id
FROM mlshare_share.file AS f JOIN mlshare_share.storage_link AS l USING (storage_link_id)
WHERE NOT EXISTS (SELECT FROM mlshare_share.version_file AS v WHERE v.file_id = f.file_id)
  AND NOT EXISTS (SELECT FROM mlshare_share.version AS v WHERE v.share_id = f.share_id
                  AND v.share_version = f.first_version AND v.status = 'EXPORTING');
COMMENT ON VIEW sys.all_share_detached_files IS 'Files that no version needs any more; dbms_share.purge_detached_files deletes them';

CREATE OR REPLACE VIEW sys.all_share_jobs WITH (security_invoker = true) AS
SELECT j.job_id, pg_get_userbyid(j.owner) AS owner, s.share_name::text, j.kind AS job_type, j.share_version, j.status,
       j.requested, j.started, j.ended, j.num_rows, j.total_rows, j.size,
       CASE WHEN j.status = 'COMPLETED' THEN 100
            WHEN j.total_rows > 0 THEN least(99, round(100.0 * j.num_rows / j.total_rows)::int) ELSE 0 END AS percent_done,
       j.error
FROM mlshare_share.job AS j LEFT JOIN mlshare_share.share AS s USING (share_id);
COMMENT ON VIEW sys.all_share_jobs IS 'Work of the publish worker: QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED';

CREATE OR REPLACE VIEW sys.all_share_job_segments WITH (security_invoker = true) AS
SELECT g.job_id, pg_get_userbyid(j.owner) AS owner, g.segment_no, t.share_schema_name::text, t.share_table_name::text,
       g.partition_name, g.status, g.num_rows, g.size, g.started, g.ended
FROM mlshare_share.job_segment AS g JOIN mlshare_share.job AS j USING (job_id)
LEFT JOIN mlshare_share.share_table AS t USING (table_id);
COMMENT ON VIEW sys.all_share_job_segments IS 'The parts of a publish: one for each table or partition';

CREATE OR REPLACE VIEW sys.all_share_recipients WITH (security_invoker = true) AS
SELECT pg_get_userbyid(r.owner) AS owner, r.recipient_name, r.recipient_id, 'DELTA_SHARING' AS recipient_type,
       r.description, r.token_lifetime, r.version_access, r.ip_list,
       (SELECT max(t.expires) FROM mlshare_share.token AS t
        WHERE t.recipient_id = r.recipient_id AND t.revoked IS NULL) AS token_expires,
       r.created, r.updated
FROM mlshare_share.recipient AS r;
COMMENT ON VIEW sys.all_share_recipients IS 'Recipients of shares';

CREATE OR REPLACE VIEW sys.all_share_recipient_grants WITH (security_invoker = true) AS
SELECT pg_get_userbyid(s.owner) AS owner, r.recipient_name, r.recipient_id, s.share_name::text, s.share_id, g.updated
FROM mlshare_share.recipient_grant AS g
JOIN mlshare_share.recipient AS r USING (recipient_id) JOIN mlshare_share.share AS s USING (share_id);
COMMENT ON VIEW sys.all_share_recipient_grants IS 'Which recipient may read which share';

CREATE OR REPLACE VIEW sys.all_share_events WITH (security_invoker = true) AS
SELECT e.event_id, pg_get_userbyid(s.owner) AS owner, s.share_name::text, e."time", e.status, e.object_name,
       e.partition_name, e.details, e.job_id
FROM mlshare_share.share_event AS e JOIN mlshare_share.share AS s USING (share_id);
COMMENT ON VIEW sys.all_share_events IS 'What happened while shares were published';

CREATE OR REPLACE VIEW sys.all_share_recipient_events WITH (security_invoker = true) AS
SELECT e.event_id, pg_get_userbyid(r.owner) AS owner, r.recipient_name, e.recipient_id, e."time", e.endpoint, e.status,
       e.share_name, e.schema_name, e.table_name, e.share_version, e.num_files, e.size, e.duration, e.address, e.user_agent,
       e.details
FROM mlshare_share.recipient_event AS e JOIN mlshare_share.recipient AS r USING (recipient_id);
COMMENT ON VIEW sys.all_share_recipient_events IS 'Requests that recipients made';

CREATE OR REPLACE VIEW sys.all_lineage_cloud_storage_links WITH (security_invoker = true) AS
SELECT pg_get_userbyid(l.owner) AS owner, l.storage_link_name, l.credential_name, l.uri, l.description, l.metadata, l.updated
FROM mlshare_share.storage_link AS l;
COMMENT ON VIEW sys.all_lineage_cloud_storage_links IS 'Places for published files';

CREATE OR REPLACE VIEW sys.all_object_shareability WITH (security_invoker = true) AS
SELECT o.object_owner, o.object_name, o.object_type, CASE WHEN o.reason IS NULL THEN 'YES' ELSE 'NO' END AS shareable, o.reason
FROM (SELECT n.nspname AS object_owner, c.relname AS object_name, mlshare_share.object_status(n.nspname, c.relname) AS object_type,
             CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'no USAGE privilege on its schema'
                  WHEN NOT (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
                  THEN 'no SELECT privilege on any column' END AS reason
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'sys', 'mlshare_share')
        AND n.nspname NOT LIKE 'pg\_temp%') AS o;
COMMENT ON VIEW sys.all_object_shareability IS 'Tables and views, whether the caller could share them, and if not, why';

CREATE OR REPLACE VIEW sys.all_shareable_objects WITH (security_invoker = true) AS
SELECT o.object_owner, o.object_name, o.object_type FROM sys.all_object_shareability AS o WHERE o.shareable = 'YES';
COMMENT ON VIEW sys.all_shareable_objects IS 'Tables and views that the caller could share';

CREATE OR REPLACE VIEW sys.all_share_providers WITH (security_invoker = true) AS
SELECT p.provider_name, p.endpoint, p.updated, pg_get_userbyid(p.owner) AS owner FROM mlshare_share.share_provider AS p;
COMMENT ON VIEW sys.all_share_providers IS 'Providers of shares that are read here';

CREATE OR REPLACE VIEW sys.all_share_links WITH (security_invoker = true) AS
SELECT p.provider_name AS share_provider_name, l.link_name, l.share_name, l.updated, pg_get_userbyid(l.owner) AS owner
FROM mlshare_share.share_link AS l JOIN mlshare_share.share_provider AS p USING (provider_id);
COMMENT ON VIEW sys.all_share_links IS 'Shares of others that are linked';

CREATE OR REPLACE VIEW sys.all_share_link_views WITH (security_invoker = true) AS
SELECT v.view::text AS view_name, l.link_name, v.share_schema_name, v.share_table_name, v.where_clause, v.table_version,
       v.num_files, v.refreshed, pg_get_userbyid(v.owner) AS owner
FROM mlshare_share.share_link_view AS v JOIN mlshare_share.share_link AS l USING (link_id);
COMMENT ON VIEW sys.all_share_link_views IS 'Views of shared tables, and the version that each shows';

-- The user_ and dba_ forms follow from the all_ forms.
DO $forms$
DECLARE
    form record;
BEGIN
    FOR form IN SELECT c.relname AS name, substr(c.relname, 5) AS stem, obj_description(c.oid) AS comment,
                       pg_get_viewdef(c.oid) AS query
                FROM pg_class AS c
                WHERE c.relnamespace = 'sys'::regnamespace AND c.relkind = 'v'
                  AND c.relname ~ '^all_(shares|share_|lineage_cloud)' AND c.relname <> 'all_share_default_settings'
                  AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'owner') LOOP
        EXECUTE format('CREATE OR REPLACE VIEW sys.user_%s WITH (security_invoker = true) AS '
                       'SELECT * FROM sys.all_%1$s WHERE owner = current_user', form.stem);
        EXECUTE format('COMMENT ON VIEW sys.user_%s IS %L', form.stem, form.comment || ' (of the caller)');
        -- Without security_invoker, and over the tables themselves: all rows.
        EXECUTE format('CREATE OR REPLACE VIEW sys.dba_%s AS %s', form.stem, form.query);
        EXECUTE format('COMMENT ON VIEW sys.dba_%s IS %L', form.stem, form.comment || ' (of everybody, for administrators)');
    END LOOP;
END
$forms$;
