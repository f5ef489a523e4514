#!/bin/sh
# Make the cluster on the first start, then become the server.
#   POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE   password of the superuser; needed on the first start
#   POSTGRES_USER [postgres]                      its name
#   POSTGRES_DB [that name]                       a database to make
#   POSTGRES_INITDB_ARGS                          further arguments for initdb
#   /docker-entrypoint-initdb.d/*.sh *.sql *.sql.gz   run in that database on the first start
set -eu

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac
[ "${1:-}" = postgres ] || exec "$@"

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ "$(id -u)" = 0 ]; then
    install -d -m 0700 -o postgres -g postgres "$PGDATA"
    install -d -m 2775 -o postgres -g postgres /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups sh "$0" "$@"
fi

export HOME=/var/lib/postgresql
say() { echo "mlshare: $*" >&2; }

read_password() {
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
    [ -n "${POSTGRES_PASSWORD:-}" ] || { say "set POSTGRES_PASSWORD for the superuser \"$user\""; exit 1; }
}

make_cluster() {
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    # shellcheck disable=SC2086
    initdb -D "$PGDATA" -U "$user" --pwfile="$secret" -E UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-} >/dev/null
    rm -f "$secret"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
}

run_initial_scripts() {
    for script in /docker-entrypoint-initdb.d/*; do
        [ -e "$script" ] || continue
        say "running $script"
        case $script in
            *.sh) sh "$script" ;;
            *.sql) psql -f "$script" ;;
            *.sql.gz) gunzip -c "$script" | psql ;;
            *) say "ignored: $script" ;;
        esac
    done
}

psql() {
    command psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -U "$user" -d "$database" "$@"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    read_password
    make_cluster
    # Only the socket is open until everything is in place.
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w -s start >/dev/null
    if [ "$database" != postgres ]; then
        createdb -h /var/run/postgresql -U "$user" --maintenance-db=postgres -- "$database"
    fi
    run_initial_scripts
    pg_ctl -D "$PGDATA" -m fast -w -s stop
    say "the cluster is ready"
fi

unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE SHARE_PASSWORD
exec "$@"
