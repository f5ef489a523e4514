"""One build from request to reply: what is fitted where, and what becomes of a failure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from mlshare import errors
from mlshare.build import reply
from mlshare.build.alone import alone
from mlshare.build.groups import Group, cut, requested
from mlshare.build.plan import Plan
from mlshare.build.pool import Done, Pool
from mlshare.build.reply import Built
from mlshare.estimators import registry
from mlshare.table import Table
from mlshare.worker import Progress

_PROGRESS_SECONDS = 0.2
_CHOICE_SHARE = 0.3  # of the progress, when the algorithm is chosen first
_CHECKED_FROM = 0.8  # progress of a build elsewhere, when all has come back


class Learner(Protocol):
    """What fits: mlshare.build.single, or a double of it."""

    def choose(self, table: Table, plan: Plan, threads: int, progress: Progress) -> Plan:
        """The plan with algorithm and parameters filled in."""

    def fit(self, table: Table, plan: Plan, threads: int = 1) -> tuple[dict[str, Any], bytes]:
        """Description and model file of one sub-model."""


@dataclass(frozen=True)
class Terms:
    """What a request says besides the groups."""

    threads: int
    build_type: str
    min_rows: int

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Terms:
        """With the defaults filled in."""
        threads, build_type = int(request.get("threads") or 1), request.get("build_type") or "hybrid"
        if build_type not in ("hybrid", "inter", "intra"):
            raise errors.InvalidArgument(argument="build_type", reason=f"{build_type!r:.40} is not known")
        return cls(threads, build_type, int(request.get("min_rows") or 0))


class Watch:
    """Says how many partitions are done, and stops at the first failure if that is wanted."""

    def __init__(self, total: int, skip: bool, progress: Progress) -> None:
        self._total, self.skip, self._progress = total, skip, progress
        self._count, self._said = 0, 0.0
        self.start, self.words = 0.0, "partitions"

    def until(self, end: float, text: str, part: float) -> None:
        """Progress of what comes before the counting, which begins at ``end``."""
        self._progress(text, round(self.start + (end - self.start) * part, 4))

    def done(self, group: Group, error: str | None) -> None:
        """One more is ready or, with an error, has failed."""
        if error is not None and not self.skip:
            raise errors.PartitionFailed(partition=group.name, reason=error)
        self._count += 1
        now = time.monotonic()
        if now - self._said >= _PROGRESS_SECONDS or self._count == self._total:
            self._said = now
            part = self.start + (1 - self.start) * self._count / self._total
            self._progress(f"{self._count} of {self._total} {self.words}", round(part, 4))


def run(
    request: Mapping[str, Any], payload: Table | bytes | None, progress: Progress, learner: Learner | None = None
) -> tuple[dict[str, Any], Sequence[memoryview]]:
    """The task "build": fit one sub-model for each group of contiguous rows of the payload.

    ``request``: "plan" (see plan.Plan), "groups" [[partition_id, start, n_rows] …], "fallback" (partition_id of one
    more sub-model on all rows, or None), "threads", "build_type" ("hybrid", "inter", "intra"), "on_error" ("error",
    "skip"), "min_rows", "names" {partition_id: name for messages}, "executor" (see client.Executor, or None). Returns
    the plan with what was chosen and the partitions, for reply.partitions to read, in the order of the request and
    with the same bytes whatever the number of processes. Raises PartitionFailed, ExecutorFailed, InstallationError,
    ChildError, and what the automatic choice raises.
    """
    if not isinstance(payload, Table):
        raise errors.TooFewRows(reason="there are none")
    terms, plan = Terms.of(request), Plan.from_json(request["plan"])
    groups = requested(request, payload)
    watch = Watch(len(groups), request.get("on_error") == "skip", progress)
    built = {group.id: _too_small(group, terms, watch) for group in groups if group.rows < max(1, terms.min_rows)}
    learner = learner or _single()
    start = 0.0 if plan.algorithm else _CHOICE_SHARE
    plan = _chosen(learner, payload, plan, terms, partial(watch.until, _CHOICE_SHARE))
    watch.start = start
    wanted = [group for group in groups if group.id not in built]
    if request.get("executor"):
        found = _elsewhere(request["executor"], payload, wanted, plan, terms, watch)
    else:
        found = _here(learner, payload, wanted, plan, terms, watch)
    built.update((one.id, one) for one in found)
    return reply.packed(plan.to_json(), [built[group.id] for group in groups])


def _single() -> Learner:
    from mlshare.build import single

    return single


def _too_small(group: Group, terms: Terms, watch: Watch) -> Built:
    error = errors.TooFewRows(reason=f"it has {group.rows}, the minimum is {max(1, terms.min_rows)}")
    watch.done(group, error.message)
    return Built(group.id, group.rows, 0.0, error=error.message, sqlstate=error.sqlstate)


def _chosen(learner: Learner, table: Table, plan: Plan, terms: Terms, progress: Progress) -> Plan:
    """A search is made in a process of its own: it uses OpenMP, after which this one could not be forked."""
    if plan.algorithm is not None:
        return learner.choose(table, plan, 1, progress)

    def work(say: Progress) -> tuple[dict[str, Any], bytes]:
        return learner.choose(table, plan, terms.threads, say).to_json(), b""

    return Plan.from_json(alone("choice", work, terms.threads, progress)[0])


def _here(
    learner: Learner, table: Table, groups: Sequence[Group], plan: Plan, terms: Terms, watch: Watch
) -> Iterator[Built]:
    """All of them, each large one with every thread, then the others side by side."""
    if plan.algorithm in registry.names(plan.task):
        registry.find(plan.algorithm, plan.task).load()  # its library is imported once, before the forks
    large, small = split(groups, len(table), terms)
    for some, processes, threads in ((large, 1, terms.threads), (small, terms.threads, 1)):
        fit = partial(_fit, learner, table, some, plan, threads)
        yield from _stage(Pool(fit, processes, threads, _silent), some, watch)


def split(groups: Sequence[Group], rows: int, terms: Terms) -> tuple[list[Group], list[Group]]:
    """The groups to be built one after the other with all threads, and those to be built side by side."""
    limit = {"intra": 0.0, "inter": float("inf"), "hybrid": rows / terms.threads}[terms.build_type]
    order = sorted(groups, key=lambda group: -group.rows)
    return [g for g in order if g.rows > limit], [g for g in order if g.rows <= limit]


def _fit(
    learner: Learner, table: Table, groups: Sequence[Group], plan: Plan, threads: int, number: int, _: Progress
) -> tuple[dict[str, Any], bytes]:
    return learner.fit(cut(table, groups[number]), plan, threads)


def _silent(text: str, part: float) -> None:
    return None


def _stage(pool: Pool, groups: Sequence[Group], watch: Watch) -> Iterator[Built]:
    """What a pool makes of numbered groups, once it has done them all."""
    done: list[Done] = []
    for one in pool.run(range(len(groups))):
        watch.done(groups[one.number], one.error)
        done.append(one)
    for one in done:
        group = groups[one.number]
        yield Built(group.id, group.rows, one.seconds, *pool.views(one), one.score, one.error, one.sqlstate)


def _elsewhere(
    request: Mapping[str, Any], table: Table, groups: Sequence[Group], plan: Plan, terms: Terms, watch: Watch
) -> Iterator[Built]:
    """All of them on a cluster; what comes back is checked by processes here."""
    from mlshare.build import client, cluster, untrusted

    executor = client.Executor.of(request)

    def fetch(say: Progress) -> tuple[dict[str, Any], bytes]:
        return cluster.build(executor, table, groups, plan, watch.skip, say)

    said, blob = alone("executor", fetch, 1, partial(watch.until, _CHECKED_FROM))
    fetched = dict(zip((group.id for group in groups), cluster.read(said, blob), strict=True))
    for group in groups:
        one = fetched[group.id]
        if one.error is not None:
            watch.done(group, one.error)
            yield Built(group.id, group.rows, one.seconds, error=one.error, sqlstate=one.sqlstate)
    watch.start, watch.words = _CHECKED_FROM, "partitions checked"
    came = [group for group in groups if fetched[group.id].error is None]

    def check(number: int, _: Progress) -> tuple[dict[str, Any], bytes]:
        one = fetched[came[number].id]
        return untrusted.checked(came[number], plan, one.model, one.description), one.model

    for built in _stage(Pool(check, terms.threads, 1, _silent), came, watch):
        yield replace(built, seconds=fetched[built.id].seconds)
