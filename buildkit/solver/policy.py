"""Which steps may be taken from the cache. Storing their results is not affected."""

from __future__ import annotations

import time

from buildkit.records.naming import names_step
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildkit.cache.store import CachedStep
    from buildkit.llb.graph import Vertex


_SECONDS = "%Y-%m-%dT%H:%M:%S"


class CachePolicy(NamedTuple):
    """`disabled`: --no-cache, take nothing. `stages`: names given with --no-cache-filter.

    `steps`: given with --no-cache-step, as `buildkit.records.naming` reads them. Stage names are
    compared without regard to case, as everywhere in a Dockerfile. `epoch`: seconds, which nothing
    in the image may be younger than.
    """

    disabled: bool = False
    stages: frozenset[str] = frozenset()
    steps: tuple[str, ...] = ()
    epoch: int | None = None

    def refusal(self, vertex: Vertex) -> str:
        """Return why `vertex` must not be taken from the cache, empty when it may."""
        if self.disabled:
            return "--no-cache"
        if self.stages and vertex.stage.lower() in {stage.lower() for stage in self.stages}:
            return f"--no-cache-filter={vertex.stage}"
        if vertex.wishes.no_cache:
            return "# pybuild: no-cache"
        for text in self.steps:
            if names_step(text, vertex.label, vertex.lines):
                return f"--no-cache-step={text}"
        return ""

    def too_young(self, record: CachedStep) -> str:
        """Return why the files in `record` may be younger than the epoch, empty when they are not.

        A step that was made with the same epoch, or an earlier one, was made no later than that.
        """
        if self.epoch is None:
            return ""
        latest = time.strftime(_SECONDS, time.gmtime(self.epoch))
        # RFC 3339 up to the second, which is what a layer's times are cut to.
        if record.created and record.created[: len(latest)] <= latest:
            return ""
        return f"files may be younger than SOURCE_DATE_EPOCH, {latest}Z"

    def unused(self, vertices: Iterable[Vertex]) -> list[str]:
        """Return the values of --no-cache-step that mean none of `vertices`."""
        steps = [vertex for vertex in vertices if vertex.number]
        return [
            text
            for text in self.steps
            if not any(names_step(text, vertex.label, vertex.lines) for vertex in steps)
        ]


def outdated(vertex: Vertex, record: CachedStep, now: float) -> str:
    """Return why `record` is too old for what a comment wants, empty when it is not."""
    ttl = vertex.wishes.ttl
    age = now - record.made
    if not ttl or age <= ttl:
        return ""
    # Patterns, which a cached build without such comments does without.
    from buildkit.durations import duration_text

    made = f", made {duration_text(age)} ago" if record.made else ""
    return f"ttl={duration_text(ttl)} is over{made}"
