"""How fast shares are served: pandas through a share against pandas on a plain file server, a table of 10,000 files,
and 200 recipients at once.

serve.py DSN [--rows N] [--seconds N]: needs a superuser and a server that runs on this machine; takes what a worker
would publish as given, so it measures the serving alone.

Bounds: load_as_pandas in at most 1.1 times what pandas takes for the same files from a plain file server; the first
line of a query within 50 ms; no failed request.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.conninfo import make_conninfo

CHECKOUT = Path(__file__).parents[2]
sys.path[:0] = [str(CHECKOUT / part) for part in ("plpython", "tests", "bench/speed")]
import report  # noqa: E402
from report import Row, at_most  # noqa: E402

from mlshare_server.server.tokens import hash_of, new_token  # noqa: E402
from mlshare_tools import cluster  # noqa: E402

DATABASE = "mlshare_bench_serve"
FILES = 5
MOST_TIMES, MOST_MILLISECONDS = 1.1, 50
TABLE = """
WITH t AS (
    INSERT INTO mlshare_share.version_table
    SELECT share_id, 1, gen_random_uuid(), 'S', %s, %s, NULL, NULL, %s, 0, 0 FROM mlshare_share.share RETURNING *
), f AS (
    INSERT INTO mlshare_share.file
        (storage_link_id, share_id, table_id, path, first_version, complete, size, num_rows, stats)
    SELECT storage_link_id, share_id, table_id, path, 1, true, f.size, 1, %s
    FROM t JOIN mlshare_share.share USING (share_id), unnest(%s::text[], %s::bigint[]) AS f (path, size) RETURNING *
)
INSERT INTO mlshare_share.version_file SELECT share_id, 1, table_id, row_number() OVER (), file_id FROM f
"""
PLAIN = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles
app = Starlette()
app.mount("/", StaticFiles(directory=sys.argv[1]))
uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error")
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--recipients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="of reading")
    return parser.parse_args()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows(first: int, count: int) -> pa.Table:
    """Ten columns of the usual types."""
    n = np.arange(first, first + count)
    texts = pa.array([f"product {k}" for k in range(5000)])
    return pa.table({
        "id": n, "customer": (n * 7919 % 100_000).astype("int32"), "day": (n % 365).astype("int32"),
        "quantity": (n * 31 % 50).astype("int32"), "price": n * 0.37, "weight": np.sqrt(n),
        "amount": n % 1_000_000 / 100.0,
        "product": texts.take(pa.array(n % 5000)), "flag": n % 3 == 0,
        "at": pa.array(n * 1_000_000 + 1_704_067_200_000_000, pa.timestamp("us", tz="UTC")),
    })  # fmt: skip


def prepare(dsn: str, place: Path, count: int, recipients: int) -> list[str]:
    """A database with two shared tables, of few large files and of 10,000 small ones; tokens."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(make_conninfo(dsn, dbname=DATABASE), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION mlshare CASCADE")
        admin.execute("DROP ROLE IF EXISTS bench_provider; DROP ROLE IF EXISTS bench_server")
        admin.execute("CREATE ROLE bench_provider; CREATE ROLE bench_server LOGIN PASSWORD 'bench'")
        admin.execute("GRANT mlshare_sharing_server TO bench_server; CALL dbms_share.enable_schema('bench_provider')")
        admin.execute("CALL dbms_share.update_default_share_property('storage_roots', %s)", (f"file://{place}/",))
        admin.execute("SET ROLE bench_provider")
        admin.execute("CALL dbms_share.create_cloud_storage_link('LINK', %s)", (f"file://{place}/",))
        admin.execute("CALL dbms_share.create_share('BENCH', storage_link_name => 'LINK')")
        admin.execute("RESET ROLE")
        publish(admin, place, count)
        tokens = [new_token() for _ in range(recipients)]
        for number, token in enumerate(tokens):
            admin.execute(
                "WITH r AS (INSERT INTO mlshare_share.recipient (owner, recipient_name) VALUES ('bench_provider', %s) "
                "RETURNING recipient_id), g AS (INSERT INTO mlshare_share.recipient_grant (share_id, recipient_id) "
                "SELECT share_id, recipient_id FROM r, mlshare_share.share) "
                "INSERT INTO mlshare_share.token (recipient_id, token_hash, expires) "
                "SELECT recipient_id, %s, now() + interval '1 day' FROM r",
                (f"R{number}", hash_of(token)),
            )
        admin.execute("VACUUM ANALYZE")
    return tokens


