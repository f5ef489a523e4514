-- Constants of Oracle's package. Its scripts name them without parentheses; a function of PostgreSQL is called with them.

CREATE OR REPLACE FUNCTION dbms_share.share_type_versioned() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'VERSIONED';
COMMENT ON FUNCTION dbms_share.share_type_versioned() IS 'The kind of share whose every publish makes a version: for create_share';

CREATE OR REPLACE FUNCTION dbms_share.share_type_live() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'LIVE';
COMMENT ON FUNCTION dbms_share.share_type_live() IS 'The kind of share that only Oracle databases have among themselves: create_share refuses it';

CREATE OR REPLACE FUNCTION dbms_share.version_access_current() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'VERSION_ACCESS_CURRENT';
COMMENT ON FUNCTION dbms_share.version_access_current() IS 'Only the current version may be read: for the property version_access';

CREATE OR REPLACE FUNCTION dbms_share.version_access_any() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'VERSION_ACCESS_ANY';
COMMENT ON FUNCTION dbms_share.version_access_any() IS 'Older versions may be read too: for the property version_access';

CREATE OR REPLACE FUNCTION dbms_share.prop_share_job_dop() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 'JOB_DOP';
COMMENT ON FUNCTION dbms_share.prop_share_job_dop() IS 'The property of a share that says how many sessions read at once';

CREATE OR REPLACE FUNCTION dbms_share.log_level_errors_only() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 0;
COMMENT ON FUNCTION dbms_share.log_level_errors_only() IS 'Only errors become events: for set_share_log_level and set_recipient_log_level';

CREATE OR REPLACE FUNCTION dbms_share.log_level_basic() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 1;
COMMENT ON FUNCTION dbms_share.log_level_basic() IS 'Errors and what is basic become events';

CREATE OR REPLACE FUNCTION dbms_share.log_level_detail() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 2;
COMMENT ON FUNCTION dbms_share.log_level_detail() IS 'Details become events too';

CREATE OR REPLACE FUNCTION dbms_share.log_level_debug() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 3;
COMMENT ON FUNCTION dbms_share.log_level_debug() IS 'Everything becomes an event';

CREATE OR REPLACE FUNCTION dbms_share.purge_drop() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 1;
COMMENT ON FUNCTION dbms_share.purge_drop() IS 'Delete files and keep those listed that cannot be deleted: for purge_detached_files';

CREATE OR REPLACE FUNCTION dbms_share.purge_drop_force() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 2;
COMMENT ON FUNCTION dbms_share.purge_drop_force() IS 'Delete files and forget those that cannot be deleted: for purge_detached_files';

CREATE OR REPLACE FUNCTION dbms_share.purge_forget() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN 3;
COMMENT ON FUNCTION dbms_share.purge_forget() IS 'Forget files without deleting them: for purge_detached_files';
