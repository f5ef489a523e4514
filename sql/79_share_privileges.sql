-- Who may what with data shares. Ordinary roles read and write their own rows only, and only columns that are theirs to
-- decide: what was published, by whom and where, is written by the worker alone. The sharing server gets no table at all.
DO $privileges$
DECLARE
    routine regprocedure;
    area record;
    worker_only constant text[] := ARRAY['reader_login', 'storage_access'];
    server_only constant text[] := ARRAY['secret_value', 'storage_access'];
    admin_only constant text[] := ARRAY['enable_schema', 'update_default_share_property', 'update_default_recipient_property'];
BEGIN
    FOR area IN SELECT p.oid::regprocedure AS routine, p.proname AS name FROM pg_proc AS p
                WHERE p.pronamespace IN ('dbms_share'::regnamespace, 'mlshare_share'::regnamespace) LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', area.routine);
        IF area.name = ANY (worker_only) THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO mlshare_worker', area.routine);
        END IF;
        IF area.name = ANY (server_only) THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO mlshare_sharing_server', area.routine);
        END IF;
        IF area.name <> ALL (worker_only || server_only || admin_only)
           -- Definer functions of other files carry their own grants.
           AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = area.routine AND p.prosecdef AND p.proname <> 'is_enabled') THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO mlshare_user, mlshare_worker', area.routine);
        END IF;
    END LOOP;
END
$privileges$;

GRANT USAGE ON SCHEMA dbms_share TO mlshare_user;
GRANT USAGE ON SCHEMA mlshare_share TO mlshare_user, mlshare_worker, mlshare_sharing_server;
GRANT USAGE ON SCHEMA sys TO mlshare_worker, mlshare_sharing_server;
GRANT SELECT ON sys.all_share_default_settings TO PUBLIC;

-- What a provider decides.
GRANT SELECT (owner, credential_name, username, updated), INSERT, UPDATE, DELETE ON mlshare_share.credential TO mlshare_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON mlshare_share.storage_link, mlshare_share.share_table, mlshare_share.recipient,
    mlshare_share.recipient_grant, mlshare_share.published_identity TO mlshare_user;
GRANT SELECT, DELETE ON mlshare_share.share TO mlshare_user;
GRANT INSERT (share_id, owner, share_name, share_type, storage_link_id, storage_folder, description, public_description),
      UPDATE (share_name, current_version, description, public_description, properties, next_publish, updated)
    ON mlshare_share.share TO mlshare_user;
GRANT INSERT (recipient_id, token_hash, expires), UPDATE (expires, revoked),
      SELECT (token_id, recipient_id, created, expires, revoked) ON mlshare_share.token TO mlshare_user;
GRANT INSERT (recipient_id, key_hash, endpoint, expires), UPDATE (used),
      SELECT (activation_id, recipient_id, created, expires, used) ON mlshare_share.activation TO mlshare_user;
GRANT SELECT, INSERT (owner, kind, share_id, storage_link_id, arguments), UPDATE (cancel_requested)
    ON mlshare_share.job TO mlshare_user;
-- What is only seen, and cleared.
GRANT SELECT ON mlshare_share.version, mlshare_share.version_table, mlshare_share.version_file, mlshare_share.file,
    mlshare_share.job_segment TO mlshare_user;
GRANT UPDATE (status) ON mlshare_share.version TO mlshare_user;
GRANT SELECT, DELETE ON mlshare_share.share_event, mlshare_share.recipient_event TO mlshare_user;

-- The worker.
GRANT SELECT ON mlshare_share.share, mlshare_share.share_table, mlshare_share.storage_link TO mlshare_worker;
GRANT UPDATE (current_version, last_version, next_publish) ON mlshare_share.share TO mlshare_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON mlshare_share.version, mlshare_share.version_table, mlshare_share.version_file,
    mlshare_share.version_partition, mlshare_share.file, mlshare_share.job_segment TO mlshare_worker;
GRANT SELECT, INSERT, UPDATE ON mlshare_share.job TO mlshare_worker;
GRANT SELECT, INSERT ON mlshare_share.share_event TO mlshare_worker;

DO $views$
DECLARE
    shown record;
