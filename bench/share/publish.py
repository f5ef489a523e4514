"""How fast a share is published, against COPY BINARY TO /dev/null of the same query, and the worker's memory.

publish.py DSN [--rows N]: needs a superuser and a server that reads and writes this machine's files.

Bounds: at least 0.75 of COPY's rate; at most 400 MB.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

CHECKOUT = Path(__file__).parents[2]
sys.path.append(str(CHECKOUT / "bench" / "speed"))
import report  # noqa: E402
from report import Row, at_least, at_most  # noqa: E402

DATABASE = "mlshare_bench_share"
LEAST_RATE, MOST_MEGABYTES = 0.75, 400
TABLE = """
CREATE TABLE bench.orders AS
SELECT n AS id, (n * 7919 %% 100000)::int AS customer, (n %% 365)::int AS day, (n * 31 %% 50)::int AS quantity,
       n * 0.37::float8 AS price, sqrt(n) AS weight, (n %% 1000000 / 100.0)::numeric(10, 2) AS amount,
       'product ' || n %% 5000 AS product, md5(n::text) AS reference,
       '2024-01-01'::timestamptz + n * interval '1 s' AS at
FROM generate_series(1, %s::bigint) AS n
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def prepare(dsn: str, rows: int, place: str) -> None:
    """A database with a provider, its table and a share of it."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(make_conninfo(dsn, dbname=DATABASE), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION mlshare CASCADE")
        admin.execute("DROP ROLE IF EXISTS bench_provider; DROP ROLE IF EXISTS bench_worker")
        admin.execute(
            "CREATE ROLE bench_provider; CREATE ROLE bench_worker LOGIN PASSWORD 'bench' IN ROLE mlshare_worker"
        )
        admin.execute("CALL dbms_share.enable_schema('bench_provider')")
        admin.execute("CALL dbms_share.update_default_share_property('storage_roots', %s)", (f"file://{place}/",))
        admin.execute("CREATE SCHEMA bench AUTHORIZATION bench_provider; SET ROLE bench_provider")
        admin.execute(TABLE, (rows,))
        admin.execute("CALL dbms_share.create_cloud_storage_link('link', %s)", (f"file://{place}/",))
        admin.execute("CALL dbms_share.create_share('bench', storage_link_name => 'link')")
        admin.execute("CALL dbms_share.add_to_share('bench', 'orders', 'bench')")
        for statement in ("RESET ROLE", "VACUUM (ANALYZE, FREEZE) bench.orders", "CHECKPOINT"):
            admin.execute(statement)


def remove(dsn: str) -> None:
    """Nothing is left."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        names = "rolname IN ('bench_provider', 'bench_worker') OR rolname LIKE 'mlshare_reader%'"
        unused = "NOT EXISTS (SELECT FROM pg_database AS d WHERE rolname LIKE 'mlshare_reader_' || d.oid || '_%')"
        for (name,) in admin.execute(
            f"SELECT rolname FROM pg_roles WHERE ({names}) AND {unused} ORDER BY 1 DESC"
        ).fetchall():
            admin.execute(f'DROP ROLE "{name}"')


def copy_seconds(dsn: str) -> float:
    """COPY of the same rows to nowhere, inside the server."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        start = time.perf_counter()
        admin.execute("COPY (SELECT * FROM bench.orders) TO '/dev/null' (FORMAT binary)")
        return time.perf_counter() - start


def publish_seconds(dsn: str, condition: str = "") -> float:
    """A version: with a condition that is new nothing can be reused, without one nothing may have changed."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("SET ROLE bench_provider")
        add = "CALL dbms_share.add_to_share('bench', 'orders', 'bench', replace_existing => true, where_clause => %s)"
        owner.execute(add, (condition or None,))
        start = time.perf_counter()
        owner.execute("CALL dbms_share.publish_share_wait('bench', drop_prior_versions => true)")
        return time.perf_counter() - start


def peak_megabytes(pid: int) -> float:
    """The most memory that a process ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> int:
    args = arguments()
    with tempfile.TemporaryDirectory() as place:
        prepare(args.dsn, args.rows, place)
        dsn = make_conninfo(args.dsn, dbname=DATABASE)
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "plpython")}
        worker_dsn = make_conninfo(dsn, user="bench_worker", password="bench")
        command = [sys.executable, "-m", "mlshare_server", "worker", worker_dsn]
        worker = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            copies, publishes = [], []
            for _ in range(args.repeats):
                copies.append(copy_seconds(dsn))
                publishes.append(publish_seconds(dsn, f"{time.time()} > 0"))
            whole, unchanged = publish_seconds(dsn), publish_seconds(dsn)
            copy, publish, peak = statistics.median(copies), statistics.median(publishes), peak_megabytes(worker.pid)
            sizes = [path.stat().st_size for path in Path(place).rglob("*.parquet")]
        finally:
            worker.terminate()
            worker.wait()
        remove(args.dsn)
    found = [
        Row("COPY BINARY TO /dev/null", copy, "s"),
        Row("publish, two sessions", publish, "s"),
        at_least("publish: of the rate of COPY", copy / publish, "times", LEAST_RATE),
        Row("the same, and what will tell whether rows have changed", whole, "s"),
        Row("publish, nothing has changed", unchanged, "s"),
        at_most("memory of the worker at its most", peak, "MB", MOST_MEGABYTES),
        Row("size of the files", sum(sizes) / 1e6, "MB"),
    ]
    how = f"{args.rows:,} rows of 10 columns, medians of {args.repeats} interleaved runs."
    return report.conclude("share_publish", "Publishing shares", found, args.dsn, how)


if __name__ == "__main__":
    sys.exit(main())
