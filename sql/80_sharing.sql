CREATE OR REPLACE PROCEDURE sys.ml_model_grant(
    model_handle text, grantee regrole, privilege text DEFAULT 'PREDICT', partition text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_grant(model_handle, grantee, privilege, partition)
$python$;
COMMENT ON PROCEDURE sys.ml_model_grant(text, regrole, text, text) IS
    'Lets a role use a model without a copy: PREDICT (score), SELECT (also inspect and export) or ALTER (also change and drop); PREDICT and SELECT also on a single partition';

CREATE OR REPLACE PROCEDURE sys.ml_model_revoke(
    model_handle text, grantee regrole, privilege text DEFAULT NULL, partition text DEFAULT NULL)
LANGUAGE plpython3u
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"].ml_model_revoke(model_handle, grantee, privilege, partition)
$python$;
COMMENT ON PROCEDURE sys.ml_model_revoke(text, regrole, text, text) IS
    'Takes a privilege on a model (or on one partition) back; NULL takes all of them; effective at once in every session';

CREATE OR REPLACE FUNCTION sys._model_privileges()
RETURNS TABLE (model_owner name, model_handle text, grantee name, privilege text, granted_at timestamptz, partition_name text)
LANGUAGE plpython3u STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $python$
GD.get("mlshare") or plpy.execute("SELECT sys._start()")
return GD["mlshare"]._model_privileges()
$python$;
COMMENT ON FUNCTION sys._model_privileges() IS 'Rows of sys.ml_model_privileges';

CREATE OR REPLACE VIEW sys.ml_model_privileges WITH (security_invoker = true) AS
SELECT * FROM sys._model_privileges();
COMMENT ON VIEW sys.ml_model_privileges IS 'Who may do what with the models that the caller owns or was given';
