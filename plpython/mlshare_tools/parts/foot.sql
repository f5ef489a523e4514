INSERT INTO sys._migration (name, version, body_sha256)
VALUES ('sql', '@@VERSION@@', '@@SHA256@@')
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, applied_at = statement_timestamp(), body_sha256 = excluded.body_sha256
WHERE (_migration.version, _migration.body_sha256) IS DISTINCT FROM (excluded.version, excluded.body_sha256);
