-- One rule for all: nothing is open to PUBLIC; mlshare_user may call what the schema holds, except the routines that
-- only an administrator needs. Private tables are readable where a view needs them, and written by nobody else.
DO $privileges$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN SELECT p.oid FROM pg_proc AS p
                   WHERE p.pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace)
                     AND p.proname NOT LIKE '\_as\_owner\_%' LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO mlshare_user', routine);
    END LOOP;
    REVOKE ALL ON PROCEDURE sys.ml_set(text, bigint) FROM mlshare_user;
    REVOKE ALL ON PROCEDURE sys.ml_executor_set(text, text, text, text, text) FROM mlshare_user;
    REVOKE ALL ON FUNCTION sys._create_key() FROM mlshare_user;
END
$privileges$;

GRANT USAGE ON SCHEMA sys, dbms_data_mining TO mlshare_user;
GRANT SELECT ON sys.ml_settings, sys.ml_model_privileges, sys.ml_cache TO PUBLIC;
GRANT SELECT ON sys.all_mining_models, sys.user_mining_models,
    sys.all_mining_model_attributes, sys.user_mining_model_attributes,
    sys.all_mining_model_settings, sys.user_mining_model_settings,
    sys.all_mining_model_partitions, sys.user_mining_model_partitions,
    sys.all_mining_model_views, sys.user_mining_model_views,
    sys.all_mining_model_xforms, sys.user_mining_model_xforms TO PUBLIC;
GRANT SELECT ON sys.ml_executors TO mlshare_user;

SELECT sys._create_key();
