"""A step of an earlier build put together again: its op, what it stood on, what it gave.

In: the record of a build and one of its steps, and the stores. Out: `PastStep`, with which the step
can be looked at from inside, or run again. Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildkit.cache.document import op_of
from buildkit.cache.key import CacheKey
from buildkit.cache.result import ContextRef, Ref
from buildkit.cache.store import CacheStore
from buildkit.context.local import LocalContext
from buildkit.context.tree import Tree
from buildkit.errors import UsageError
from buildkit.llb.op import CopyOp, ExecOp, ImageOp, MkdirOp, Op
from buildkit.oci.digest import Digest
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.store import SnapshotStore
from runtime.typed import Protocol
from runtime.values import NamedTuple


class Stores(Protocol):
    """The stores that are asked."""

    @property
    def snapshots(self) -> SnapshotStore:
        """Layers."""
        ...

    @property
    def cache(self) -> CacheStore:
        """Key documents."""
        ...


class PastStep(NamedTuple):
    """`inputs` are those of its vertex, in order. `result` None: it gave none, or an empty one."""

    record: StepRecord
    op: Op
    inputs: tuple[Ref | None, ...]
    result: Snapshot | None

    @property
    def parent(self) -> Snapshot | None:
        """What it stood on."""
        first = self.inputs[0] if self.inputs else None
        return first if isinstance(first, Snapshot) else None


def past_step(build: BuildRecord, step: StepRecord, stores: Stores) -> PastStep:
    """Return `step` of `build`.

    Raises UsageError when it was not reached, or when what it needs is no longer in the store.
    """
    again = _Again(build, stores)
    op = again.op(step)
    if op is None or (isinstance(op, CopyOp | ExecOp | MkdirOp) and not step.inputs):
        raise UsageError(
            f"step #{step.number} of build {build.id} was not reached, or its record is gone",
            hint="build again",
        )
    inputs = tuple(again.ref(name) for name in step.inputs)
    result = None
    if step.outcome in ("cached", "run"):
        found = again.ref(build.steps.index(step))
        result = found if isinstance(found, Snapshot) else None
    return PastStep(step, op, inputs, result)


class PastContexts:
    """The contexts of an earlier build, as they are now."""

    def __init__(self, build: BuildRecord) -> None:
        self._paths: Mapping[str, str] = {"context": build.context, **dict(build.contexts)}
        self._dockerfile = build.dockerfile
        self._open: dict[str, LocalContext] = {}

    def tree(self, name: str) -> Tree:
        """Return the tree of context `name`. Raises ContextError, UsageError."""
        if name not in self._paths:
            raise UsageError(f"context {name} is not recorded")
        if name not in self._open:
            main = name == "context" and self._dockerfile.startswith("/")
            dockerfile = self._dockerfile if main else None
            self._open[name] = LocalContext.open(self._paths[name], dockerfile=dockerfile)
        return self._open[name].tree

    def close(self) -> None:
        """Close what was opened."""
        for context in self._open.values():
            context.close()


class _Again:
    def __init__(self, build: BuildRecord, stores: Stores) -> None:
        self._build = build
        self._stores = stores

    def op(self, step: StepRecord) -> Op | None:
        document = step.document
        if not document and step.key:
            document = self._stores.cache.document(CacheKey(step.key)) or ""
        try:
            return op_of(document) if document else None
        except ValueError:
            return None

    def ref(self, name: int | str) -> Ref | None:
        """Return the result that an entry of `StepRecord.inputs` means."""
        if isinstance(name, str):
            kind, _, context = name.partition(" ")
            return ContextRef(context) if kind == "context" else None
        snapshot = Snapshot.of(self._layers(name))
        if snapshot is not None and not self._stores.snapshots.has(snapshot.diff_ids):
            raise UsageError(
                f"the layers of step #{self._build.steps[name].number} are no longer in the store",
                hint="build again",
            )
        return snapshot

    def _layers(self, position: int) -> tuple[Digest, ...]:
        """Return the layers of a step's result, bottom-most first."""
        layers: list[Digest] = []
        name: int | str = position
        while isinstance(name, int):
            step = self._build.steps[name]
            op = self.op(step) if step.kind == "image" else None
            if isinstance(op, ImageOp):
                return (*op.diff_ids, *reversed(layers))
            if not step.diff_id:
                raise UsageError(f"step #{step.number} of build {self._build.id} gave no result")
            layers.append(Digest.parse(step.diff_id))
            name = step.inputs[0] if step.inputs else ""
        return tuple(reversed(layers))
