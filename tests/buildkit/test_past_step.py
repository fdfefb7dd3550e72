from typing import NamedTuple, cast

import pytest

from buildkit.cache.key import cache_key, key_document
from buildkit.cache.result import ContextRef
from buildkit.errors import UsageError
from buildkit.llb.op import Op
from buildkit.oci.digest import Digest
from buildkit.past_step import PastStep, past_step
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.store import SnapshotStore
from tests.buildkit.records.samples import build, step
from tests.buildkit.solver.fakes import BASE, MemoryCache, copy, execute, image

MADE, COPIED = Digest.of(b"made"), Digest.of(b"copied")


class Layers:
    """The layers that are there: all but `gone`."""

    def __init__(self, *gone: Digest) -> None:
        self.gone = set(gone)

    def has(self, diff_ids: tuple[Digest, ...]) -> bool:
        return not self.gone.intersection(diff_ids)


class Stores(NamedTuple):
    """See `buildkit.past_step.Stores`."""

    snapshots: SnapshotStore
    cache: MemoryCache


def recorded(number: int, op: Op, kind: str, inputs: tuple[int | str, ...]) -> StepRecord:
    document = key_document(op, ["x"])
    key = cache_key(document)
    return step(number, "", key=key, document=document, kind=kind, inputs=inputs)


STEPS = (
    recorded(1, image(), "image", ("",))._replace(outcome="cached", diff_id=str(BASE)),
    recorded(2, execute("make"), "exec", (0,))._replace(diff_id=str(MADE)),
    recorded(3, copy("src"), "copy", (1, "context context"))._replace(diff_id=str(COPIED)),
    recorded(4, execute("test"), "exec", (2,))._replace(outcome="failed"),
    step(5, "RUN more", key="", outcome="unreached", inputs=(3,)),
)
BUILD = build("a", *STEPS)


def again(number: int, *gone: Digest, record: BuildRecord = BUILD) -> PastStep:
    stores = Stores(cast(SnapshotStore, Layers(*gone)), MemoryCache())
    return past_step(record, record.steps[number - 1], stores)


def test_a_step_is_put_together_from_the_layers_of_those_before_it() -> None:
    found = again(3)
    assert found.op == copy("src")
    assert found.inputs == (Snapshot.of((BASE, MADE)), ContextRef("context"))
    assert found.parent == Snapshot.of((BASE, MADE))
    assert found.result == Snapshot.of((BASE, MADE, COPIED))


def test_a_base_is_its_own_result_and_stands_on_nothing() -> None:
    found = again(1)
    assert (found.parent, found.result) == (None, Snapshot.of((BASE,)))


def test_a_step_that_failed_gave_nothing() -> None:
    found = again(4)
    assert found.op == execute("test")
    assert found.parent == Snapshot.of((BASE, MADE, COPIED))
    assert found.result is None


def test_a_step_that_was_not_reached_cannot_be_put_together() -> None:
    with pytest.raises(UsageError, match="step #5 of build a was not reached"):
        again(5)


def test_layers_that_are_gone_are_told() -> None:
    with pytest.raises(UsageError, match="the layers of step #2 are no longer in the store"):
        again(3, MADE)


def test_a_step_on_one_without_a_result_is_told() -> None:
    steps = (*STEPS[:4], STEPS[3]._replace(number=5, inputs=(3,)))
    with pytest.raises(UsageError, match="step #4 of build a gave no result"):
        again(5, record=build("a", *steps))
