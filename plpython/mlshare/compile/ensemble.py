"""Trees as SQL: nested CASE over the arguments, or over small integers made of them once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, log2

import numpy as np

from mlshare.compile import sql
from mlshare.compile.columns import MISSING, Column
from mlshare.compile.forest import Forest, Node
from mlshare.features import Numeric

# Sums nest to the left, so a statement adds up this many trees; each statement costs as much as some nodes.
_TREES_AT_ONCE = 50
_EXACT = 1 << 53  # up to here float64 has every integer
_WHOLE = {"int2": 1 << 15, "int4": 1 << 31, "int8": 1 << 63}

Leaf = Callable[[Node], str]


@dataclass(frozen=True)
class Test:
    """A condition that is never NULL or, when it is, counts as false: where a row goes if it holds."""

    condition: str
    left: bool


@dataclass(frozen=True)
class Trees:
    """A forest over columns, none of which is NaN or infinite."""

    forest: Forest
    columns: Sequence[Column]

    @cached_property
    def _owners(self) -> dict[int, Column]:
        return {c.start + i: c for c in self.columns for i in range(c.width)}

    @cached_property
    def _ranked(self) -> dict[int, list[float]]:
        """The distinct thresholds, ascending, of the matrix columns that become integers."""
        found: dict[int, set[float]] = {}
        for tree in self.forest.trees:
            for node in tree:
                if node.feature >= 0 and not self._is_direct(node.feature):
                    found.setdefault(node.feature, set()).add(node.threshold)
        return {feature: sorted(found[feature]) for feature in sorted(found)}

    def _is_direct(self, feature: int) -> bool:
        """Whether its tests are made on the argument itself: that is faster, if no conversion is needed."""
        column = self._owners[feature]
        if self._is_flag(feature):
            return True
        types = {"float8", "bool", *_WHOLE}
        return isinstance(column.feature, Numeric) and column.argument.type in types

    def _is_flag(self, feature: int) -> bool:
        column = self._owners[feature]
        return bool(getattr(column.feature, "flag", False)) and feature == column.start + column.width - 1

    # --- variables -------------------------------------------------------------------------------

    def variables(self) -> list[str]:
        """Declarations."""
        leaves = [] if self._one_score_each else [f"l{i}" for i in range(len(self.forest.trees))]
        return [f"{name} pg_catalog.int4;" for name in [*(f"x{j}" for j in self._ranked), *leaves]]

    def assignments(self) -> list[str]:
        """Statements that give the variables x… their values: how many thresholds are below the column's value.

        x <= t, t being the k-th threshold from 0, says the same as rank(x) <= k.
        """
        return [f"x{j} := {self._rank(j, thresholds)};" for j, thresholds in self._ranked.items()]

    def _rank(self, feature: int, thresholds: Sequence[float]) -> str:
        column = self._owners[feature]
        at = feature - column.start
        results = {name: str(bisect_left(thresholds, values[at])) for name, values in column.cases().items()}
        measures = column.measures()
        if not measures:
            return column.choose(results, None)
        # width_bucket counts those that are at most the value: the next number up makes "below" of that.
        above = np.nextafter(np.array(thresholds), np.inf).tolist()
        return f"COALESCE({sql.call('width_bucket', measures[at], sql.numbers(above))}, {results[MISSING]})"

    # --- tests -----------------------------------------------------------------------------------

    def _test(self, node: Node) -> Test | bool:
        """The test of a node; or where all rows go: True is left."""
        if not self._is_direct(node.feature):
            k = bisect_left(self._ranked[node.feature], node.threshold)
            return Test(f"x{node.feature} OPERATOR(pg_catalog.<=) {k}", left=True)
        argument = self._owners[node.feature].argument
        if self._is_flag(node.feature):
            return _two_valued(node.threshold, Test(f"{argument.plain} IS NULL", left=False))
        return self._direct(node)

    def _direct(self, node: Node) -> Test | bool:
        column = self._owners[node.feature]
        plain, type_name = column.argument.plain, column.argument.type
        assert isinstance(column.feature, Numeric)
        # A condition on NULL is not true, so it is put such that this is the way NULL goes.
        null_left = column.feature.impute <= node.threshold
        if type_name == "bool":
            return _two_valued(node.threshold, Test(plain if null_left else f"NOT {plain}", left=not null_left))
        bound = sql.number(node.threshold)
        if type_name in _WHOLE:
            if not -_WHOLE[type_name] <= node.threshold < _WHOLE[type_name]:
                return node.threshold > 0
            if abs(node.threshold) < _EXACT:
                bound = sql.whole(floor(node.threshold))
            else:  # the model compares what float64 makes of the number
                plain = sql.cast(plain, "float8")
        sign = ">" if null_left else "<="
        return Test(f"{plain} OPERATOR(pg_catalog.{sign}) {bound}", left=not null_left)

    def _tree(self, tree: Sequence[Node], leaf: Leaf) -> str:
        """A nested CASE, from the leaves up."""
        order, texts = [0], dict[int, str]()
        for i in order:
            if tree[i].feature >= 0:
                order += (tree[i].left, tree[i].right)
        for i in reversed(order):
            node = tree[i]
            texts[i] = (
                leaf(node) if node.feature < 0 else self._branch(node, texts.pop(node.left), texts.pop(node.right))
            )
        return texts[0]

    def _branch(self, node: Node, left: str, right: str) -> str:
        if left == right:
            return left
        test = self._test(node)
        if isinstance(test, bool):
            return left if test else right
        first, second = (left, right) if test.left else (right, left)
        return f"(CASE WHEN {test.condition} THEN {first} ELSE {second} END)"

    # --- sums ------------------------------------------------------------------------------------

    @cached_property
    def _one_score_each(self) -> bool:
        return all(_target(tree) is not None for tree in self.forest.trees)

    def sums(self) -> list[str]:
        """Statements that leave score k in variable s<k>, which starts with 0."""
        if not self._one_score_each:
            return self._sums_by_leaf()
        found = []
        for k in range(self.forest.n_scores):
            terms = [self._tree(t, _weight_of(k)) for t in self.forest.trees if _target(t) == k]
            found += [*_added(k, terms), self._rounded(k)]
        return found

    def _sums_by_leaf(self) -> list[str]:
        """Each tree adds to several scores: first the number of its leaf, then what that leaf adds to each."""
        found, leaves = [], []
        for i, tree in enumerate(self.forest.trees):
            own = [n for n in tree if n.feature < 0]
            numbers = {id(n): str(j) for j, n in enumerate(own, start=1)}
            found.append(f"l{i} := {self._tree(tree, lambda n, m=numbers: m[id(n)])};")  # type: ignore[misc]
            leaves.append(own)
        for k in range(self.forest.n_scores):
            terms = [f"({sql.numbers([_weight(n, k) for n in own])})[l{i}]" for i, own in enumerate(leaves)]
            found += [*_added(k, terms), self._rounded(k)]
        return found

    def _rounded(self, k: int) -> str:
        """The base, and the float32 in which the operator answers."""
        total = sql.operation(f"s{k}", "+", sql.number(self.forest.base[k]))
        return f"s{k} := {sql.cast(sql.cast(total, 'float4'), 'float8')};"

    def visits(self) -> int:
        """Roughly how many tests one row takes, for the planner."""
        return sum(max(1, int(log2(len(tree) + 1))) for tree in self.forest.trees)


def _two_valued(threshold: float, test: Test) -> Test | bool:
    """Of a column that is 0 or 1; the test is for a threshold between these."""
    return test if 0 <= threshold < 1 else threshold >= 1


def _target(tree: Sequence[Node]) -> int | None:
    """The only score that a tree adds to; None if there are several."""
    used = {k for node in tree if node.feature < 0 for k, w in enumerate(node.weights) if w}
    return None if len(used) > 1 else next(iter(used), 0)


def _weight(leaf: Node, k: int) -> float:
    return leaf.weights[k] if leaf.weights else 0.0


def _weight_of(k: int) -> Leaf:
    return lambda leaf: sql.number(_weight(leaf, k))


def _added(k: int, terms: Sequence[str]) -> list[str]:
    """Adds the terms one after the other, which gives the same rounding as the model's."""
    starts = range(0, len(terms), _TREES_AT_ONCE)
    return [f"s{k} := {sql.chain('+', [f's{k}', *terms[i : i + _TREES_AT_ONCE]])};" for i in starts]
