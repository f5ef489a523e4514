-- Publishing queues a job for the worker; versions are kept, served and dropped.

CREATE OR REPLACE FUNCTION mlshare_share.notify_job() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('mlshare_share_job', new.job_id::text);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mlshare_share.notify_job() IS 'Wakes the workers when a job is queued or to be cancelled';

CREATE OR REPLACE FUNCTION mlshare_share.current_is_exported() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM mlshare_share.version AS v WHERE v.share_id = new.share_id
                   AND v.share_version = new.current_version AND v.status = 'EXPORTED') THEN
        RAISE EXCEPTION 'version % of share "%" cannot be served', new.current_version, new.share_name
            USING ERRCODE = 'ML611', HINT = 'SELECT * FROM sys.user_share_versions lists those that can.';
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION mlshare_share.current_is_exported() IS 'Only a version that was exported completely is served';

CREATE OR REPLACE FUNCTION mlshare_share.version_is_over() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM mlshare_share.share AS s
               WHERE s.share_id = new.share_id AND s.current_version = new.share_version) THEN
        RAISE EXCEPTION 'version % is the current one', new.share_version
            USING ERRCODE = 'ML612', HINT = 'CALL dbms_share.set_current_share_version or dbms_share.unpublish_share first.';
    END IF;
    DELETE FROM mlshare_share.version_table AS t
    WHERE t.share_id = new.share_id AND t.share_version = new.share_version;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mlshare_share.version_is_over() IS 'A version that failed or was dropped holds no files any more';

DO $triggers$
BEGIN
    CREATE OR REPLACE TRIGGER notify AFTER INSERT OR UPDATE OF cancel_requested ON mlshare_share.job
        FOR EACH ROW EXECUTE FUNCTION mlshare_share.notify_job();
    CREATE OR REPLACE TRIGGER current_is_exported BEFORE UPDATE OF current_version ON mlshare_share.share
        FOR EACH ROW WHEN (new.current_version IS NOT NULL) EXECUTE FUNCTION mlshare_share.current_is_exported();
    CREATE OR REPLACE TRIGGER is_over AFTER UPDATE OF status ON mlshare_share.version
        FOR EACH ROW WHEN (new.status IN ('FAILED', 'DROPPED')) EXECUTE FUNCTION mlshare_share.version_is_over();
END
$triggers$;

-- --- jobs ----------------------------------------------------------------------------------------

CREATE OR REPLACE PROCEDURE dbms_share.publish_share(
    share_name text, share_owner text DEFAULT NULL, drop_prior_versions boolean DEFAULT false,
    INOUT job_id bigint DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
    role regrole := mlshare_share.role_of(share_owner);
BEGIN
    PERFORM mlshare_share.check_enabled(role);
    IF NOT EXISTS (SELECT FROM mlshare_share.share_table AS t WHERE t.share_id = share) THEN
        RAISE EXCEPTION 'share "%" has no tables', mlshare_share.fold(share_name)
            USING ERRCODE = 'ML613', HINT = 'CALL dbms_share.add_to_share first.';
    END IF;
    INSERT INTO mlshare_share.job AS j (owner, kind, share_id, arguments)
    VALUES (role, 'PUBLISH', share, jsonb_build_object('drop_prior_versions', drop_prior_versions))
    RETURNING j.job_id INTO publish_share.job_id;
END
$$;
COMMENT ON PROCEDURE dbms_share.publish_share(text, text, boolean, bigint) IS
    'Asks for a new version of a share and returns at once; sys.user_share_jobs shows how it goes on';

CREATE OR REPLACE FUNCTION mlshare_share.job_is_over(job bigint) RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT j.status NOT IN ('QUEUED', 'RUNNING') FROM mlshare_share.job AS j WHERE j.job_id = job), true);
END;
COMMENT ON FUNCTION mlshare_share.job_is_over(bigint) IS 'Whether a job has ended, one way or another';

CREATE OR REPLACE FUNCTION mlshare_share.has_worker() RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Each worker holds this advisory lock, shared, as long as it is connected.
    SELECT EXISTS (SELECT FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1835821928
                   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));
END;
COMMENT ON FUNCTION mlshare_share.has_worker() IS 'Whether a publish worker is connected to this database';

