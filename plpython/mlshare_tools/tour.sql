-- # 1. The data
-- As the superuser. mlshare's routines are open to members of mlshare_user.
\connect :superuser
GRANT mlshare_user TO :owner WITH ADMIN OPTION;
-- :owner has loaded :description. :rows_train rows are in :train. A model is judged by rows it has not
-- seen: :rows_test others are in :test.
\connect :owner
SELECT :some_columns FROM :train LIMIT 3;

-- # 2. Train and load a model
-- Without time_budget the search ends by itself; here it gets :budget s, so that nobody has to wait.
CALL sys.ML_TRAIN(:'train', :'target',
     sys.JSON_OBJECT('task', :'task', 'time_budget', :budget), NULL) \gset
CALL sys.ML_MODEL_LOAD(:'model_handle', NULL);
SELECT model_handle, model_type, model_object_size FROM :catalog.model_catalog;
CALL sys.ML_SCORE(:'test', :'target', :'model_handle', :'metric', NULL) \gset

-- # 3. Export the model to share
CALL sys.ML_MODEL_EXPORT(:'model_handle', :'export_table');
SELECT column_name, data_type, is_nullable, is_identity FROM information_schema.columns
WHERE table_schema = :'catalog' AND table_name = 'model_export';

-- # 4. Give :guest what is needed to import it, and no more
GRANT mlshare_user TO :guest;
GRANT USAGE ON SCHEMA :catalog TO :guest;
GRANT SELECT ON :catalog.model_export TO :guest;
-- And the data to predict, with a place for the predictions:
GRANT USAGE, CREATE ON SCHEMA :data_schema TO :guest;
GRANT SELECT ON :test TO :guest;

-- # 5. Import it as :guest
\connect :guest
CALL sys.ML_MODEL_IMPORT(NULL, sys.JSON_OBJECT('schema', :'written_catalog', 'table', 'model_export'), NULL) \gset
CALL sys.ML_MODEL_LOAD(:'model_handle', NULL);
SELECT model_object, model_object_size FROM :own_catalog.MODEL_CATALOG WHERE model_handle = :'model_handle';
SELECT chunk_id, LENGTH(model_object) FROM :own_catalog.model_object_catalog WHERE model_handle = :'model_handle';

-- # 6. Predict with the imported model
CALL sys.ML_PREDICT_TABLE(:'test', :'model_handle', :'predictions', NULL);
SELECT _4aad19ca6e_pk_id, :some_columns, prediction, ml_results FROM :predictions LIMIT 5;
CALL sys.ML_SCORE(:'test', :'target', :'model_handle', :'metric', NULL) \gset guest_

-- # 7. Share without a copy
-- A privilege on the model itself: PREDICT lets :guest score with it, but not read or export it.
\connect :owner
SELECT model_handle FROM :catalog.model_catalog \gset
CALL sys.ML_MODEL_GRANT(:'model_handle', :'guest', 'PREDICT');
\connect :guest
SELECT * FROM sys.ml_model_privileges;
SELECT prediction, ml_results FROM sys.ml_predict(:'model_handle', 'SELECT * FROM :test LIMIT 3');
SELECT sys.ML_PREDICT_ROW(to_jsonb(t), :'model_handle') -> 'ml_results' AS ml_results FROM :test AS t LIMIT 3;
-- PREDICT is not SELECT:
CALL sys.ML_MODEL_EXPORT(:'model_handle', :'copied_table') \refused
-- Revoking works at once, also in the session of :guest that is still open and has the model in memory.
\connect :owner
CALL sys.ML_MODEL_REVOKE(:'model_handle', :'guest', 'PREDICT');
\connect :guest
SELECT sys.ML_PREDICT_ROW(to_jsonb(t), :'model_handle') FROM :test AS t LIMIT 1 \refused
