-- What the sharing server sees: these views and functions, and nothing else. The views run with the rights of their
-- owner and show no row that no grant leads to: each carries the recipient whom it may be shown to.

CREATE OR REPLACE VIEW mlshare_share.served_share WITH (security_barrier) AS
SELECT g.recipient_id, s.share_id, s.share_name::text AS share_name, s.public_description AS comment, s.current_version,
       coalesce(s.properties ->> 'VERSION_ACCESS', 'CURRENT') = 'ANY' AND r.version_access = 'ANY' AS history,
       coalesce((s.properties ->> 'URL_LIFETIME')::integer, 3600) AS url_lifetime
FROM mlshare_share.recipient_grant AS g
JOIN mlshare_share.recipient AS r USING (recipient_id)
JOIN mlshare_share.share AS s USING (share_id)
JOIN mlshare_share.provider AS p ON p.owner = s.owner
WHERE s.owner = r.owner AND p.enabled;
COMMENT ON VIEW mlshare_share.served_share IS 'Shares by recipient who may read them';

CREATE OR REPLACE VIEW mlshare_share.served_version WITH (security_barrier) AS
SELECT s.recipient_id, s.share_id, s.share_name, v.share_version, v.published,
       v.share_version = s.current_version AS is_current
FROM mlshare_share.served_share AS s
JOIN mlshare_share.version AS v USING (share_id)
WHERE v.status = 'EXPORTED' AND (v.share_version = s.current_version OR s.history AND v.share_version < s.current_version);
COMMENT ON VIEW mlshare_share.served_version IS 'Versions of shares, up to the current one, by recipient who may read them';

CREATE OR REPLACE VIEW mlshare_share.served_table WITH (security_barrier) AS
SELECT v.recipient_id, v.share_id, v.share_name, v.share_version, v.published, v.is_current, t.table_id,
       t.share_schema_name::text AS schema_name, t.share_table_name::text AS table_name, t.table_schema, t.primary_key,
       t.comment, t.num_files, t.num_rows, t.size
FROM mlshare_share.served_version AS v
JOIN mlshare_share.version_table AS t USING (share_id, share_version);
COMMENT ON VIEW mlshare_share.served_table IS 'Tables of versions by recipient who may read them';

-- A function and not a view: of 10,000 files it looks up only those of the page, each by its key.
CREATE OR REPLACE FUNCTION mlshare_share.served_files(
    recipient_id uuid, share_id uuid, share_version integer, table_id uuid, after integer, count integer)