CREATE OR REPLACE FUNCTION mlshare_share.job_result(job bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended mlshare_share.job;
BEGIN
    SELECT * INTO ended FROM mlshare_share.job AS j WHERE j.job_id = job;
    IF ended.status IS DISTINCT FROM 'COMPLETED' THEN
        RAISE EXCEPTION '%', coalesce(ended.error, format('job %s was dropped or cancelled', job))
            USING ERRCODE = coalesce(ended.result ->> 'sqlstate', 'ML632'),
                  DETAIL = coalesce(ended.result ->> 'detail', ''),
                  HINT = coalesce(ended.result ->> 'hint', 'sys.user_share_events tells more.');
    END IF;
    RETURN ended.result;
END
$$;
COMMENT ON FUNCTION mlshare_share.job_result(bigint) IS 'What a job that has ended gave, or its error';

CREATE OR REPLACE FUNCTION mlshare_share.check_worker() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT mlshare_share.has_worker() THEN
        RAISE EXCEPTION 'no publish worker is connected to this database'
            USING ERRCODE = 'ML614', HINT = 'Run "mlshare-server worker"; publish_share queues a job without one.';
    END IF;
END
$$;
COMMENT ON FUNCTION mlshare_share.check_worker() IS 'Raises an error when nobody would do the work';

-- The two routines that wait must COMMIT, or the worker would not see their job. PostgreSQL allows that only without a
-- SET clause; so they do nothing themselves but call routines that pin their search_path.
CREATE OR REPLACE PROCEDURE dbms_share.publish_share_wait(
    share_name text, share_owner text DEFAULT NULL, drop_prior_versions boolean DEFAULT false,
    INOUT job_id bigint DEFAULT NULL)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM mlshare_share.check_worker();
    CALL dbms_share.publish_share(share_name, share_owner, drop_prior_versions, job_id);
    COMMIT;
    WHILE NOT mlshare_share.job_is_over(job_id) LOOP
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.05);
    END LOOP;
    PERFORM mlshare_share.job_result(job_id);
END
$$;
COMMENT ON PROCEDURE dbms_share.publish_share_wait(text, text, boolean, bigint) IS
    'Publishes a share and returns when that is done; commits, so it cannot be called inside a transaction';

