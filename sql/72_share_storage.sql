-- Who may share, where files go, and the secrets for it.

CREATE OR REPLACE PROCEDURE dbms_share.enable_schema(
    schema_name text, enabled boolean DEFAULT true, privileges text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role regrole := mlshare_share.role_of(schema_name);
    -- Roles belong to the cluster, providers to a database.
    reader name := format('mlshare_reader_%s_%s', (SELECT oid FROM pg_database WHERE datname = current_database()), role::oid);
    secret text := gen_random_uuid() || '-' || gen_random_uuid();
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE oid = role) THEN
        RAISE EXCEPTION 'role "%" is a superuser and cannot share data', pg_get_userbyid(role)
            USING ERRCODE = 'ML606', HINT = 'Let an ordinary role own the shares.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
        EXECUTE format('CREATE ROLE %I NOINHERIT', reader);
    END IF;
    IF enabled THEN
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', reader, secret);
        EXECUTE format('GRANT %s TO %I', role, reader);
        EXECUTE format('GRANT mlshare_user, mlshare_provider TO %s', role);
    ELSE
        EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', reader);
        EXECUTE format('REVOKE %s FROM %I', role, reader);
        EXECUTE format('REVOKE mlshare_provider FROM %s', role);
    END IF;
    INSERT INTO mlshare_share.provider AS p (owner, reader, reader_password, enabled)
    VALUES (role, reader, secret, enable_schema.enabled)
    ON CONFLICT (owner) DO UPDATE SET reader_password = excluded.reader_password, enabled = excluded.enabled, updated = now();
END
$$;
COMMENT ON PROCEDURE dbms_share.enable_schema(text, boolean, text) IS
    'Lets a role share data, and the publish worker read with its rights; or ends both (administrators)';

