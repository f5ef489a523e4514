-- Recipients, what they may read, and how they get their tokens. Tokens and activation keys are kept as hashes only.

CREATE OR REPLACE FUNCTION mlshare_share.recipient_of(name text, recipient_owner text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role regrole := mlshare_share.role_of(recipient_owner);
    found uuid;
BEGIN
    SELECT r.recipient_id INTO found FROM mlshare_share.recipient AS r
    WHERE r.owner = role AND lower(r.recipient_name) = lower(mlshare_share.fold(name));
    IF found IS NULL THEN
        PERFORM mlshare_share.missing('recipient', name, role);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION mlshare_share.recipient_of(text, text) IS 'A recipient by name, or an error';

CREATE OR REPLACE PROCEDURE dbms_share.create_share_recipient(
    recipient_name text, recipient_owner text DEFAULT NULL, description text DEFAULT NULL, email text DEFAULT NULL,
    sharing_id text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('recipient', recipient_name, '[[:cntrl:]]');
    role regrole := mlshare_share.role_of(recipient_owner);
BEGIN
    PERFORM mlshare_share.check_enabled(role);
    INSERT INTO mlshare_share.recipient (owner, recipient_name, description, email, token_lifetime, properties)
    VALUES (role, name, create_share_recipient.description, create_share_recipient.email,
            mlshare_share.duration(mlshare_share.setting_value('token_lifetime')),
            jsonb_strip_nulls(jsonb_build_object('SHARING_ID', sharing_id)));
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('recipient', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.create_share_recipient(text, text, text, text, text) IS
    'Makes a recipient: somebody who will read shares with a token, without an account in the database';

CREATE OR REPLACE PROCEDURE dbms_share.create_recipient(
    recipient_name text, recipient_owner text DEFAULT NULL, description text DEFAULT NULL, email text DEFAULT NULL,
    sharing_id text DEFAULT NULL)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    CALL dbms_share.create_share_recipient(recipient_name, recipient_owner, description, email, sharing_id);
$$;
COMMENT ON PROCEDURE dbms_share.create_recipient(text, text, text, text, text) IS 'Another name of create_share_recipient';

CREATE OR REPLACE PROCEDURE dbms_share.create_or_replace_share_recipient(
    recipient_name text, recipient_owner text DEFAULT NULL, description text DEFAULT NULL, email text DEFAULT NULL,
    sharing_id text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE mlshare_share.recipient AS r
    SET description = create_or_replace_share_recipient.description, email = create_or_replace_share_recipient.email,
        properties = jsonb_strip_nulls(r.properties || jsonb_build_object('SHARING_ID', sharing_id)), updated = now()
    WHERE r.owner = mlshare_share.role_of(recipient_owner)
      AND lower(r.recipient_name) = lower(mlshare_share.fold(create_or_replace_share_recipient.recipient_name));
    IF NOT FOUND THEN
        CALL dbms_share.create_share_recipient(recipient_name, recipient_owner, description, email, sharing_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.create_or_replace_share_recipient(text, text, text, text, text) IS
    'The same; one of that name gets the new description and address and keeps its grants and tokens';

CREATE OR REPLACE PROCEDURE dbms_share.drop_recipient(recipient_name text, owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, owner);
BEGIN
    DELETE FROM mlshare_share.recipient AS r WHERE r.recipient_id = recipient;
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_recipient(text, text) IS 'Drops a recipient with its grants and tokens; its access ends at once';

CREATE OR REPLACE PROCEDURE dbms_share.rename_recipient(
    old_recipient_name text, new_recipient_name text, owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('recipient', new_recipient_name, '[[:cntrl:]]');
    recipient uuid := mlshare_share.recipient_of(old_recipient_name, owner);
BEGIN
    UPDATE mlshare_share.recipient AS r SET recipient_name = name, updated = now() WHERE r.recipient_id = recipient;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('recipient', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_recipient(text, text, text) IS 'Renames a recipient';

CREATE OR REPLACE FUNCTION mlshare_share.check_token_lifetime(value text) RETURNS interval
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    longest text := mlshare_share.setting_value('max_token_lifetime');
    span interval := mlshare_share.duration(value);
BEGIN
    IF (span BETWEEN '1 second' AND mlshare_share.duration(longest)) IS NOT TRUE THEN
        RAISE EXCEPTION 'Invalid share recipient property: token_lifetime = %.', coalesce(value, 'NULL')
            USING ERRCODE = 'ML615', DETAIL = format('The setting max_token_lifetime is %s.', longest),
                  HINT = 'An administrator can CALL dbms_share.update_default_recipient_property(''max_token_lifetime'', …).';
    END IF;
    RETURN span;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_token_lifetime(text) IS 'A token lifetime, or an error if it is none or too long';

CREATE OR REPLACE FUNCTION mlshare_share.latest_expiry() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN now() + mlshare_share.duration(mlshare_share.setting_value('max_token_lifetime'));
COMMENT ON FUNCTION mlshare_share.latest_expiry() IS 'The time until which a token that is made now may be good';

CREATE OR REPLACE PROCEDURE dbms_share.update_recipient_property(
    recipient_name text, recipient_property text, new_value text, recipient_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, recipient_owner);
    property text := upper(recipient_property);
BEGIN
    CASE property
        WHEN 'TOKEN_LIFETIME' THEN
            UPDATE mlshare_share.recipient AS r SET token_lifetime = mlshare_share.check_token_lifetime(new_value)
            WHERE r.recipient_id = recipient;
        WHEN 'VERSION_ACCESS' THEN
            UPDATE mlshare_share.recipient AS r
            SET version_access = regexp_replace(upper(new_value), '^VERSION_ACCESS_', '') WHERE r.recipient_id = recipient;
        WHEN 'IP_LIST' THEN
            UPDATE mlshare_share.recipient AS r SET ip_list = string_to_array(replace(new_value, ' ', ''), ',')::cidr[]
            WHERE r.recipient_id = recipient;
        WHEN 'LOG_LEVEL' THEN
            UPDATE mlshare_share.recipient AS r SET log_level = new_value::int WHERE r.recipient_id = recipient;
        WHEN 'EMAIL' THEN
            UPDATE mlshare_share.recipient AS r SET email = new_value WHERE r.recipient_id = recipient;
        WHEN 'DESCRIPTION' THEN
            UPDATE mlshare_share.recipient AS r SET description = new_value WHERE r.recipient_id = recipient;
        ELSE
            RAISE EXCEPTION 'Invalid share recipient property: %.', lower(property)
                USING ERRCODE = 'ML615', HINT = 'Properties are token_lifetime, version_access, ip_list, email, description, log_level.';
    END CASE;
    UPDATE mlshare_share.recipient AS r SET updated = now() WHERE r.recipient_id = recipient;
EXCEPTION
    WHEN check_violation OR invalid_text_representation OR not_null_violation THEN
        RAISE EXCEPTION 'Invalid share recipient property: % = %.', lower(property), coalesce(new_value, 'NULL')
            USING ERRCODE = 'ML615', DETAIL = sqlerrm;
END
$$;
COMMENT ON PROCEDURE dbms_share.update_recipient_property(text, text, text, text) IS
    'Sets token_lifetime, version_access, ip_list (networks, separated by commas), email, description or log_level';

CREATE OR REPLACE FUNCTION dbms_share.get_recipient_property(
    recipient_name text, recipient_property text, recipient_owner text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE upper(recipient_property)
               WHEN 'TOKEN_LIFETIME' THEN extract(epoch FROM r.token_lifetime)::bigint::text
               WHEN 'VERSION_ACCESS' THEN r.version_access
               WHEN 'IP_LIST' THEN array_to_string(r.ip_list, ',')
               WHEN 'LOG_LEVEL' THEN r.log_level::text
               WHEN 'EMAIL' THEN r.email
               WHEN 'DESCRIPTION' THEN r.description
               ELSE r.properties ->> upper(recipient_property) END
    FROM mlshare_share.recipient AS r
    WHERE r.recipient_id = mlshare_share.recipient_of(get_recipient_property.recipient_name, recipient_owner);
END;
COMMENT ON FUNCTION dbms_share.get_recipient_property(text, text, text) IS
    'A property of a recipient; token_lifetime in seconds';

CREATE OR REPLACE PROCEDURE dbms_share.set_recipient_log_level(
    recipient_name text, log_level integer, recipient_owner text DEFAULT NULL)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    CALL dbms_share.update_recipient_property(recipient_name, 'LOG_LEVEL', log_level::text, recipient_owner);
$$;
COMMENT ON PROCEDURE dbms_share.set_recipient_log_level(text, integer, text) IS
    'How much a recipient''s requests leave in its events: 0 errors only, 1 and above every request';

-- --- grants --------------------------------------------------------------------------------------

CREATE OR REPLACE PROCEDURE dbms_share.grant_to_recipient(
    share_name text, recipient_name text, owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO mlshare_share.recipient_grant (share_id, recipient_id)
    VALUES (mlshare_share.share_of(share_name, owner), mlshare_share.recipient_of(recipient_name, owner))
    ON CONFLICT DO NOTHING;
END;
COMMENT ON PROCEDURE dbms_share.grant_to_recipient(text, text, text, boolean) IS 'Lets a recipient read a share';

CREATE OR REPLACE PROCEDURE dbms_share.revoke_from_recipient(
    share_name text, recipient_name text, owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, owner);
    recipient uuid := mlshare_share.recipient_of(recipient_name, owner);
BEGIN
    DELETE FROM mlshare_share.recipient_grant AS g WHERE g.share_id = share AND g.recipient_id = recipient;
END
$$;
COMMENT ON PROCEDURE dbms_share.revoke_from_recipient(text, text, text, boolean) IS
    'Takes a share from a recipient; effective with its next request';

-- --- tokens --------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION mlshare_share.new_secret() RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
-- Two UUIDs have 244 bits of the server's strong random source.
RETURN encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex');
COMMENT ON FUNCTION mlshare_share.new_secret() IS 'A text that nobody can guess';

CREATE OR REPLACE FUNCTION mlshare_share.hash(secret text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN sha256(convert_to(secret, 'UTF8'));
COMMENT ON FUNCTION mlshare_share.hash(text) IS 'What is kept of a token or key';

CREATE OR REPLACE FUNCTION mlshare_share.endpoint(base_endpoint text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := rtrim(coalesce(base_endpoint, mlshare_share.setting_value('base_endpoint')), '/');
BEGIN
    IF base !~ '^https?://[^[:cntrl:][:space:]?#]+$' THEN
        RAISE EXCEPTION 'invalid base_endpoint "%"', base
            USING ERRCODE = 'ML616', DETAIL = 'It is the address of the sharing server, such as https://share.example.org.',
                  HINT = 'Give base_endpoint, or let an administrator set the default setting of that name.';
    END IF;
    RETURN base;
END
$$;
COMMENT ON FUNCTION mlshare_share.endpoint(text) IS 'The address of the sharing server: the one given, or the default';

CREATE OR REPLACE FUNCTION dbms_share.get_activation_link(
    recipient_name text, recipient_owner text DEFAULT NULL, base_endpoint text DEFAULT NULL,
    expiration integer DEFAULT 259200, invalidate_previous boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, recipient_owner);
    base text := mlshare_share.endpoint(base_endpoint);
    key text := mlshare_share.new_secret();
BEGIN
    IF expiration NOT BETWEEN 1 AND 7776000 THEN
        RAISE EXCEPTION 'invalid expiration %', expiration
            USING ERRCODE = 'ML616', HINT = 'It is a number of seconds, at most 90 days.';
    END IF;
    IF invalidate_previous THEN
        UPDATE mlshare_share.activation AS a SET used = now() WHERE a.recipient_id = recipient AND a.used IS NULL;
    END IF;
    INSERT INTO mlshare_share.activation (recipient_id, key_hash, endpoint, expires)
    VALUES (recipient, mlshare_share.hash(key), base || '/delta-sharing', now() + make_interval(secs => expiration));
    RETURN base || '/_adpshr/delta-sharing/download?key=' || key;
END
$$;
COMMENT ON FUNCTION dbms_share.get_activation_link(text, text, text, integer, boolean) IS
    'A link that gives the recipient its profile once, within so many seconds; earlier links become void';

CREATE OR REPLACE PROCEDURE dbms_share.populate_share_profile(
    recipient_name text, INOUT share_profile jsonb DEFAULT NULL, recipient_owner text DEFAULT NULL,
    base_endpoint text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, recipient_owner);
    base text := mlshare_share.endpoint(base_endpoint);
    token text := mlshare_share.new_secret();
    deadline timestamptz;
BEGIN
    -- The administrator may have lowered the limit since that lifetime was set.
    SELECT least(now() + r.token_lifetime, mlshare_share.latest_expiry()) INTO deadline FROM mlshare_share.recipient AS r WHERE r.recipient_id = recipient;
    INSERT INTO mlshare_share.token (recipient_id, token_hash, expires)
    VALUES (recipient, mlshare_share.hash(token), deadline);
    share_profile := jsonb_build_object(
        'shareCredentialsVersion', 1, 'endpoint', base || '/delta-sharing/', 'bearerToken', token,
        'expirationTime', to_char(deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
END
$$;
COMMENT ON PROCEDURE dbms_share.populate_share_profile(text, jsonb, text, text) IS
    'Gives a new token with the profile that a client reads, without an activation link';

CREATE OR REPLACE PROCEDURE dbms_share.rotate_recipient_tokens(
    recipient_name text, grace interval DEFAULT '24:00:00', recipient_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, recipient_owner);
BEGIN
    UPDATE mlshare_share.token AS t
    SET expires = least(t.expires, now() + greatest(grace, '0'), mlshare_share.latest_expiry()),
        revoked = CASE WHEN grace <= '0' THEN coalesce(t.revoked, now()) ELSE t.revoked END
    WHERE t.recipient_id = recipient AND t.expires > now();
END
$$;
COMMENT ON PROCEDURE dbms_share.rotate_recipient_tokens(text, interval, text) IS
    'Lets all tokens that a recipient has end after a time of grace, 0 at once; then give it a new link or profile';

-- --- events --------------------------------------------------------------------------------------

CREATE OR REPLACE PROCEDURE dbms_share.clear_recipient_events(
    recipient_name text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
    recipient_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipient uuid := mlshare_share.recipient_of(recipient_name, recipient_owner);
BEGIN
    DELETE FROM mlshare_share.recipient_event AS e
    WHERE e.recipient_id = recipient
      AND e."time" BETWEEN coalesce(from_time, '-infinity') AND coalesce(to_time, 'infinity');
END
$$;
COMMENT ON PROCEDURE dbms_share.clear_recipient_events(text, timestamptz, timestamptz, text) IS
    'Deletes what is recorded of a recipient''s requests in a time';

CREATE OR REPLACE PROCEDURE dbms_share.clear_share_events(
    share_name text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL, share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    DELETE FROM mlshare_share.share_event AS e
    WHERE e.share_id = share AND e."time" BETWEEN coalesce(from_time, '-infinity') AND coalesce(to_time, 'infinity');
END
$$;
COMMENT ON PROCEDURE dbms_share.clear_share_events(text, timestamptz, timestamptz, text) IS
    'Deletes what is recorded of a share''s publishing in a time';
