"""Which step of an earlier build is this one. Pure.

In: earlier builds, newest first, and a step's stage, name and kind. Out: the step's last record
with a key. The text of the instruction decides; where it was edited, its place in the stage does,
unless what stood there before still stands elsewhere in the stage.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from buildkit.records.record import BuildRecord, StepRecord


def instruction(name: str) -> str:
    """Return the instruction in a step's name, `[build 2/4] RUN make` without its place."""
    if name.startswith("["):
        return name.partition("] ")[2] or name
    return name


class Earlier:
    """Finds steps in `builds` (newest first), of which no more are taken than that needs."""

    def __init__(self, builds: Iterable[BuildRecord]) -> None:
        self._left = iter(builds)
        self._indexes: list[_Index] = []

    def of(self, step: StepRecord, siblings: Collection[str]) -> StepRecord | None:
        """Return the newest record of what `step` was, None if it is new.

        `siblings`: the instructions that the stage of `step` has now. Builds that did not come as
        far as this step are passed over.
        """
        for index in self._each():
            found = index.find(step, siblings)
            if found is not None:
                return found
        return None

    def __bool__(self) -> bool:
        """Say whether there is any earlier build."""
        return any(True for _ in self._each())

    def _each(self) -> Iterator[_Index]:
        yield from self._indexes
        for build in self._left:
            index = _Index(build)
            self._indexes.append(index)
            yield index


class _Index:
    """The steps of one build that have a key, by stage and kind, with and without their text."""

    def __init__(self, build: BuildRecord) -> None:
        self._places: dict[tuple[str, str], list[tuple[str, StepRecord]]] = {}
        self._texts: dict[tuple[str, str, str], list[StepRecord]] = {}
        for step in build.steps:
            if step.key:
                text = instruction(step.name)
                self._places.setdefault((step.stage, step.kind), []).append((text, step))
                self._texts.setdefault((step.stage, step.kind, text), []).append(step)

    def find(self, step: StepRecord, siblings: Collection[str]) -> StepRecord | None:
        same = self._texts.get((step.stage, step.kind, instruction(step.name)))
        if same:
            return _nearest(step, same)
        edited = [
            one
            for text, one in self._places.get((step.stage, step.kind), ())
            if text not in siblings
        ]
        if not edited:
            return None
        nearest = _nearest(step, edited)
        return nearest if len(edited) == 1 or abs(nearest.number - step.number) <= 1 else None


def _nearest(step: StepRecord, others: Sequence[StepRecord]) -> StepRecord:
    return min(others, key=lambda one: abs(one.number - step.number))
