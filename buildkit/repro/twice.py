"""Builds the same thing twice, apart and under different conditions, and compares.

In: a request, the user's store, which is read only. Out: `Compared`. Both builds have a store of
their own below `tmp/` of the user's, with nothing but the base images in it, so every step runs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from buildkit.errors import ImageError, UsageError
from buildkit.images import ImageStore
from buildkit.llb.op import ImageOp
from buildkit.main_context import Main, is_local
from buildkit.oci.digest import Digest
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note
from buildkit.records.record import BuildRecord
from buildkit.records.store import RecordStore
from buildkit.repro.apart import apart
from buildkit.repro.causes import Varied
from buildkit.repro.conditions import Conditions, conditions_of, enter, words_of
from buildkit.repro.context_copy import copy_context
from buildkit.repro.differences import (
    ConfigDifference,
    StepDifference,
    differing_configs,
    differing_steps,
)
from buildkit.repro.stores import share
from buildkit.request import BuildRequest, graph_for, ready
from buildkit.snapshot.layers import Layers
from buildkit.state.root import StateRoot
from buildkit.worker import Worker
from grammar.parser import parse
from runtime.values import NamedTuple

_APART = 2.1
"""Seconds between the beginnings: zip's times count by two of them."""

BuildIt = Callable[[BuildRequest, StateRoot], str]
"""Builds on a store and shows it, in the process it is called in; returns the record's ID."""


class Compared(NamedTuple):
    """What came of it. `images`: the two IDs. `epoch`: SOURCE_DATE_EPOCH, None without."""

    images: tuple[Digest, Digest]
    epoch: int | None
    steps: tuple[StepDifference, ...]
    config: tuple[ConfigDifference, ...]

    @property
    def reproducible(self) -> bool:
        """Whether both builds gave the same image."""
        return self.images[0] == self.images[1]


class _Plan(NamedTuple):
    """Both requests; `images`: what they are built on."""

    requests: tuple[BuildRequest, BuildRequest]
    images: tuple[Digest, ...]
    epoch: int | None


def build_twice(
    request: BuildRequest,
    varied: frozenset[str],
    worker: Worker,
    build_it: BuildIt,
    tell: Callable[[BaseException], int],
    emit: Emit,
    cancel: Cancel,
) -> Compared:
    """Build and compare. Raises BuildError, ApartError (what `tell` said of a build), Cancelled."""
    place = worker.root.tmp()
    planned = _planned(request, varied, place, worker, emit, cancel)
    conditions = (Conditions({}), conditions_of(varied))
    tops = (f"{place}/first", f"{place}/the-second-one")
    records: list[str] = []
    begun: list[float] = []
    for number, top in enumerate(tops):
        share(worker.root, planned.images, top)
        if number:
            cancel.wait(begun[0] + _APART - time.time())
        cancel.check()
        emit(Note(f"build {number + 1} of 2{'' if not number else ', under other conditions'}"))
        begun.append(time.time())
        act = _acting(planned.requests[number], top, conditions[number], build_it)
        records.append(json.loads(apart(act, tell, cancel)))
    varying = Varied((begun[0], time.time()), words_of(conditions[1], tops))
    with StateRoot.open(tops[0]) as first, StateRoot.open(tops[1]) as second:
        return _compared((first, second), (records[0], records[1]), varying, planned.epoch)


def _acting(
    request: BuildRequest, top: str, conditions: Conditions, build_it: BuildIt
) -> Callable[[], bytes]:
    def act() -> bytes:
        enter(conditions)
        with StateRoot.open(top) as own:
            return json.dumps(build_it(request, own)).encode()

    return act


def _planned(
    request: BuildRequest,
    varied: frozenset[str],
    place: str,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> _Plan:
    """Find the base images, fetched where need be, and make the second context."""
    if request.context == "-" or request.dockerfile == "-":
        raise UsageError("standard input cannot be read twice", hint="name a directory and a file")
    with ready(request, worker, cancel) as given:
        lowered = graph_for(request, parse(given.main.source), given.main, worker, emit, cancel)
        images = {op.config for vertex in lowered.graph if isinstance(op := vertex.op, ImageOp)}
        if lowered.base is not None:
            images.add(lowered.base.config_digest)
        bare = request._replace(
            tags=(), outputs=(), cache_from=(), cache_to=(), attest=None, pull="missing"
        )
        second = _elsewhere(bare, given.main, varied, place)
    known = tuple(sorted(image for image in images if _is_known(worker.images, image)))
    return _Plan((bare, second), known, lowered.epoch)


def _is_known(images: ImageStore, image: Digest) -> bool:
    try:
        images.find(image)
    except ImageError:
        return False  # of an image layout, which each build reads itself
    return True


def _elsewhere(
    request: BuildRequest, main: Main, varied: frozenset[str], place: str
) -> BuildRequest:
    """Return the request for another checkout of the same contexts."""
    jobs = 1 if "cpus" in varied else request.jobs
    request = request._replace(jobs=jobs, dockerfile=main.dockerfile or request.dockerfile)
    wishes = {
        "backwards": "order" in varied,
        "times": "time" in varied,
        "modes": "modes" in varied,
    }
    if not any(wishes.values()):
        return request
    sources = {}
    for number, (name, path) in enumerate(request.context_sources.items()):
        sources[name] = f"{place}/named-{number}"
        copy_context(path, sources[name], None, **wishes)
    request = request._replace(context_sources=sources)
    if not is_local(request.context):
        return request
    os.mkdir(f"{place}/checkout")
    context = f"{place}/checkout/context"
    copy_context(request.context, context, main.dockerfile, **wishes)
    return request._replace(context=context)


def _compared(
    roots: tuple[StateRoot, StateRoot], ids: tuple[str, str], varied: Varied, epoch: int | None
) -> Compared:
    first, second = (_record(root, name) for root, name in zip(roots, ids, strict=True))
    images = (Digest.parse(first.image), Digest.parse(second.image))
    layers = (Layers(roots[0]), Layers(roots[1]))
    configs = [
        ImageStore(root).config_blob(image) for root, image in zip(roots, images, strict=True)
    ]
    return Compared(
        images=images,
        epoch=epoch,
        steps=tuple(differing_steps((first, second), layers, varied, epoch)),
        config=tuple(differing_configs(configs[0], configs[1], epoch)),
    )


def _record(root: StateRoot, name: str) -> BuildRecord:
    record = RecordStore(root).get(name)
    assert record is not None
    return record
