"""The command line: mlshare COMMAND, also python3 -m mlshare_tools COMMAND."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mlshare_tools import build, cluster, database, demo, demo_data, install, migrate, preload, share_demo, suite
from mlshare_tools.server import ensure_server
from mlshare_tools.shell import ToolError, say


def cmd_build(args: argparse.Namespace) -> None:
    for path in build.write(args.directory):
        print(path)


def cmd_migrate(args: argparse.Namespace) -> None:
    with_tools()
    migrate.main(args.dsn)


def up(*, complete: bool = False) -> cluster.Cluster:
    """The private cluster, running, with an up-to-date database; ``complete``: with optional parts, if it may."""
    with cluster.locked():
        running = cluster.ensured()
        database.ensure_database(running)
        if complete:
            preload.ensure_headers(running.server)
        preload.ensure(running)
    return running


def cmd_up(_args: argparse.Namespace) -> None:
    running = up()
    say(f'PostgreSQL {running.server.major} is up on port {running.port}; "make psql" connects')


def cmd_down(_args: argparse.Namespace) -> None:
    cluster.existing().stop()


def cmd_clean(_args: argparse.Namespace) -> None:
    if cluster.LOCAL.exists():
        cluster.existing().remove()


def cmd_dsn(_args: argparse.Namespace) -> None:
    print(cluster.existing().dsn())


def cmd_psql(args: argparse.Namespace) -> None:
    local = cluster.existing()
    psql = str(local.server.bin / "psql")
    os.execv(psql, [psql, local.dsn(), *args.words])


def cmd_test(args: argparse.Namespace) -> int:
    return suite.run(up(complete=True), args.words)


def cmd_demo(args: argparse.Namespace) -> None:
    if bool(args.csv) != bool(args.target):
        raise ToolError("CSV=file needs TARGET=column, and the other way round")
    if not os.environ.get("MLSHARE_IN_TOOLS"):
        running = up()
        if args.csv:
            running.environments.ensure_extras("demo")
    with_tools()
    data = demo_data.from_csv(args.csv, args.target) if args.csv else demo_data.bundled("breast_cancer")
    demo.run(cluster.existing().dsn("postgres"), data)


def cmd_share_demo(_args: argparse.Namespace) -> None:
    if not os.environ.get("MLSHARE_IN_TOOLS"):
        environments = up().environments
        environments.ensure_extras("server")
        environments.ensure_clients()
    with_tools()
    private = cluster.existing()
    demo = share_demo.ShareDemo(private.dsn("postgres"), share_demo.home(), share_demo.Names())
    demo.run(private.environments.clients / "bin" / "python")


def cmd_share_stop(_args: argparse.Namespace) -> None:
    share_demo.stop(share_demo.home())


def cmd_bench(args: argparse.Namespace) -> int:
    running = up(complete=True)
    running.environments.ensure_extras("bench", "server")
    dsn = running.dsn("postgres")
    data = args.data or os.environ.get("MLSHARE_DATA")
    few = ("--groups", "100", "--repeats", "1")
    scripts: list[tuple[str, list[str], tuple[str, ...]]] = [  # script, its words, and further ones for a short run
        ("bench/speed/speed.py", [dsn, *speed_options(args)], ()),
        ("bench/partitions/partitions.py", [dsn], few),
        ("bench/partitions/scoring.py", [dsn], (*few, "--calls", "5000")),
        ("bench/share/publish.py", [dsn], ("--rows", "500000", "--repeats", "1")),
        ("bench/share/serve.py", [dsn], ("--rows", "200000", "--seconds", "5", "--rounds", "1")),
        *([("bench/quality/quality.py", [dsn, data], ())] if data else []),
    ]
    with running.durable():
        results = [run_script(running, name, *words, *(short if args.quick else ())) for name, words, short in scripts]
    return max(results)


def speed_options(args: argparse.Namespace) -> list[str]:
    """The options of the benchmark of speed that were given."""
    given = {"--rows": args.rows, "--repeats": args.repeats, "--other": args.other, "--other-sql": args.other_sql}
    words = [word for name, value in given.items() if value for word in (name, value)]
    return [*words, *["--quick"][: int(args.quick)]]


def cmd_bench_plots(args: argparse.Namespace) -> int:
    running = up()
    running.environments.ensure_extras("bench", "server")
    with running.durable():
        return run_script(running, "bench/speed/plots.py", running.dsn("postgres"), *["--quick"][: int(args.quick)])


def cmd_docs(_args: argparse.Namespace) -> int:
    with cluster.locked():
        private = cluster.Cluster(ensure_server())
        private.environments.ensure()
    return run_script(private, "docs/generate.py")


def run_script(private: cluster.Cluster, script: str, *words: str) -> int:
    """Run a script of the checkout in the tools environment; its exit status."""
    python = private.environments.tools / "bin" / "python"
    return subprocess.run([str(python), str(build.CHECKOUT / script), *words]).returncode


def cmd_lint(_args: argparse.Namespace) -> int:
    with cluster.locked():
        private = cluster.Cluster(ensure_server())
        private.environments.ensure()
    return suite.run_lint(private)


def cmd_install(args: argparse.Namespace) -> None:
    install.install(args.pg_config, args.prefix, only_dependencies=args.only_dependencies)


def with_tools() -> None:
    """Go on in the tools environment when this Python has no psycopg, as the system's has none."""
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        python = cluster.LOCAL / "tools" / "bin" / "python"
        if os.environ.get("MLSHARE_IN_TOOLS") or not python.exists():
            message = 'psycopg is not installed: run "make up" first, or pip install "mlshare[tools]"'
            raise ToolError(message) from None
        os.environ["MLSHARE_IN_TOOLS"] = "1"
        os.execv(python, [str(python), "-m", "mlshare_tools", *sys.argv[1:]])


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    top = argparse.ArgumentParser(prog="mlshare", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int | None], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__.removeprefix("cmd_").replace("_", "-"), help=help)
        added.set_defaults(run=run)
        return added

    add = command(cmd_build, "write the extension files")
    add.add_argument("directory", nargs="?", type=Path, default=Path("build"))
    add = command(cmd_migrate, "install or upgrade a database without CREATE EXTENSION")
    add.add_argument("dsn", help="connection string of a superuser")
    command(cmd_up, "make and start the private cluster of this checkout")
    command(cmd_down, "stop the private cluster")
    command(cmd_clean, "remove the private cluster")
    command(cmd_dsn, "print a connection string of the private cluster")
    add = command(cmd_psql, "open psql on the private cluster")
    add.add_argument("words", nargs=argparse.REMAINDER, help="arguments for psql")
    add = command(cmd_demo, "share a model between two roles, step by step")
    add.add_argument("--csv", type=Path, help="data of your own instead of the bundled set")
    add.add_argument("--target", help="the column of it to predict")
    command(cmd_share_demo, "publish a table, and read it as a data scientist without an account")
    command(cmd_share_stop, "end the worker and the server that share-demo left running")
    add = command(cmd_bench, "measure speed and, where its data is given, the quality of automatic training")
    add.add_argument("data", nargs="?", help="directory of the data files")
    add.add_argument("--quick", action="store_true", help="small tables, one round")
    for option in ("--rows", "--repeats", "--other", "--other-sql"):
        add.add_argument(option, help="see bench/speed/speed.py")
    add = command(cmd_bench_plots, "measure and draw how times grow")
    add.add_argument("--quick", action="store_true", help="small sizes only")
    command(cmd_docs, "write the generated parts of the documentation")
    add = command(cmd_test, "run linters and all tests")
    add.add_argument("words", nargs=argparse.REMAINDER, help="arguments for pytest")
    command(cmd_lint, "run the linters")
    add = command(cmd_install, "install into an existing server")
    add.add_argument("--pg-config", type=Path, help="the server's pg_config")
    add.add_argument("--prefix", type=Path, default=Path("/opt/mlshare"), help="directory of the environment")
    add.add_argument("--only-dependencies", action="store_true", help="stop before mlshare itself")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success."""
    args = parser().parse_args(arguments)
    try:
        return args.run(args) or 0
    except (ToolError, build.BuildError) as error:
        say(f"error: {error}")
        return 1
    except PermissionError as error:
        say(f"error: {error.filename} belongs to somebody else; work in a checkout of your own")
        return 1
