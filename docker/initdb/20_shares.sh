#!/bin/sh
# The logins of worker and sharing server, the directory that they share, and where recipients find the server: with
# SHARE_PASSWORD, as in compose.yaml.
set -eu
[ -n "${SHARE_PASSWORD:-}" ] || exit 0
psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -U "${POSTGRES_USER:-postgres}" \
     -d "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" -v password="$SHARE_PASSWORD" \
     -v endpoint="${SHARE_ENDPOINT:-http://127.0.0.1:8080}" <<'SQL'
CREATE ROLE share_worker LOGIN PASSWORD :'password' IN ROLE mlshare_worker;
CREATE ROLE share_server LOGIN PASSWORD :'password' IN ROLE mlshare_sharing_server;
CALL dbms_share.update_default_share_property('storage_roots', 'file:///srv/shares/ s3://');
CALL dbms_share.update_default_share_property('base_endpoint', :'endpoint');
SQL
