-- Names, owners and settings that all routines of dbms_share share.

CREATE OR REPLACE FUNCTION mlshare_share.fold(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN name ~ '^".+"$' THEN substr(name, 2, length(name) - 2) ELSE upper(name) END;
COMMENT ON FUNCTION mlshare_share.fold(text) IS 'A name as Oracle reads it: in capitals unless in double quotes';

CREATE OR REPLACE FUNCTION mlshare_share.me() RETURNS regrole
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole FROM pg_roles AS r WHERE r.rolname = current_user;
END;
COMMENT ON FUNCTION mlshare_share.me() IS 'The calling role';

CREATE OR REPLACE FUNCTION mlshare_share.role_of(role_name text) RETURNS regrole
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found regrole;
BEGIN
    IF role_name IS NULL THEN
        RETURN mlshare_share.me();
    END IF;
    -- As it is written, or as PostgreSQL folds it: Oracle's scripts write schemas in capitals.
    SELECT r.oid INTO found FROM pg_roles AS r
    WHERE r.rolname IN (trim('"' FROM role_name), lower(role_name))
    ORDER BY r.rolname = trim('"' FROM role_name) DESC LIMIT 1;
    IF found IS NULL THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION mlshare_share.role_of(text) IS 'The role of that name; NULL is the caller';

CREATE OR REPLACE FUNCTION mlshare_share.is_enabled(role regrole) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM mlshare_share.provider AS p WHERE p.owner = role AND p.enabled);
END;
COMMENT ON FUNCTION mlshare_share.is_enabled(regrole) IS 'Whether an administrator lets the role share data';