def publish(admin: psycopg.Connection[Any], place: Path, count: int) -> None:
    """What a worker would leave."""
    parts = [rows(k * count // FILES, count // FILES) for k in range(FILES)]
    for number, part in enumerate(parts):
        pq.write_table(part, place / f"{number}.parquet", compression="snappy", row_group_size=1 << 20)
    kinds = {"int64": "long", "int32": "integer", "double": "double", "string": "string", "bool": "boolean"}
    fields = [{"name": f.name, "type": kinds.get(str(f.type), "timestamp"), "nullable": True, "metadata": {}}
              for f in parts[0].schema]  # fmt: skip
    schema = json.dumps({"type": "struct", "fields": fields})
    stats = json.dumps({"numRecords": 1, "minValues": {f["name"]: 1 for f in fields}, "maxValues": {}, "nullCount": {}})
    admin.execute("INSERT INTO mlshare_share.version SELECT share_id, 1 FROM mlshare_share.share")
    for table, files in (
        ("LARGE", [f"{n}.parquet" for n in range(FILES)]),
        ("MANY", [f"many/{n}" for n in range(10_000)]),
    ):
        sizes = [size_of(place / name) for name in files]
        admin.execute(TABLE, (table, schema, len(files), stats, files, sizes))
    admin.execute("UPDATE mlshare_share.version SET status = 'EXPORTED', published = now()")
    admin.execute("UPDATE mlshare_share.share SET current_version = 1")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 1000


def wait(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def client(python: Path, *words: str) -> dict[str, float]:
    """The figures of a client."""
    done = subprocess.run([python, Path(__file__).with_name("clients.py"), *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def many_files(port: int, token: str) -> tuple[float, float, int]:
    """Milliseconds to the first line and to the last one, and how many there are, at the best of five."""
    tries = []
    for _ in range(5):
        connection = HTTPConnection("127.0.0.1", port)
        start = time.perf_counter()
        path = "/delta-sharing/shares/BENCH/schemas/S/tables/MANY/query"
        connection.request("POST", path, b"{}", {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.readline()
        first = time.perf_counter() - start
        lines = 1 + len(answer.read().splitlines())
        tries.append((first * 1000, (time.perf_counter() - start) * 1000, lines))
        connection.close()
    return min(tries)


def main() -> int:
    args = arguments()
    python = cluster.existing().environments.ensure_clients()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        tokens = prepare(args.dsn, place, args.rows, args.recipients)
        dsn = make_conninfo(args.dsn, dbname=DATABASE, user="bench_server", password="bench")
        port, plain = free_port(), free_port()
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "plpython")}
        serve = [sys.executable, "-m", "mlshare_server", "serve", dsn, "--port", str(port)]
        servers = [subprocess.Popen(serve, env=environment, stderr=subprocess.DEVNULL),
                   subprocess.Popen([sys.executable, "-c", PLAIN, directory, str(plain)])]  # fmt: skip
        try:
            wait(f"http://127.0.0.1:{port}/health")
            wait(f"http://127.0.0.1:{plain}/0.parquet")
            endpoint = f"http://127.0.0.1:{port}/delta-sharing"
            profile = place / "profile.json"
            profile.write_text(
                json.dumps({"shareCredentialsVersion": 1, "endpoint": endpoint, "bearerToken": tokens[0]})
            )
            urls = [f"http://127.0.0.1:{plain}/{n}.parquet" for n in range(FILES)]
            ways = (("plain", *urls), ("reader", *urls), ("share", f"{profile}#BENCH.S.LARGE"))
            # In turn, so that a machine that is now slower and now faster favours none.
            rounds = [[client(python, *way)["seconds"] for way in ways] for _ in range(args.rounds)]
            alone, bare, shared = map(min, zip(*rounds, strict=True))
            first, last, lines = many_files(port, tokens[0])
            table = "/shares/BENCH/schemas/S/tables/LARGE"
            load = client(python, "recipients", endpoint, table, str(args.seconds), *tokens)
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    with psycopg.connect(args.dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    found = [
        Row("pandas, plain file server", alone, "s"),
        Row("the client's code, plain file server: over pandas", bare / alone, "times"),
        at_most("load_as_pandas, our server: over pandas", shared / alone, "times", MOST_TIMES),
        at_most("query of 10,000 files: first line", first, "ms", MOST_MILLISECONDS),
        Row(f"query of 10,000 files: the last of {lines} lines", last, "ms"),
        Row("recipients at once", args.recipients, ""),
        Row("their requests", load["requests"], ""),
        at_most("their requests that failed", load["failed"], "", 0),
        Row("requests per second", load["per_second"], ""),
        Row("half of the requests are answered within", load["p50"] * 1000, "ms"),
        Row("99 of 100 are answered within", load["p99"] * 1000, "ms"),
    ]
    rounds, duration = 3 * args.rounds, args.seconds
    how = f"{args.rows:,} rows of 10 columns in {FILES} files, best of {rounds}; recipients for {duration} s."
    return report.conclude("share_serve", "Serving shares", found, args.dsn, how)


if __name__ == "__main__":
    sys.exit(main())
