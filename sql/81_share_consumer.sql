-- Reading shares of others. What only looks rows up is SQL; what asks a server is Python, in a process of its own.

CREATE OR REPLACE PROCEDURE dbms_share.create_share_provider(
    provider_name text, endpoint text DEFAULT NULL, share_profile jsonb DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].create_share_provider(provider_name, endpoint, share_profile)
$python$;
COMMENT ON PROCEDURE dbms_share.create_share_provider(text, text, jsonb) IS
    'Names a Delta Sharing server with the profile that its provider gave; its token is kept sealed (members of mlshare_consumer)';

CREATE OR REPLACE PROCEDURE dbms_share.set_share_provider_credential(share_provider text, share_profile jsonb)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].set_share_provider_credential(share_provider, share_profile)
$python$;
COMMENT ON PROCEDURE dbms_share.set_share_provider_credential(text, jsonb) IS
    'Replaces a provider''s endpoint and token by those of a new profile (members of mlshare_consumer)';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share_provider(provider_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM mlshare_share.share_provider AS p
    WHERE p.owner = mlshare_share.me() AND p.provider_name = mlshare_share.fold(drop_share_provider.provider_name);
    IF NOT FOUND THEN
        PERFORM mlshare_share.missing('share provider', provider_name, mlshare_share.me());
    END IF;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'share provider "%" is in use', mlshare_share.fold(provider_name)
            USING ERRCODE = 'ML608', DETAIL = 'Share links lead to it.', HINT = 'Drop them first.';
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_share_provider(text) IS 'Forgets a provider that no share link leads to';

CREATE OR REPLACE FUNCTION dbms_share.discover_available_shares(share_provider text)
RETURNS TABLE (available_share_name text, comment text)
LANGUAGE plpython3u VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].discover_available_shares(share_provider)
$python$;
COMMENT ON FUNCTION dbms_share.discover_available_shares(text) IS 'Asks a provider''s server which shares it has for us';

CREATE OR REPLACE FUNCTION dbms_share.discover_available_tables(share_provider text, share_name text DEFAULT NULL)
RETURNS TABLE (available_share_name text, schema_name text, table_name text)
LANGUAGE plpython3u VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].discover_available_tables(share_provider, share_name)
$python$;
COMMENT ON FUNCTION dbms_share.discover_available_tables(text, text) IS
    'Asks a provider''s server for the tables of a share, or of all';

CREATE OR REPLACE PROCEDURE dbms_share.create_share_link(share_link_name text, share_provider text, share_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share link', share_link_name, '[[:cntrl:]]');
    provider uuid;
BEGIN
    SELECT p.provider_id INTO provider FROM mlshare_share.share_provider AS p
    WHERE p.owner = mlshare_share.me() AND p.provider_name = mlshare_share.fold(create_share_link.share_provider);
    IF provider IS NULL THEN
        PERFORM mlshare_share.missing('share provider', share_provider, mlshare_share.me());
    END IF;
    INSERT INTO mlshare_share.share_link (owner, link_name, provider_id, share_name)
    VALUES (mlshare_share.me(), name, provider, create_share_link.share_name);
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('share link', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.create_share_link(text, text, text) IS 'Gives one of a provider''s shares a name here';

CREATE OR REPLACE PROCEDURE dbms_share.create_or_replace_share_link(share_link_name text, share_provider text, share_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    link uuid;
BEGIN
    UPDATE mlshare_share.share_link AS l
    SET provider_id = p.provider_id, share_name = create_or_replace_share_link.share_name, updated = now()
    FROM mlshare_share.share_provider AS p
    WHERE l.owner = mlshare_share.me() AND l.link_name = mlshare_share.fold(share_link_name)
      AND p.owner = l.owner AND p.provider_name = mlshare_share.fold(create_or_replace_share_link.share_provider)
    RETURNING l.link_id INTO link;
    IF link IS NULL THEN
        CALL dbms_share.create_share_link(share_link_name, share_provider, share_name);
    END IF;
    -- The other share counts its versions by itself: the same number is not the same rows.
    UPDATE mlshare_share.share_link_view AS v SET table_version = NULL WHERE v.link_id = link;
END
$$;
COMMENT ON PROCEDURE dbms_share.create_or_replace_share_link(text, text, text) IS
    'The same; one of that name leads to the other share from the next refresh of its views on';

CREATE OR REPLACE PROCEDURE dbms_share.rename_share_link(old_share_link_name text, new_share_link_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share link', new_share_link_name, '[[:cntrl:]]');
BEGIN
    UPDATE mlshare_share.share_link AS l SET link_name = name, updated = now()
    WHERE l.owner = mlshare_share.me() AND l.link_name = mlshare_share.fold(old_share_link_name);
    IF NOT FOUND THEN
        PERFORM mlshare_share.missing('share link', old_share_link_name, mlshare_share.me());
    END IF;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('share link', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_share_link(text, text) IS 'Renames a share link; views go on reading through it';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share_link(share_link_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM mlshare_share.share_link AS l
    WHERE l.owner = mlshare_share.me() AND l.link_name = mlshare_share.fold(share_link_name);
    IF NOT FOUND THEN
        PERFORM mlshare_share.missing('share link', share_link_name, mlshare_share.me());
    END IF;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'share link "%" is in use', mlshare_share.fold(share_link_name)
            USING ERRCODE = 'ML608', DETAIL = 'Views read through it.',
                  HINT = 'CALL dbms_share.drop_share_link_view(…) first.';
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_share_link(text) IS 'Forgets a share link that no view reads through';

CREATE OR REPLACE PROCEDURE dbms_share.create_share_link_view(
    view_name text, share_link_name text, share_schema_name text, share_table_name text,
    column_names text[] DEFAULT NULL, where_clause text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].create_share_link_view(view_name, share_link_name, share_schema_name, share_table_name, column_names, where_clause)
$python$;
COMMENT ON PROCEDURE dbms_share.create_share_link_view(text, text, text, text, text[], text) IS
    'Makes a view of a shared table: only those columns and rows are fetched, and kept here until the share has a new version';

CREATE OR REPLACE FUNCTION dbms_share.refresh_share_link_view(view_name text) RETURNS boolean
LANGUAGE plpython3u VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].refresh_share_link_view(view_name)
$python$;
COMMENT ON FUNCTION dbms_share.refresh_share_link_view(text) IS
    'Fetches what is new since the version that the view shows; false if there is nothing new';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share_link_view(view_name text)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].drop_share_link_view(view_name)
$python$;
COMMENT ON PROCEDURE dbms_share.drop_share_link_view(text) IS 'Drops a view of a shared table with the rows that it kept';