CREATE OR REPLACE FUNCTION mlshare_share.check_enabled(role regrole) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(role, 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to share data as "%"', pg_get_userbyid(role)
            USING ERRCODE = 'insufficient_privilege', HINT = 'It takes the rights of that role: be a member of it.';
    ELSIF NOT mlshare_share.is_enabled(role) THEN
        RAISE EXCEPTION 'role "%" may not share data', pg_get_userbyid(role)
            USING ERRCODE = 'ML602', HINT = format('An administrator can CALL dbms_share.enable_schema(%L).',
                                                   pg_get_userbyid(role));
    END IF;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_enabled(regrole) IS 'Raises an error unless the caller may share data as that role';

CREATE OR REPLACE FUNCTION mlshare_share.check_name(kind text, name text, forbidden text DEFAULT '[[:cntrl:] /.]')
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    folded text := mlshare_share.fold(name);
BEGIN
    IF folded IS NULL OR folded = '' OR octet_length(folded) > 255 OR folded ~ forbidden THEN
        RAISE EXCEPTION 'invalid % name "%"', kind, coalesce(name, 'NULL')
            USING ERRCODE = 'ML601',
                  DETAIL = 'A name has 1 to 255 bytes; clients can use none with spaces, dots, slashes or control characters.';
    END IF;
    RETURN folded;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_name(text, text, text) IS 'A folded name, or an error if clients could not use it';

CREATE OR REPLACE FUNCTION mlshare_share.missing(kind text, name text, owner regrole) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% "%" does not exist', kind, coalesce(mlshare_share.fold(name), 'NULL')
        USING ERRCODE = 'ML603', DETAIL = format('Looked for among those of role "%s".', pg_get_userbyid(owner)),
              HINT = 'Names are read in capitals unless they are in double quotes.';
END
$$;
COMMENT ON FUNCTION mlshare_share.missing(text, text, regrole) IS 'Raises the error for something that is not there';

CREATE OR REPLACE FUNCTION mlshare_share.taken(kind text, name text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% "%" already exists', kind, name
        USING ERRCODE = 'ML604', DETAIL = 'Names that differ in case only are the same to clients.';
END
$$;
COMMENT ON FUNCTION mlshare_share.taken(text, text) IS 'Raises the error for something that is there already';

CREATE OR REPLACE FUNCTION mlshare_share.duration(value text) RETURNS interval
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Oracle's days and time, in which 60 minutes are allowed: '0 00:60:00'.
    parts int[] := regexp_match(value, '^ *(\d{1,5}) (\d{1,4}):(\d{1,4}):(\d{1,4}) *$');
BEGIN
    RETURN coalesce(make_interval(days => parts[1], hours => parts[2], mins => parts[3], secs => parts[4]), value::interval);
EXCEPTION
    WHEN invalid_datetime_format OR datetime_field_overflow OR interval_field_overflow THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION mlshare_share.duration(text) IS 'A time span as Oracle or PostgreSQL writes it; NULL if it is none';

CREATE OR REPLACE VIEW sys.all_share_default_settings AS
SELECT d.setting, coalesce(s.setting_value, d.setting_value) AS setting_value, d.description
FROM (VALUES
    ('max_token_lifetime', '90 00:00:00', 'longest token_lifetime that a recipient may have, in days and time'),
    ('token_lifetime',     '90 00:00:00', 'token_lifetime of a new recipient'),
    ('base_endpoint',      '',            'address of the sharing server for activation links and profiles'),
    ('storage_roots',      's3://',       'beginnings of the URIs that storage links may have, separated by spaces'),
    ('private_endpoints',  'false',       'whether storage links and providers may name hosts in private networks'),
    ('split_size',         '134217728',   'bytes at which a file of a share is full'),
    ('compression',        'snappy',      'compression of the files: snappy or zstd')
) AS d (setting, setting_value, description)
LEFT JOIN mlshare_share.setting AS s USING (setting);
COMMENT ON VIEW sys.all_share_default_settings IS 'Settings of data shares for the whole database';

CREATE OR REPLACE FUNCTION mlshare_share.setting_value(name text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.setting_value FROM sys.all_share_default_settings AS s WHERE s.setting = name;
END;
COMMENT ON FUNCTION mlshare_share.setting_value(text) IS 'One of the settings of sys.all_share_default_settings';

CREATE OR REPLACE FUNCTION mlshare_share.check_duration(property text, value text) RETURNS interval
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    span interval := mlshare_share.duration(value);
BEGIN
    IF (span >= '1 second') IS NOT TRUE THEN
        RAISE EXCEPTION 'Invalid share property: % = %.', property, coalesce(value, 'NULL')
            USING ERRCODE = 'ML605', HINT = 'Write days and time, such as "90 00:00:00", or an interval such as "1 day".';
    END IF;
    RETURN span;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_duration(text, text) IS 'A time span of at least a second, or an error';

CREATE OR REPLACE PROCEDURE dbms_share.update_default_share_property(property_name text, new_value text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    property text := lower(property_name);
BEGIN
    IF mlshare_share.setting_value(property) IS NULL THEN
        RAISE EXCEPTION 'unknown setting "%"', property_name
            USING ERRCODE = 'ML605', HINT = 'SELECT * FROM sys.all_share_default_settings lists them.';
    END IF;
    IF property LIKE '%token_lifetime' THEN
        PERFORM mlshare_share.check_duration(property, new_value);
    ELSIF property = 'private_endpoints' THEN
        PERFORM new_value::boolean;
    ELSIF property IN ('split_size', 'compression') THEN
        PERFORM mlshare_share.check_share_property(upper(property), new_value);
    END IF;
    INSERT INTO mlshare_share.setting VALUES (property, new_value)
    ON CONFLICT (setting) DO UPDATE SET setting_value = excluded.setting_value;
END
$$;
COMMENT ON PROCEDURE dbms_share.update_default_share_property(text, text) IS
    'Changes a setting of data shares for the whole database (administrators)';

CREATE OR REPLACE PROCEDURE dbms_share.update_default_recipient_property(property_name text, new_value text)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    CALL dbms_share.update_default_share_property(property_name, new_value);
$$;
COMMENT ON PROCEDURE dbms_share.update_default_recipient_property(text, text) IS
    'The same for settings of recipients, such as max_token_lifetime (administrators)';
