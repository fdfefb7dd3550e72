"""A build beside the builds before it: which steps have another key, and what is different in it.

In: build records, newest first, and the cache, which keeps the documents of most of them. Out: one
`Compared` a step. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.cache.key import CacheKey
from buildkit.cache.store import CacheStore
from buildkit.records.match import Earlier, instruction
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.solver.difference import Difference, differences
from runtime.values import NamedTuple


class Compared(NamedTuple):
    """A step, what it was before (None: it is new), and the differences of the two documents.

    `known` is false when one of the documents is no longer in the store.
    """

    step: StepRecord
    earlier: StepRecord | None
    differences: tuple[Difference, ...]
    known: bool

    @property
    def same(self) -> bool:
        """Tell whether its key is that of before."""
        return self.earlier is not None and self.earlier.key == self.step.key


def compare(
    build: BuildRecord, before: Sequence[BuildRecord], cache: CacheStore
) -> tuple[Compared, ...]:
    """Return the steps of `build` beside those of `before` (of the same identity)."""
    earlier = Earlier(before)
    siblings: dict[str, set[str]] = {}
    for step in build.steps:
        siblings.setdefault(step.stage, set()).add(instruction(step.name))
    return tuple(
        _compared(step, earlier.of(step, siblings[step.stage]), cache)
        for step in build.steps
        if step.number
    )


def _compared(step: StepRecord, earlier: StepRecord | None, cache: CacheStore) -> Compared:
    if earlier is None or not step.key or earlier.key == step.key:
        return Compared(step, earlier, (), known=True)
    old, new = _document(earlier, cache), _document(step, cache)
    if old is None or new is None:
        return Compared(step, earlier, (), known=False)
    return Compared(step, earlier, differences(old, new, cache.manifest), known=True)


def _document(step: StepRecord, cache: CacheStore) -> str | None:
    return step.document or cache.document(CacheKey(step.key))
