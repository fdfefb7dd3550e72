"""What became of a vertex, as its `StepRecord`. Pure."""

from __future__ import annotations

from buildkit.cache.key import TYPES, CacheKey, cache_key
from buildkit.cache.result import Usage
from buildkit.llb.op import ContextOp
from buildkit.records.record import StepOutcome, StepRecord
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.step import Broken, Hit, Made, note_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildkit.llb.graph import Vertex


def of_hit(vertex: Vertex, hit: Hit, begun: float) -> StepRecord:
    """Return the record of a step that was found; `begun`: when it was begun to be looked for."""
    record = hit.record
    layers = hit.ref.diff_ids if isinstance(hit.ref, Snapshot) else ("",)
    return StepRecord(
        number=vertex.number,
        name=vertex.label,
        stage=vertex.stage,
        kind=TYPES[type(vertex.op)],
        outcome="cached",
        lines=vertex.lines or (),
        key=hit.key,
        diff_id=layers[-1],
        started=begun,
        cost=record.seconds if record else 0.0,
        usage=record.usage if record else Usage(),
        log=record.log if record else "",
        document="" if record else hit.document,
    )


def of_made(vertex: Vertex, made: Made) -> StepRecord:
    """Return the record of a step that ran."""
    run, outcome = made.run, made.outcome
    return _base(vertex, "run", run.key)._replace(
        diff_id=outcome.diff_id or "",
        why=run.why,
        started=run.started,
        seconds=run.seconds,
        cost=run.seconds,
        usage=outcome.usage,
        log=run.log,
        note=note_of(outcome),
        document="" if made.saved else run.document,
    )


def of_broken(
    vertex: Vertex, broken: Broken, document: str, message: str, *, cancelled: bool
) -> StepRecord:
    """Return the record of a step that failed or was cancelled, perhaps before it had a key."""
    run = broken.run
    record = _base(
        vertex,
        "cancelled" if cancelled else "failed",
        cache_key(document) if document else CacheKey(""),
    )._replace(message=message, document=document)
    if run is None:
        return record
    return record._replace(why=run.why, started=run.started, seconds=run.seconds, log=run.log)


def of_undone(vertex: Vertex, document: str, begun: float | None) -> StepRecord:
    """Return the record of a step that never ran; `begun`: it was looked for all the same."""
    key = cache_key(document) if document else CacheKey("")
    if begun is None:
        return _base(vertex, "unreached", key)
    return _base(vertex, "cancelled", key)._replace(started=begun, document=document)


def in_order(
    records: Mapping[str, StepRecord], vertices: Mapping[str, Vertex]
) -> tuple[StepRecord, ...]:
    """Return the records (by name of vertex) by number, each with its inputs filled in."""
    names = sorted(records, key=lambda name: records[name].number)
    places: dict[str | None, int | str] = {name: at for at, name in enumerate(names)}
    for name, vertex in vertices.items():
        if isinstance(vertex.op, ContextOp):
            places[name] = f"context {vertex.op.name}"
    places[None] = ""
    return tuple(
        records[name]._replace(inputs=tuple(places[one] for one in vertices[name].inputs))
        for name in names
    )


def _base(vertex: Vertex, outcome: StepOutcome, key: CacheKey) -> StepRecord:
    return StepRecord(
        number=vertex.number,
        name=vertex.label,
        stage=vertex.stage,
        kind=TYPES[type(vertex.op)],
        outcome=outcome,
        key=key,
        lines=vertex.lines or (),
    )
