"""What the clients' own Python runs for serve.py: loads a table with pandas, or plays many recipients at once.

clients.py share PROFILE#TABLE | plain URL … | reader URL … | recipients ENDPOINT TABLE SECONDS TOKEN …
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


def share(url: str) -> dict[str, float]:
    """Seconds of load_as_pandas, at its best of three."""
    import delta_sharing

    return best(lambda: delta_sharing.load_as_pandas(url))


def plain(*urls: str) -> dict[str, float]:
    """The same with pandas alone, file by file."""
    import pandas

    return best(lambda: pandas.concat([pandas.read_parquet(url) for url in urls], ignore_index=True))


def reader(*urls: str) -> dict[str, float]:
    """The same as the sharing client reads files and puts them together, but from URLs that nobody had to give it."""
    import pandas
    from delta_sharing.protocol import AddFile
    from delta_sharing.reader import DeltaSharingReader

    files = [AddFile(url=url, id=url, partition_values={}, size=0) for url in urls]

    def load() -> pandas.DataFrame:
        parts = [DeltaSharingReader._to_pandas(file, {}, False, None, False) for file in files]
        merged = pandas.concat(parts, axis=0, ignore_index=True)
        return merged[list(merged.columns)]

    return best(load)


def best(load) -> dict[str, float]:
    seconds, rows = [], 0
    for _ in range(3):
        start = time.perf_counter()
        rows = len(load())
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "rows": rows}


def recipients(endpoint: str, table: str, seconds: str, *tokens: str) -> dict[str, float]:
    """Each token lists and queries in turn, over one kept connection."""
    return asyncio.run(_recipients(endpoint, table, float(seconds), tokens))


async def _recipients(endpoint: str, table: str, seconds: float, tokens: tuple[str, ...]) -> dict[str, float]:
    import aiohttp

    taken: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def one(token: str) -> None:
        nonlocal failed
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=1)) as session:
            while time.perf_counter() < end:
                for method, path in (("GET", "/shares"), ("POST", f"{table}/query")):
                    start = time.perf_counter()
                    async with session.request(
                        method, endpoint + path, json={} if method == "POST" else None
                    ) as answer:
                        await answer.read()
                        failed += answer.status != 200
                    taken.append(time.perf_counter() - start)

    await asyncio.gather(*map(one, tokens))
    taken.sort()
    at = {name: taken[int(len(taken) * part)] for name, part in (("p50", 0.5), ("p99", 0.99))}
    return {"requests": len(taken), "failed": failed, "per_second": len(taken) / seconds, **at, "max": taken[-1]}


if __name__ == "__main__":
    print(
        json.dumps(
            {"share": share, "plain": plain, "reader": reader, "recipients": recipients}[sys.argv[1]](*sys.argv[2:])
        )
    )