RETURNS TABLE (file_no integer, file_id uuid, storage_link_id uuid, path text, size bigint, num_rows bigint, stats text,
               created timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT vf.file_no, f.file_id, f.storage_link_id, f.path, f.size, f.num_rows, f.stats, f.created
    FROM (SELECT l.file_no, l.file_id FROM mlshare_share.version_file AS l
          WHERE l.share_id = served_files.share_id AND l.share_version = served_files.share_version
            AND l.table_id = served_files.table_id AND l.file_no > served_files.after
            AND EXISTS (SELECT FROM mlshare_share.served_version AS v
                        WHERE v.recipient_id = served_files.recipient_id AND v.share_id = served_files.share_id
                          AND v.share_version = served_files.share_version)
          ORDER BY l.file_no LIMIT served_files.count) AS vf
    CROSS JOIN LATERAL (SELECT * FROM mlshare_share.file AS one WHERE one.file_id = vf.file_id LIMIT 1) AS f
    WHERE f.complete
    ORDER BY vf.file_no;
END;
COMMENT ON FUNCTION mlshare_share.served_files(uuid, uuid, integer, uuid, integer, integer) IS
    'A page of the files of a table in a version, if the recipient may read it';

-- In PL/pgSQL, which keeps the plan: every request begins with this, and planning takes longer than all else.
CREATE OR REPLACE FUNCTION mlshare_share.authenticate(token_hash bytea, address inet)
RETURNS TABLE (recipient_id uuid, recipient_name text, owner text, token_id uuid, version_access text, log_level integer,
               expires timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.recipient_id, r.recipient_name, r.owner::text, t.token_id, r.version_access, r.log_level, t.expires
    FROM mlshare_share.token AS t
    JOIN mlshare_share.recipient AS r USING (recipient_id)
    JOIN mlshare_share.provider AS p ON p.owner = r.owner
    WHERE t.token_hash = authenticate.token_hash
      AND t.expires > clock_timestamp() AND (t.revoked IS NULL OR t.revoked > clock_timestamp())
      AND p.enabled
      AND (r.ip_list IS NULL OR EXISTS (SELECT FROM unnest(r.ip_list) AS n WHERE authenticate.address <<= n));
END;
$function$;
COMMENT ON FUNCTION mlshare_share.authenticate(bytea, inet) IS
    'The recipient of a bearer token; no row unless it is valid now and from this address';

-- A file's URL is good until it expires, for the recipient it was signed for, while the share is granted to them.
-- In PL/pgSQL as authenticate is: clients ask for a file in many ranges.
CREATE OR REPLACE FUNCTION mlshare_share.signed_file(file_id uuid, recipient_id uuid, address inet)
RETURNS TABLE (storage_link_id uuid, path text, size bigint, log_level integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT f.storage_link_id, f.path, f.size, r.log_level
    FROM mlshare_share.file AS f
    JOIN mlshare_share.served_share AS s ON s.share_id = f.share_id
    JOIN mlshare_share.recipient AS r ON r.recipient_id = s.recipient_id
    WHERE f.file_id = signed_file.file_id AND f.complete AND s.recipient_id = signed_file.recipient_id
      AND (r.ip_list IS NULL OR EXISTS (SELECT FROM unnest(r.ip_list) AS n WHERE signed_file.address <<= n));
END;
$function$;
COMMENT ON FUNCTION mlshare_share.signed_file(uuid, uuid, inet) IS
    'Where a file lies, if the recipient whom its URL names may still have it';

CREATE OR REPLACE FUNCTION mlshare_share.activation(key_hash bytea)
RETURNS TABLE (recipient_name text, expires timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.recipient_name, a.expires
    FROM mlshare_share.activation AS a
    JOIN mlshare_share.recipient AS r USING (recipient_id)
    JOIN mlshare_share.provider AS p ON p.owner = r.owner
    WHERE a.key_hash = activation.key_hash AND a.used IS NULL AND a.expires > clock_timestamp() AND p.enabled;
END;
COMMENT ON FUNCTION mlshare_share.activation(bytea) IS 'Whom an activation link is for, while it is good; changes nothing';

CREATE OR REPLACE FUNCTION mlshare_share.activation_identity(key_hash bytea) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT i.metadata
    FROM mlshare_share.activation AS a
    JOIN mlshare_share.recipient AS r USING (recipient_id)
    JOIN mlshare_share.published_identity AS i ON i.owner = r.owner
    WHERE a.key_hash = activation_identity.key_hash AND a.used IS NULL AND a.expires > clock_timestamp();
END;
COMMENT ON FUNCTION mlshare_share.activation_identity(bytea) IS 'What the provider behind an activation link says of itself, while it is good';

CREATE OR REPLACE FUNCTION mlshare_share.activate(key_hash bytea, token_hash bytea)
RETURNS TABLE (recipient_id uuid, recipient_name text, endpoint text, token_expires timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    link mlshare_share.activation;
    made mlshare_share.token;
    person mlshare_share.recipient;
BEGIN
    -- Of many at once, one finds the row unused: the others wait for it and then find it used.
    UPDATE mlshare_share.activation AS a SET used = clock_timestamp()
    FROM mlshare_share.recipient AS r JOIN mlshare_share.provider AS p ON p.owner = r.owner AND p.enabled
    WHERE r.recipient_id = a.recipient_id AND a.key_hash = activate.key_hash
      AND a.used IS NULL AND a.expires > clock_timestamp()
    RETURNING a.* INTO link;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT person FROM mlshare_share.recipient AS r WHERE r.recipient_id = link.recipient_id;
    INSERT INTO mlshare_share.token (recipient_id, token_hash, expires)
    VALUES (link.recipient_id, activate.token_hash,
            least(clock_timestamp() + person.token_lifetime, mlshare_share.latest_expiry())) RETURNING * INTO made;
    UPDATE mlshare_share.activation SET token_id = made.token_id WHERE activation_id = link.activation_id;
    RETURN QUERY SELECT person.recipient_id, person.recipient_name, link.endpoint, made.expires;
END
$function$;
COMMENT ON FUNCTION mlshare_share.activate(bytea, bytea) IS 'Uses an activation link up and keeps the token it was used for';

CREATE OR REPLACE FUNCTION mlshare_share.record_request(
    recipient_id uuid, token_id uuid, endpoint text, status integer, share_name text, schema_name text, table_name text,
    share_version integer, num_files bigint, size bigint, duration interval, address inet, user_agent text, details jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO mlshare_share.recipient_event
        (recipient_id, token_id, endpoint, status, share_id, share_name, schema_name, table_name, share_version,
         num_files, size, duration, address, user_agent, details)
    SELECT r.recipient_id, record_request.token_id, record_request.endpoint, record_request.status,
           (SELECT s.share_id FROM mlshare_share.share AS s
            WHERE s.owner = r.owner AND lower(s.share_name) = lower(record_request.share_name)),
           record_request.share_name, record_request.schema_name, record_request.table_name, record_request.share_version,
           record_request.num_files, record_request.size, record_request.duration, record_request.address,
           record_request.user_agent, coalesce(record_request.details, '{}')
    FROM mlshare_share.recipient AS r
    -- 0: errors only; reads of files from level 2 on, each load of a table makes many
    WHERE r.recipient_id = record_request.recipient_id
      AND (record_request.status >= 400
           OR r.log_level >= CASE record_request.endpoint WHEN 'file' THEN 2 ELSE 1 END);
END;
COMMENT ON FUNCTION mlshare_share.record_request(uuid, uuid, text, integer, text, text, text, integer, bigint, bigint, interval,
    inet, text, jsonb) IS 'Keeps a request of a recipient for sys.all_share_recipient_events, as their log level wants';

GRANT USAGE ON SCHEMA mlshare_share TO mlshare_sharing_server;
GRANT SELECT ON mlshare_share.served_share, mlshare_share.served_version, mlshare_share.served_table
    TO mlshare_sharing_server;
GRANT EXECUTE ON FUNCTION mlshare_share.authenticate(bytea, inet),
    mlshare_share.served_files(uuid, uuid, integer, uuid, integer, integer), mlshare_share.signed_file(uuid, uuid, inet),
    mlshare_share.activation(bytea), mlshare_share.activation_identity(bytea), mlshare_share.activate(bytea, bytea),
    mlshare_share.record_request(uuid, uuid, text, integer, text, text, text, integer, bigint, bigint, interval, inet,
                                 text, jsonb) TO mlshare_sharing_server;
GRANT EXECUTE ON FUNCTION mlshare_share.setting_value(text) TO mlshare_sharing_server;