CREATE OR REPLACE FUNCTION mlshare_share.queue_validation(link_name text, link_owner text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job bigint;
BEGIN
    PERFORM mlshare_share.check_worker();
    INSERT INTO mlshare_share.job AS j (owner, kind, storage_link_id)
    VALUES (mlshare_share.role_of(link_owner), 'VALIDATE', mlshare_share.storage_link_of(link_name, link_owner))
    RETURNING j.job_id INTO job;
    RETURN job;
END
$$;
COMMENT ON FUNCTION mlshare_share.queue_validation(text, text) IS 'Asks a worker to try a storage link';

CREATE OR REPLACE PROCEDURE dbms_share.validate_share_storage(
    storage_link_name text, INOUT validation_results jsonb DEFAULT NULL, run_storage_tests boolean DEFAULT true,
    storage_link_owner text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    job bigint;
BEGIN
    job := mlshare_share.queue_validation(storage_link_name, storage_link_owner);
    COMMIT;
    WHILE NOT mlshare_share.job_is_over(job) LOOP
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.05);
    END LOOP;
    validation_results := mlshare_share.job_result(job);
END
$$;
COMMENT ON PROCEDURE dbms_share.validate_share_storage(text, jsonb, boolean, text) IS
    'Has the worker write, read, sign and delete a file and tells how each went; commits, so not inside a transaction';

CREATE OR REPLACE PROCEDURE dbms_share.cancel_share_job(job_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE mlshare_share.job AS j SET cancel_requested = true
    WHERE j.job_id = cancel_share_job.job_id AND j.status IN ('QUEUED', 'RUNNING');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % is not queued or running', job_id USING ERRCODE = 'ML603';
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.cancel_share_job(bigint) IS 'Ends a job; the version that was served goes on being served';

CREATE OR REPLACE FUNCTION mlshare_share.queue_purge(link uuid, mode integer DEFAULT 1) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO mlshare_share.job AS j (owner, kind, storage_link_id, arguments)
    SELECT l.owner, 'PURGE', l.storage_link_id, jsonb_build_object('purge_mode', mode)
    FROM mlshare_share.storage_link AS l WHERE l.storage_link_id = link
    RETURNING j.job_id;
END;
COMMENT ON FUNCTION mlshare_share.queue_purge(uuid, integer) IS 'Asks a worker to delete the detached files of a storage link';

CREATE OR REPLACE PROCEDURE dbms_share.purge_detached_files(purge_mode integer DEFAULT 1, storage_link_name text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF purge_mode NOT IN (1, 2, 3) THEN
        RAISE EXCEPTION 'invalid purge_mode %', purge_mode
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = '1: delete; 2: delete, and forget what cannot be deleted; 3: only forget.';
    END IF;
    PERFORM mlshare_share.queue_purge(l.storage_link_id, purge_mode) FROM mlshare_share.storage_link AS l
    WHERE l.owner = mlshare_share.me() AND (purge_detached_files.storage_link_name IS NULL
          OR l.storage_link_name = mlshare_share.fold(purge_detached_files.storage_link_name));
END
$$;
COMMENT ON PROCEDURE dbms_share.purge_detached_files(integer, text) IS
    'Has the worker delete files that no version needs: 1 delete, 2 forget those that cannot be deleted, 3 only forget';

-- --- versions ------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION mlshare_share.drop_versions(share uuid, first integer, last integer, destroy boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE mlshare_share.version AS v SET status = 'DROPPED'
    WHERE v.share_id = share AND v.share_version BETWEEN first AND last AND v.status IN ('EXPORTED', 'FAILED');
    IF destroy THEN
        PERFORM mlshare_share.queue_purge(s.storage_link_id) FROM mlshare_share.share AS s WHERE s.share_id = share;
    END IF;
END
$$;
COMMENT ON FUNCTION mlshare_share.drop_versions(uuid, integer, integer, boolean) IS 'Drops a range of versions of a share';

CREATE OR REPLACE PROCEDURE dbms_share.set_current_share_version(
    share_name text, share_version integer, share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    UPDATE mlshare_share.share AS s SET current_version = share_version, updated = now() WHERE s.share_id = share;
END
$$;
COMMENT ON PROCEDURE dbms_share.set_current_share_version(text, integer, text) IS 'Says which version of a share is served; NULL: none';

CREATE OR REPLACE PROCEDURE dbms_share.unpublish_share(
    share_name text, share_owner text DEFAULT NULL, drop_all_versions boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    UPDATE mlshare_share.job AS j SET cancel_requested = true
    WHERE j.share_id = share AND j.kind = 'PUBLISH' AND j.status IN ('QUEUED', 'RUNNING');
    UPDATE mlshare_share.share AS s SET current_version = NULL, updated = now() WHERE s.share_id = share;
    IF drop_all_versions THEN
        PERFORM mlshare_share.drop_versions(share, 1, 2147483647, true);
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.unpublish_share(text, text, boolean) IS
    'Stops serving a share, and with drop_all_versions drops what was published';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share_version(
    share_name text, share_version integer, destroy_objects boolean DEFAULT true, share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    IF NOT EXISTS (SELECT FROM mlshare_share.version AS v WHERE v.share_id = share
                   AND v.share_version = drop_share_version.share_version AND v.status IN ('EXPORTED', 'FAILED')) THEN
        RAISE EXCEPTION 'share "%" has no version % to drop', mlshare_share.fold(share_name), share_version
            USING ERRCODE = 'ML603', HINT = 'SELECT * FROM sys.user_share_versions lists them.';
    END IF;
    PERFORM mlshare_share.drop_versions(share, share_version, share_version, destroy_objects);
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_share_version(text, integer, boolean, text) IS
    'Drops a version that is not the current one; with destroy_objects the worker deletes files that only it needed';

CREATE OR REPLACE PROCEDURE dbms_share.drop_share_versions(
    share_name text, from_share_version integer, to_share_version integer, destroy_objects boolean DEFAULT true,
    share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mlshare_share.drop_versions(mlshare_share.share_of(share_name, share_owner), coalesce(from_share_version, 1),
                                        coalesce(to_share_version, 2147483647), destroy_objects);
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_share_versions(text, integer, integer, boolean, text) IS
    'Drops all versions from one to another; the current one must not be among them';

CREATE OR REPLACE PROCEDURE dbms_share.drop_unused_share_versions(
    share_name text, destroy_objects boolean DEFAULT true, share_owner text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    share uuid := mlshare_share.share_of(share_name, share_owner);
BEGIN
    UPDATE mlshare_share.version AS v SET status = 'DROPPED'
    WHERE v.share_id = share AND v.status IN ('EXPORTED', 'FAILED')
      AND NOT EXISTS (SELECT FROM mlshare_share.share AS s
                      WHERE s.share_id = share AND s.current_version = v.share_version);
    IF destroy_objects THEN
        PERFORM mlshare_share.queue_purge(s.storage_link_id) FROM mlshare_share.share AS s WHERE s.share_id = share;
    END IF;
END
$$;
COMMENT ON PROCEDURE dbms_share.drop_unused_share_versions(text, boolean, text) IS 'Drops all versions but the current one';
