-- Shares and what is in them. Nothing here moves data: that is what publishing does.

CREATE OR REPLACE FUNCTION mlshare_share.share_of(name text, share_owner text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role regrole := mlshare_share.role_of(share_owner);
    found uuid;
BEGIN
    SELECT s.share_id INTO found FROM mlshare_share.share AS s
    WHERE s.owner = role AND lower(s.share_name) = lower(mlshare_share.fold(name));
    IF found IS NULL THEN
        PERFORM mlshare_share.missing('share', name, role);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION mlshare_share.share_of(text, text) IS 'A share by name, or an error';

CREATE OR REPLACE FUNCTION mlshare_share.share_table_of(share uuid, schema_name text, table_name text) RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid[];
BEGIN
    SELECT array_agg(t.table_id) INTO found FROM mlshare_share.share_table AS t
    WHERE t.share_id = share AND lower(t.share_table_name) = lower(mlshare_share.fold(share_table_of.table_name))
      AND (schema_name IS NULL OR lower(t.share_schema_name) = lower(mlshare_share.fold(schema_name)));
    IF cardinality(found) > 1 THEN
        RAISE EXCEPTION 'table name "%" is ambiguous in the share', mlshare_share.fold(table_name)
            USING ERRCODE = 'ML609', HINT = 'Give share_schema_name too.';
    ELSIF found IS NULL THEN
        RAISE EXCEPTION 'the share has no table "%"', mlshare_share.fold(table_name)
            USING ERRCODE = 'ML603', HINT = 'SELECT * FROM sys.user_share_tables lists them.';
    END IF;
    RETURN found[1];
END
$$;
COMMENT ON FUNCTION mlshare_share.share_table_of(uuid, text, text) IS 'A table of a share by its name there, or an error';

CREATE OR REPLACE PROCEDURE dbms_share.create_share(
    share_name text, share_type text DEFAULT 'VERSIONED', storage_link_name text DEFAULT NULL,
    storage_link_owner text DEFAULT NULL, description text DEFAULT NULL, public_description text DEFAULT NULL,
    configuration jsonb DEFAULT NULL, force_create boolean DEFAULT false, share_owner text DEFAULT NULL,
    log_level integer DEFAULT NULL, run_storage_tests boolean DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share', share_name);
    role regrole := mlshare_share.role_of(share_owner);
    id uuid := gen_random_uuid();
    properties jsonb := coalesce(configuration, '{}') || jsonb_strip_nulls(jsonb_build_object('LOG_LEVEL', log_level::text));
    property record;
BEGIN
    IF share_type <> 'VERSIONED' THEN
        RAISE EXCEPTION 'share type "%" is not supported', share_type
            USING ERRCODE = 'feature_not_supported', HINT = 'Shares are VERSIONED: each publish makes a version.';
    END IF;
    PERFORM mlshare_share.check_enabled(role);
    IF force_create AND EXISTS (SELECT FROM mlshare_share.share AS s
                                WHERE s.owner = role AND lower(s.share_name) = lower(name)) THEN
        CALL dbms_share.drop_share(share_name, share_owner);
    END IF;
    INSERT INTO mlshare_share.share
        (share_id, owner, share_name, storage_link_id, storage_folder, description, public_description)
    VALUES (id, role, name, mlshare_share.storage_link_of(storage_link_name, coalesce(storage_link_owner, share_owner)),
            regexp_replace(name, '[^A-Za-z0-9_-]', '_', 'g') || '_' || left(id::text, 8) || '/',
            create_share.description, create_share.public_description);
    FOR property IN SELECT * FROM jsonb_each_text(properties) LOOP
        CALL dbms_share.update_share_property(share_name, property.key, property.value, share_owner);
    END LOOP;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('share', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.create_share(text, text, text, text, text, text, jsonb, boolean, text, integer, boolean, boolean) IS
    'Makes an empty share whose files go to a storage link; force_create replaces one of that name';

CREATE OR REPLACE FUNCTION mlshare_share.check_share_property(property text, value text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fits boolean;
BEGIN
    IF value IS NULL THEN
        RETURN NULL;
    END IF;
    fits := CASE property
        WHEN 'VERSION_ACCESS' THEN regexp_replace(upper(value), '^VERSION_ACCESS_', '') IN ('CURRENT', 'ANY')
        WHEN 'COMPRESSION' THEN lower(value) IN ('snappy', 'zstd')
        WHEN 'SPLIT_SIZE' THEN value ~ '^[0-9]{5,9}$' AND value::bigint BETWEEN 65536 AND 134217728
        WHEN 'LOG_LEVEL' THEN value ~ '^[0-3]$'
        WHEN 'JOB_DOP' THEN value ~ '^[1-5]$'
        WHEN 'URL_LIFETIME' THEN value ~ '^[0-9]{1,6}$' AND value::int BETWEEN 60 AND 604800
        WHEN 'PUBLISH_INTERVAL' THEN mlshare_share.check_duration(lower(property), value) <= '10 years'
        WHEN 'RETENTION' THEN value ~ '^[0-9]{1,6}$' AND value::int >= 1
        WHEN 'NUMERIC' THEN upper(value) IN ('DOUBLE', 'STRING')
        WHEN 'NON_FINITE' THEN upper(value) IN ('NULL', 'ERROR')
    END;
    IF fits IS NULL THEN
        RAISE EXCEPTION 'Invalid share property: %.', lower(property)
            USING ERRCODE = 'ML605', HINT = 'docs/sharing.md lists the properties of shares.';
    ELSIF NOT fits THEN
        RAISE EXCEPTION 'Invalid share property: % = %.', lower(property), value
            USING ERRCODE = 'ML605', HINT = 'docs/sharing.md lists the properties of shares and their values.';
    END IF;
    RETURN regexp_replace(CASE property WHEN 'COMPRESSION' THEN lower(value) ELSE upper(value) END, '^VERSION_ACCESS_', '');
END
$$;
COMMENT ON FUNCTION mlshare_share.check_share_property(text, text) IS 'The value of a property as it is kept, or an error';

CREATE OR REPLACE PROCEDURE dbms_share.update_share_property(
    share_name text, share_property text, new_value text, share_owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
    property text := upper(share_property);
    kept text;
BEGIN
    IF property IN ('DESCRIPTION', 'PUBLIC_DESCRIPTION') THEN
        EXECUTE format('UPDATE mlshare_share.share SET %I = $1, updated = now() WHERE share_id = $2', lower(property))
        USING new_value, share;
        RETURN;
    END IF;
    kept := mlshare_share.check_share_property(property, new_value);
    UPDATE mlshare_share.share AS s
    SET properties = CASE WHEN new_value IS NULL THEN s.properties - property
                          ELSE s.properties || jsonb_build_object(property, kept) END,
        next_publish = CASE WHEN property <> 'PUBLISH_INTERVAL' THEN s.next_publish
                            WHEN new_value IS NOT NULL THEN now() + mlshare_share.duration(new_value) END,
        updated = now()
    WHERE s.share_id = share;
END
$$;
COMMENT ON PROCEDURE dbms_share.update_share_property(text, text, text, text, boolean) IS
    'Sets a property of a share; NULL restores the default';

CREATE OR REPLACE FUNCTION dbms_share.get_share_property(share_name text, share_property text, share_owner text DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((jsonb_build_object('DESCRIPTION', s.description, 'PUBLIC_DESCRIPTION', s.public_description,
                                        'SHARE_TYPE', s.share_type) || s.properties) ->> upper(share_property),
                    mlshare_share.setting_value(lower(share_property)))
    FROM mlshare_share.share AS s
    WHERE s.share_id = mlshare_share.share_of(get_share_property.share_name, share_owner);
END;
COMMENT ON FUNCTION dbms_share.get_share_property(text, text, text) IS 'A property of a share, or its default';

CREATE OR REPLACE PROCEDURE dbms_share.set_share_log_level(share_name text, log_level integer, share_owner text DEFAULT NULL)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    CALL dbms_share.update_share_property(share_name, 'LOG_LEVEL', log_level::text, share_owner);
$$;
COMMENT ON PROCEDURE dbms_share.set_share_log_level(text, integer, text) IS
    'How much of a share goes into its events: 0 errors, 1 basic, 2 details, 3 all';

CREATE OR REPLACE PROCEDURE dbms_share.update_share_job_property(
    share_name text, share_property text, new_value text, share_owner text DEFAULT NULL)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    CALL dbms_share.update_share_property(share_name, share_property, new_value, share_owner);
$$;
COMMENT ON PROCEDURE dbms_share.update_share_job_property(text, text, text, text) IS
    'Sets a property of a share''s publishing, such as JOB_DOP, the number of sessions that read at once';

CREATE OR REPLACE PROCEDURE dbms_share.rename_share(
    old_share_name text, new_share_name text, share_owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share', new_share_name);
    share uuid := mlshare_share.share_of(old_share_name, share_owner);
BEGIN
    UPDATE mlshare_share.share AS s SET share_name = name, updated = now() WHERE s.share_id = share;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('share', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_share(text, text, text, boolean) IS 'Renames a share, for clients too; its files stay where they are';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share(
    share_name text, owner text DEFAULT NULL, destroy_objects boolean DEFAULT true, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, owner);
    link uuid := (SELECT s.storage_link_id FROM mlshare_share.share AS s WHERE s.share_id = share);
BEGIN
    DELETE FROM mlshare_share.share AS s WHERE s.share_id = share;
    IF destroy_objects THEN
        PERFORM mlshare_share.queue_purge(link);
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_share(text, text, boolean, boolean) IS
    'Drops a share with its versions and grants; with destroy_objects the worker deletes its files';

-- --- tables of a share ---------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION mlshare_share.relation_of(relation_name text, schema_name text, search_schemas name[])
RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[];
    schemas text[] := search_schemas;
    found regclass;
BEGIN
    parts := parse_ident(relation_name);
    IF cardinality(parts) = 2 THEN
        schemas := parts[1:1];
    ELSIF schema_name IS NOT NULL THEN
        schemas := parse_ident(schema_name);
    END IF;
    SELECT c.oid INTO found FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = parts[cardinality(parts)] AND n.nspname = ANY (schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY array_position(schemas, n.nspname::text) LIMIT 1;
    IF found IS NULL THEN
        RAISE EXCEPTION 'table or view "%" does not exist', concat_ws('.', schema_name, relation_name)
            USING ERRCODE = 'undefined_table', DETAIL = format('Looked for in: %s.', array_to_string(schemas, ', '));
    END IF;
    RETURN found;
EXCEPTION
    WHEN invalid_parameter_value THEN
        RAISE EXCEPTION 'invalid table name "%"', concat_ws('.', schema_name, relation_name)
            USING ERRCODE = 'invalid_name', HINT = 'Quote names with capitals or special characters.';
END
$$;
COMMENT ON FUNCTION mlshare_share.relation_of(text, text, name[]) IS 'A relation that could be shared, by name, or an error';

CREATE OR REPLACE FUNCTION mlshare_share.check_shareable(relation regclass, columns name[], role regrole) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong name;
BEGIN
    IF cardinality(columns) = 0 THEN
        RAISE EXCEPTION 'no column of "%" is left to share', relation USING ERRCODE = 'ML610';
    END IF;
    SELECT c.name INTO wrong FROM unnest(columns) AS c (name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = c.name
                      AND a.attnum > 0 AND NOT a.attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of "%" does not exist', wrong, relation USING ERRCODE = 'undefined_column';
    END IF;
    SELECT a.attname INTO wrong FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND (columns IS NULL OR a.attname = ANY (columns))
      AND NOT has_column_privilege(role, relation, a.attnum, 'SELECT');
    IF FOUND THEN
        RAISE EXCEPTION 'permission denied for table %', relation
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Role "%s" may not read column "%s".', pg_get_userbyid(role), wrong);
    END IF;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_shareable(regclass, name[], regrole) IS
    'Raises an error unless the role may read these columns (NULL: all) of a relation';

CREATE OR REPLACE FUNCTION mlshare_share.check_where(relation regclass, where_clause text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan refcursor;
BEGIN
    -- A cursor takes one statement only, and EXPLAIN plans without running.
    OPEN plan FOR EXECUTE format(E'EXPLAIN SELECT FROM %s WHERE (%s\n)', relation, where_clause);
    CLOSE plan;
EXCEPTION
    WHEN syntax_error OR invalid_cursor_definition OR undefined_column OR undefined_function OR datatype_mismatch
         OR windowing_error OR grouping_error THEN
        RAISE EXCEPTION 'invalid where_clause for "%": %', relation, sqlerrm
            USING ERRCODE = 'ML610', HINT = 'Give one condition on columns of the table; functions that are not '
                                            'PostgreSQL''s own need their schema''s name.';
END
$$;
COMMENT ON FUNCTION mlshare_share.check_where(regclass, text) IS 'Raises an error unless the text is a condition on the relation';

CREATE OR REPLACE PROCEDURE dbms_share.add_to_share(
    share_name text, table_name text, owner text DEFAULT NULL, share_table_name text DEFAULT NULL,
    share_schema_name text DEFAULT NULL, object_metadata jsonb DEFAULT NULL, replace_existing boolean DEFAULT false,
    auto_commit boolean DEFAULT false, column_list name[] DEFAULT NULL, where_clause text DEFAULT NULL,
    share_owner text DEFAULT NULL, search_schemas name[] DEFAULT current_schemas(false))
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
    relation regclass := mlshare_share.relation_of(table_name, add_to_share.owner, search_schemas);
    source record;
    schema_name text;
    name text;
BEGIN
    SELECT n.nspname, c.relname INTO source
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation;
    -- The defaults are quoted so that a name with capitals of its own keeps them.
    schema_name := mlshare_share.check_name('share schema', coalesce(share_schema_name, format('"%s"', upper(source.nspname))));
    name := mlshare_share.check_name('share table', coalesce(share_table_name, format('"%s"', upper(source.relname))));
    PERFORM mlshare_share.check_shareable(relation, column_list, mlshare_share.role_of(share_owner));
    IF where_clause IS NOT NULL THEN
        PERFORM mlshare_share.check_where(relation, where_clause);
    END IF;
    IF replace_existing THEN
        UPDATE mlshare_share.share_table AS t
        SET table_owner = source.nspname, table_name = source.relname, columns = column_list,
            where_clause = add_to_share.where_clause, updated = now()
        WHERE t.share_id = share AND lower(t.share_schema_name) = lower(schema_name) AND lower(t.share_table_name) = lower(name);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    INSERT INTO mlshare_share.share_table
        (share_id, share_schema_name, share_table_name, table_owner, table_name, columns, where_clause, properties)
    VALUES (share, schema_name, name, source.nspname, source.relname, column_list, add_to_share.where_clause,
            coalesce(object_metadata, '{}'));
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('table', schema_name || '.' || name);
END
$$;
COMMENT ON PROCEDURE dbms_share.add_to_share(text, text, text, text, text, jsonb, boolean, boolean, name[], text, text, name[]) IS
    'Puts a table, view, materialized or foreign table into a share: all of it, or some columns and rows; owner is its schema';

CREATE OR REPLACE PROCEDURE dbms_share.remove_from_share(
    share_name text, share_table_name text, share_schema_name text DEFAULT NULL, share_owner text DEFAULT NULL,
    auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid := mlshare_share.share_table_of(mlshare_share.share_of(share_name, share_owner), share_schema_name, share_table_name);
BEGIN
    DELETE FROM mlshare_share.share_table AS t WHERE t.table_id = found;
END
$$;
COMMENT ON PROCEDURE dbms_share.remove_from_share(text, text, text, text, boolean) IS
    'Takes a table out of a share; versions that have it keep it';

CREATE OR REPLACE PROCEDURE dbms_share.rename_share_table(
    share_name text, share_schema_name text, old_share_table_name text, new_share_table_name text,
    share_owner text DEFAULT NULL, auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share table', new_share_table_name);
    found uuid := mlshare_share.share_table_of(mlshare_share.share_of(share_name, share_owner), share_schema_name, old_share_table_name);
BEGIN
    UPDATE mlshare_share.share_table AS t SET share_table_name = name, updated = now() WHERE t.table_id = found;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('table', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_share_table(text, text, text, text, text, boolean) IS
    'Renames a table of a share, from the next version on';

CREATE OR REPLACE PROCEDURE dbms_share.rename_share_schema(
    share_name text, old_share_schema_name text, new_share_schema_name text, share_owner text DEFAULT NULL,
    auto_commit boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := mlshare_share.check_name('share schema', new_share_schema_name);
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    UPDATE mlshare_share.share_table AS t SET share_schema_name = name, updated = now()
    WHERE t.share_id = share AND lower(t.share_schema_name) = lower(mlshare_share.fold(old_share_schema_name));
    IF NOT FOUND THEN
        PERFORM mlshare_share.missing('share schema', old_share_schema_name, mlshare_share.role_of(share_owner));
    END IF;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM mlshare_share.taken('table in schema', name);
END
$$;
COMMENT ON PROCEDURE dbms_share.rename_share_schema(text, text, text, text, boolean) IS
    'Renames a schema of a share, from the next version on';

CREATE OR REPLACE PROCEDURE dbms_share.update_share_table_property(
    share_name text, share_table_name text, share_table_property text, new_value text,
    share_schema_name text DEFAULT NULL, share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid := mlshare_share.share_table_of(mlshare_share.share_of(share_name, share_owner), share_schema_name, share_table_name);
    property text := upper(share_table_property);
BEGIN
    IF property NOT IN ('NUMERIC', 'NON_FINITE') THEN
        RAISE EXCEPTION 'Invalid share table property: %.', lower(property)
            USING ERRCODE = 'ML605', HINT = 'Properties of tables are NUMERIC and NON_FINITE.';
    END IF;
    UPDATE mlshare_share.share_table AS t
    SET properties = t.properties || jsonb_build_object(property, mlshare_share.check_share_property(property, new_value)),
        updated = now()
    WHERE t.table_id = found;
END
$$;
COMMENT ON PROCEDURE dbms_share.update_share_table_property(text, text, text, text, text, text) IS
    'Sets a property of a table of a share: NUMERIC (DOUBLE or STRING), NON_FINITE (NULL or ERROR)';

CREATE OR REPLACE FUNCTION dbms_share.get_share_table_property(
    share_name text, share_table_name text, share_table_property text, share_schema_name text DEFAULT NULL,
    share_owner text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(t.properties ->> upper(share_table_property),
                    dbms_share.get_share_property(share_name, share_table_property, share_owner))
    FROM mlshare_share.share_table AS t
    -- A bare name would be the column.
    WHERE t.table_id = mlshare_share.share_table_of(
        mlshare_share.share_of(share_name, share_owner), get_share_table_property.share_schema_name,
        get_share_table_property.share_table_name);
END;
COMMENT ON FUNCTION dbms_share.get_share_table_property(text, text, text, text, text) IS
    'A property of a table of a share, or what its share has';

CREATE OR REPLACE PROCEDURE dbms_share.assert_shareable_object(
    object_name text, object_owner text DEFAULT NULL, search_schemas name[] DEFAULT current_schemas(false))
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mlshare_share.check_shareable(mlshare_share.relation_of(object_name, object_owner, search_schemas), NULL,
                                          mlshare_share.me());
END
$$;
COMMENT ON PROCEDURE dbms_share.assert_shareable_object(text, text, name[]) IS 'Raises an error unless the caller could share the table or view';

CREATE OR REPLACE FUNCTION dbms_share.can_create_share() RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN mlshare_share.is_enabled(mlshare_share.me())::int;
COMMENT ON FUNCTION dbms_share.can_create_share() IS '1 if the caller may create shares, otherwise 0';

CREATE OR REPLACE FUNCTION dbms_share.can_create_share_recipient() RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN mlshare_share.is_enabled(mlshare_share.me())::int;
COMMENT ON FUNCTION dbms_share.can_create_share_recipient() IS '1 if the caller may create recipients, otherwise 0';
