-- Who may what with shares of others: naming a server for this one to connect to takes mlshare_consumer, the rest is
-- everybody's with their own rows. A sealed token is of no use to whoever reads it.
DO $privileges$
DECLARE
    name text;
    routine regprocedure;
    named constant text[] := ARRAY['create_share_provider', 'set_share_provider_credential'];
    free constant text[] := ARRAY['drop_share_provider', 'discover_available_shares', 'discover_available_tables',
        'create_share_link', 'create_or_replace_share_link', 'rename_share_link', 'drop_share_link', 'create_share_link_view', 'refresh_share_link_view', 'drop_share_link_view'];
BEGIN
    FOR routine, name IN SELECT p.oid, p.proname FROM pg_proc AS p
                         WHERE p.pronamespace = 'dbms_share'::regnamespace AND p.proname = ANY (named || free) LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC, mlshare_user, mlshare_worker', routine);
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', routine,
                       CASE WHEN name = ANY (named) THEN 'mlshare_consumer' ELSE 'mlshare_user' END);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['share_provider', 'share_link', 'share_link_view'] LOOP
        EXECUTE format('ALTER TABLE mlshare_share.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('DROP POLICY IF EXISTS consumer ON mlshare_share.%I', name);
        EXECUTE format('CREATE POLICY consumer ON mlshare_share.%I TO mlshare_user, mlshare_consumer '
                       'USING (pg_has_role(owner, ''USAGE'')) WITH CHECK (pg_has_role(owner, ''USAGE''))', name);
    END LOOP;
    IF NOT pg_has_role('mlshare_consumer', 'mlshare_user', 'MEMBER') THEN
        GRANT mlshare_user TO mlshare_consumer;
    END IF;
END
$privileges$;

GRANT SELECT, DELETE ON mlshare_share.share_provider TO mlshare_user;
GRANT INSERT, UPDATE ON mlshare_share.share_provider TO mlshare_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON mlshare_share.share_link, mlshare_share.share_link_view TO mlshare_user;