BEGIN
    FOR shown IN SELECT c.oid::regclass AS name FROM pg_class AS c
                 WHERE c.relnamespace = 'sys'::regnamespace AND c.relkind = 'v'
                   AND c.relname ~ '^(all|user)_(shares$|share_|shareable|object_shareability|lineage_cloud)' LOOP
        EXECUTE format('GRANT SELECT ON %s TO mlshare_user', shown.name);
    END LOOP;
END
$views$;

-- Rows: a table with an owner shows them to whoever has the owner's rights; the others follow the row they belong to.
DO $policies$
DECLARE
    child record;
    mine constant text := 'pg_has_role(owner, ''USAGE'')';
    seen constant text := 'EXISTS (SELECT FROM mlshare_share.%s AS p WHERE p.%s = %I.%2$s)';
    parents constant jsonb := '{"share_table": ["share", "share_id"], "version": ["share", "share_id"],
        "version_table": ["share", "share_id"], "version_file": ["share", "share_id"], "version_partition": ["share", "share_id"],
        "share_event": ["share", "share_id"], "file": ["storage_link", "storage_link_id"], "job_segment": ["job", "job_id"],
        "recipient_event": ["recipient", "recipient_id"], "token": ["recipient", "recipient_id"],
        "activation": ["recipient", "recipient_id"]}';
    condition text;
    writable text;
BEGIN
    FOR child IN SELECT c.relname AS name FROM pg_class AS c
                 WHERE c.relnamespace = 'mlshare_share'::regnamespace AND c.relkind = 'r'
                   AND c.relname IN ('credential', 'storage_link', 'share', 'recipient', 'job', 'recipient_grant',
                                     'published_identity') OR
                       c.relnamespace = 'mlshare_share'::regnamespace AND parents ? c.relname LOOP
        EXECUTE format('ALTER TABLE mlshare_share.%I ENABLE ROW LEVEL SECURITY', child.name);
        EXECUTE format('DROP POLICY IF EXISTS provider ON mlshare_share.%I', child.name);
        EXECUTE format('DROP POLICY IF EXISTS worker ON mlshare_share.%I', child.name);
        condition := CASE WHEN parents ? child.name
                          THEN format(seen, parents -> child.name ->> 0, parents -> child.name ->> 1, child.name)
                          WHEN child.name = 'recipient_grant'
                          THEN format(seen, 'share', 'share_id', child.name) || ' AND ' ||
                               'EXISTS (SELECT FROM mlshare_share.recipient AS r JOIN mlshare_share.share AS s USING (owner) '
                               'WHERE r.recipient_id = recipient_grant.recipient_id AND s.share_id = recipient_grant.share_id)'
                          ELSE mine END;
        writable := condition || CASE child.name
            WHEN 'version' THEN ' AND status = ''DROPPED'''
            WHEN 'storage_link' THEN ' AND mlshare_share.is_enabled(owner) AND mlshare_share.storage_allowed(uri)'
            WHEN 'published_identity' THEN ' AND mlshare_share.is_enabled(owner)'
            WHEN 'share' THEN ' AND mlshare_share.is_enabled(owner) AND ' ||
                              format(seen, 'storage_link', 'storage_link_id', child.name)
            WHEN 'recipient' THEN ' AND mlshare_share.is_enabled(owner)'
                                  ' AND token_lifetime <= mlshare_share.duration(mlshare_share.setting_value(''max_token_lifetime''))'
            -- One that is over may keep whatever it had: it must be possible to revoke each.
            WHEN 'token' THEN ' AND (isfinite(expires) AND expires <= mlshare_share.latest_expiry() OR revoked <= now())'
            WHEN 'job' THEN ' AND (share_id IS NULL OR ' || format(seen, 'share', 'share_id', child.name) || ')'
                            ' AND (storage_link_id IS NULL OR ' || format(seen, 'storage_link', 'storage_link_id', child.name) || ')'
            ELSE '' END;
        EXECUTE format('CREATE POLICY provider ON mlshare_share.%I TO mlshare_user USING (%s) WITH CHECK (%s)',
                       child.name, condition, writable);
        EXECUTE format('CREATE POLICY worker ON mlshare_share.%I TO mlshare_worker USING (true) WITH CHECK (true)', child.name);
    END LOOP;
END
$policies$;

-- Made once: what signs the URLs of local files.
DO $secret$
BEGIN
    INSERT INTO mlshare_share.secret VALUES ('signing', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
    ON CONFLICT DO NOTHING;
END
$secret$;