CREATE OR REPLACE PROCEDURE dbms_share.set_published_identity(metadata jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mlshare_share.check_enabled(mlshare_share.me());
    IF metadata IS NULL THEN
        DELETE FROM mlshare_share.published_identity AS i WHERE i.owner = mlshare_share.me();
        RETURN;
    END IF;
    INSERT INTO mlshare_share.published_identity AS i VALUES (mlshare_share.me(), set_published_identity.metadata)
    ON CONFLICT (owner) DO UPDATE SET metadata = excluded.metadata, updated = now();
EXCEPTION
    WHEN check_violation THEN
        RAISE EXCEPTION 'invalid identity'
            USING ERRCODE = 'ML605', HINT = 'It is a JSON object of at most 64 kB, such as {"name": …, "contact": …}.';
END
$$;
COMMENT ON PROCEDURE dbms_share.set_published_identity(jsonb) IS
    'Says who the caller is, for recipients: a JSON object whose name and contact the activation page shows; NULL: nobody';

CREATE OR REPLACE FUNCTION dbms_share.get_published_identity() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT i.metadata FROM mlshare_share.published_identity AS i WHERE i.owner = mlshare_share.me();
END;
COMMENT ON FUNCTION dbms_share.get_published_identity() IS 'What the caller set with set_published_identity';

CREATE OR REPLACE FUNCTION mlshare_share.secret_value(name text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.value FROM mlshare_share.secret AS s WHERE s.name = secret_value.name;
END;
COMMENT ON FUNCTION mlshare_share.secret_value(text) IS 'A secret of this installation, for the sharing server alone';

CREATE OR REPLACE FUNCTION mlshare_share.reader_login(role regrole, OUT reader name, OUT password text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.reader, p.reader_password FROM mlshare_share.provider AS p WHERE p.owner = role AND p.enabled;
END;
COMMENT ON FUNCTION mlshare_share.reader_login(regrole) IS
    'How the publish worker reads with a provider''s rights; NULL unless the provider is enabled';

-- --- credentials ---------------------------------------------------------------------------------

CREATE OR REPLACE PROCEDURE dbms_share.create_credential(credential_name text, username text, password text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('credential', credential_name, '[[:cntrl:]]');
BEGIN
    PERFORM mlshare_share.check_enabled(mlshare_share.me());
    INSERT INTO mlshare_share.credential VALUES (mlshare_share.me(), name, username, create_credential.password);
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('credential', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.create_credential(text, text, text) IS
    'Stores what storage asks for: for S3 the access key and the secret key; nobody can read the secret afterwards';

CREATE OR REPLACE PROCEDURE dbms_share.update_credential(credential_name text, attribute text, value text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lower(attribute) NOT IN ('username', 'password') THEN
        RAISE EXCEPTION 'unknown attribute "%" of a credential', attribute
            USING ERRCODE = 'ML605', HINT = 'Attributes are username and password.';
    END IF;
    EXECUTE format('UPDATE mlshare_share.credential SET %I = $1, updated = now() '
                   'WHERE owner = mlshare_share.me() AND credential_name = $2', lower(attribute))
    USING value, mlshare_share.fold(credential_name);
    IF NOT EXISTS (SELECT FROM mlshare_share.credential AS c WHERE c.owner = mlshare_share.me()
                   AND c.credential_name = mlshare_share.fold(update_credential.credential_name)) THEN
        PERFORM mlshare_share.missing('credential', credential_name, mlshare_share.me());
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.update_credential(text, text, text) IS 'Changes the username or the password of a credential';

CREATE OR REPLACE PROCEDURE dbms_share.drop_credential(credential_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM mlshare_share.credential AS c
    WHERE c.owner = mlshare_share.me() AND c.credential_name = mlshare_share.fold(drop_credential.credential_name);
    IF NOT FOUND THEN
        PERFORM mlshare_share.missing('credential', credential_name, mlshare_share.me());
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_credential(text) IS 'Forgets a credential';

-- --- storage links -------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION mlshare_share.storage_allowed(uri text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- A directory on disk has its name without escapes: what they would hide is not allowed at all.
    SELECT coalesce(bool_or(starts_with(uri, CASE WHEN root LIKE '%/' THEN root ELSE root || '/' END)), false)
           AND uri !~* '%(2e|2f|5c|00)'
    FROM string_to_table(mlshare_share.setting_value('storage_roots'), ' ') AS root WHERE root <> '';
END;
COMMENT ON FUNCTION mlshare_share.storage_allowed(text) IS 'Whether the setting storage_roots lets a storage link have that URI';

CREATE OR REPLACE FUNCTION mlshare_share.storage_link_of(link_name text, link_owner text) RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role regrole := mlshare_share.role_of(link_owner);
    found uuid;
BEGIN
    SELECT l.storage_link_id INTO found FROM mlshare_share.storage_link AS l
    WHERE l.owner = role AND l.storage_link_name = mlshare_share.fold(link_name);
    IF found IS NULL THEN
        PERFORM mlshare_share.missing('storage link', link_name, role);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION mlshare_share.storage_link_of(text, text) IS 'A storage link by name, or an error';

CREATE OR REPLACE FUNCTION mlshare_share.check_uri(uri text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closed text := CASE WHEN uri LIKE '%/' THEN uri ELSE uri || '/' END;
BEGIN
    IF closed IS NULL OR closed !~ '^(file:///|s3://[a-z0-9][a-z0-9.-]+/)([^?#]*/)?$'
       OR closed ~ '(/\.\.?/|//.*//|[[:cntrl:] ])' THEN
        RAISE EXCEPTION 'invalid URI of a storage link: "%"', coalesce(uri, 'NULL')
            USING ERRCODE = 'ML607', HINT = 'Write file:///directory/ or s3://bucket/prefix/.';
    ELSIF NOT mlshare_share.storage_allowed(closed) THEN
        RAISE EXCEPTION 'a storage link may not lead to "%"', closed
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Setting storage_roots allows: %s', mlshare_share.setting_value('storage_roots')),
                  HINT = 'An administrator can CALL dbms_share.update_default_share_property(''storage_roots'', …).';
    END IF;
    RETURN closed;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_uri(text) IS 'A URI with a slash at its end, or an error if no storage link may have it';

CREATE OR REPLACE PROCEDURE dbms_share.create_cloud_storage_link(
    storage_link_name text, uri text, owner text DEFAULT NULL, description text DEFAULT NULL,
    metadata jsonb DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('storage link', storage_link_name, '[[:cntrl:]]');
    role regrole := mlshare_share.role_of(owner);
BEGIN
    PERFORM mlshare_share.check_enabled(role);
    INSERT INTO mlshare_share.storage_link (owner, storage_link_name, uri, description, metadata)
    VALUES (role, name, mlshare_share.check_uri(uri), create_cloud_storage_link.description,
            coalesce(create_cloud_storage_link.metadata, '{}'));
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('storage link', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.create_cloud_storage_link(text, text, text, text, jsonb, boolean) IS
    'Names a place for published files, file:///directory/ or s3://bucket/prefix/; metadata for S3: endpoint, region';

CREATE OR REPLACE PROCEDURE dbms_share.create_or_replace_cloud_storage_link(
    storage_link_name text, uri text, owner text DEFAULT NULL, description text DEFAULT NULL,
    metadata jsonb DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    role regrole := mlshare_share.role_of(create_or_replace_cloud_storage_link.owner);
    link uuid;
BEGIN
    SELECT storage_link_id INTO link FROM mlshare_share.storage_link AS l
    WHERE l.owner = role AND l.storage_link_name = mlshare_share.fold(create_or_replace_cloud_storage_link.storage_link_name);
    IF link IS NULL THEN
        CALL dbms_share.create_cloud_storage_link(create_or_replace_cloud_storage_link.storage_link_name,
            create_or_replace_cloud_storage_link.uri, create_or_replace_cloud_storage_link.owner,
            create_or_replace_cloud_storage_link.description, create_or_replace_cloud_storage_link.metadata);
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM mlshare_share.file AS f JOIN mlshare_share.storage_link AS l USING (storage_link_id)
               WHERE storage_link_id = link AND l.uri <> mlshare_share.check_uri(create_or_replace_cloud_storage_link.uri)) THEN
        RAISE EXCEPTION 'storage link "%" holds published files',
                        mlshare_share.fold(create_or_replace_cloud_storage_link.storage_link_name)
            USING ERRCODE = 'ML608', HINT = 'Create another link for the new place.';
    END IF;
    UPDATE mlshare_share.storage_link SET uri = mlshare_share.check_uri(create_or_replace_cloud_storage_link.uri),
        description = create_or_replace_cloud_storage_link.description,
        metadata = coalesce(create_or_replace_cloud_storage_link.metadata, '{}'), updated = now()
    WHERE storage_link_id = link;
END
$$;
COMMENT ON PROCEDURE dbms_share.create_or_replace_cloud_storage_link(text, text, text, text, jsonb, boolean) IS
    'The same; one of that name is changed, unless its files would be lost';

CREATE OR REPLACE PROCEDURE dbms_share.set_storage_credential(
    storage_link_name text, credential_name text, owner text DEFAULT NULL, check_if_exists boolean DEFAULT true,
    auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    link uuid := mlshare_share.storage_link_of(storage_link_name, owner);
    role regrole := mlshare_share.role_of(owner);
    name text := mlshare_share.fold(credential_name);
BEGIN
    IF check_if_exists AND name IS NOT NULL AND NOT EXISTS (
        SELECT FROM mlshare_share.credential AS c WHERE c.owner = role AND c.credential_name = name) THEN
        PERFORM mlshare_share.missing('credential', credential_name, role);
    END IF;
    UPDATE mlshare_share.storage_link AS l SET credential_name = name, updated = now() WHERE l.storage_link_id = link;
END
$$;
COMMENT ON PROCEDURE dbms_share.set_storage_credential(text, text, text, boolean, boolean) IS
    'Says with which credential a storage link is used';

CREATE OR REPLACE PROCEDURE dbms_share.rename_cloud_storage_link(
    old_storage_link_name text, new_storage_link_name text, owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('storage link', new_storage_link_name, '[[:cntrl:]]');
    link uuid := mlshare_share.storage_link_of(old_storage_link_name, owner);
BEGIN
    UPDATE mlshare_share.storage_link SET storage_link_name = name, updated = now() WHERE storage_link_id = link;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('storage link', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_cloud_storage_link(text, text, text, boolean) IS 'Renames a storage link';

CREATE OR REPLACE PROCEDURE dbms_share.drop_cloud_storage_link(
    storage_link_name text, owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    link uuid := mlshare_share.storage_link_of(storage_link_name, owner);
BEGIN
    DELETE FROM mlshare_share.storage_link WHERE storage_link_id = link;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'storage link "%" is in use', mlshare_share.fold(storage_link_name)
            USING ERRCODE = 'ML608', DETAIL = 'Shares or files of shares are kept there.',
                  HINT = 'Drop its shares and CALL dbms_share.purge_detached_files() first.';
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_cloud_storage_link(text, text, boolean) IS 'Forgets a storage link that holds nothing';

CREATE OR REPLACE FUNCTION mlshare_share.storage_access(
    link uuid, OUT uri text, OUT username text, OUT password text, OUT metadata jsonb)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.uri, c.username, c.password, l.metadata
    FROM mlshare_share.storage_link AS l LEFT JOIN mlshare_share.credential AS c USING (owner, credential_name)
    WHERE l.storage_link_id = link AND mlshare_share.storage_allowed(l.uri);
END;
COMMENT ON FUNCTION mlshare_share.storage_access(uuid) IS
    'What it takes to use a storage link, for worker and server; NULL where storage_roots no longer allows it';
