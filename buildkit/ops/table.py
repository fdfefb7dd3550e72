"""What carries the ops out: the solver's `Ops`, made once for each build.

In: stores, contexts, sandboxes, secrets. Out: identities, results. One case an op in each of the
methods; the work itself stands in the module of its op.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, assert_never

from buildkit.cache.result import ContextRef, Identity, InputIdentity, Outcome, Ref
from buildkit.cache.store import CachedStep, CacheStore
from buildkit.errors import DefinitionError, ImageError
from buildkit.llb.graph import Vertex
from buildkit.llb.op import (
    BindMount,
    CacheMount,
    ContextOp,
    CopyOp,
    CopySource,
    ExecOp,
    GitOp,
    HttpOp,
    ImageOp,
    MkdirOp,
)
from buildkit.oci.digest import Digest
from buildkit.ops import remembered
from buildkit.ops.copy import copy_into
from buildkit.ops.execute import Setting, execute
from buildkit.ops.mkdir import make_directory
from buildkit.ops.mounts import mount_copy
from buildkit.ops.origins import Contexts, Origins
from buildkit.ops.sandboxes import Sandboxes
from buildkit.ops.secrets import SecretSource
from buildkit.ops.select import select
from buildkit.ops.selection import Selection
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.snapshot import Active, Change, Committed, Snapshot
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot

Inputs = Sequence[Ref | None]


class Stores(NamedTuple):
    """The stores that ops draw on."""

    root: StateRoot
    snapshots: SnapshotStore
    cache: CacheStore


class _Held(NamedTuple):
    """What was opened to identify a copy; kept until the copy is found or made."""

    origins: Origins
    selection: Selection


class BuildOps:
    """The solver's `Ops` for one build. `close` it when the build is over.

    `clamp`: no time in a new layer is later than that (seconds since the epoch).
    """

    def __init__(
        self,
        stores: Stores,
        contexts: Contexts,
        sandboxes: Sandboxes,
        secrets: Mapping[str, SecretSource],
        *,
        clamp: int | None,
    ) -> None:
        self._stores = stores
        self._contexts = contexts
        self._sandboxes = sandboxes
        self._secrets = secrets
        self._clamp = clamp
        self._held: dict[str, _Held] = {}
        # A context's tree remembers what it has looked at; it is not made for two threads at once.
        self._looking = threading.RLock()

    def identify(self, vertex: Vertex, inputs: Inputs) -> Identity:
        """See `solver.ops.Ops`."""
        match vertex.op:
            case ImageOp() as op:
                return self._image(op)
            case ContextOp(name=name):
                return Identity((), known=ContextRef(name))
            case CopyOp() as op:
                return self._identify_copy(vertex, op, inputs)
            case MkdirOp():
                return Identity((_chain(inputs[0]),))
            case ExecOp() as op:
                return self._identify_exec(op, inputs)
            case HttpOp() | GitOp():
                raise DefinitionError("remote sources of ADD are not supported by this version")
            case _:
                assert_never(vertex.op)

    def reuse(self, vertex: Vertex, inputs: Inputs, record: CachedStep) -> Ref | None:
        """See `solver.ops.Ops`."""
        # The layers below were marked as in use, and looked for, when the parent was found.
        if not self._stores.snapshots.has((record.diff_id,)):
            return None
        self._release(vertex)
        return Snapshot.on(_parent(inputs), record.diff_id)

    def run(
        self,
        vertex: Vertex,
        inputs: Inputs,
        identity: Identity,  # noqa: ARG002 - of the Protocol
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Outcome:
        """See `solver.ops.Ops`."""
        parent = _parent(inputs)
        match vertex.op:
            case CopyOp() as op:
                try:
                    return self._copy(vertex, op, inputs, cancel)
                finally:
                    self._release(vertex)
            case MkdirOp() as op:
                return self._mkdir(op, parent)
            case ExecOp() as op:
                return self._execute(op, inputs, reporter, cancel)
            case ImageOp() | ContextOp() | HttpOp() | GitOp():
                raise DefinitionError(f"{vertex.label} is no step that runs")
            case _:
                assert_never(vertex.op)

    def close(self) -> None:
        """End the sandboxes that still run and close what was looked at."""
        self._sandboxes.close()
        for held in self._held.values():
            held.origins.close()
        self._held.clear()

    def _image(self, op: ImageOp) -> Identity:
        if op.diff_ids and not self._stores.snapshots.has(op.diff_ids):
            raise ImageError(
                f"the layers of image {op.reference} are not complete",
                hint="load or make it again; 'pybuild fsck' says what is missing",
            )
        return Identity((), known=Snapshot.of(op.diff_ids))

    def _identify_copy(self, vertex: Vertex, op: CopyOp, inputs: Inputs) -> Identity:
        known = self._remembered(op, _origins_of(op), inputs)
        if known is None:
            digests = self._select(vertex, op, inputs).selection.digests
            self._remember(op, digests, inputs)
        else:
            digests = known
        parent: InputIdentity = None if op.link else _chain(inputs[0])
        return Identity(
            inputs=(parent, *(digests.get(number) for number in range(1, len(inputs)))),
            manifests={
                str(digest): self._manifest(vertex, op, inputs, number)
                for number, digest in digests.items()
            },
        )

    def _manifest(
        self, vertex: Vertex, op: CopyOp, inputs: Inputs, number: int
    ) -> Callable[[], bytes]:
        def read() -> bytes:
            with self._looking:
                return self._select(vertex, op, inputs).selection.manifest(number)

        return read

    def _select(self, vertex: Vertex, op: CopyOp, inputs: Inputs) -> _Held:
        """Return the selection of a copy, made once and kept until `_release`."""
        with self._looking:
            held = self._held.get(vertex.id)
            if held is None:
                origins = self._origins(inputs)
                try:
                    selection = select(op, origins.trees(_origins_of(op)))
                except BaseException:
                    origins.close()
                    raise
                held = self._held[vertex.id] = _Held(origins, selection)
            return held

    def _release(self, vertex: Vertex) -> None:
        with self._looking:
            held = self._held.pop(vertex.id, None)
        if held is not None:
            held.origins.close()

    def _remembered(
        self, op: CopyOp, numbers: set[int], inputs: Inputs
    ) -> dict[int, Digest] | None:
        """Return what `op` selects, where all it selects from are snapshots looked at before."""
        found: dict[int, Digest] = {}
        for number in numbers:
            ref = inputs[number]
            if not isinstance(ref, Snapshot):
                return None
            digest = remembered.find(self._stores.root, ref.chain, remembered.spec_of(op, number))
            if digest is None:
                return None
            found[number] = digest
        return found

    def _remember(self, op: CopyOp, digests: Mapping[int, Digest], inputs: Inputs) -> None:
        rows = [
            (ref.chain, remembered.spec_of(op, number), digest)
            for number, digest in digests.items()
            if isinstance(ref := inputs[number], Snapshot)
        ]
        if rows:
            remembered.save(self._stores.root, rows)

    def _identify_exec(self, op: ExecOp, inputs: Inputs) -> Identity:
        """A RUN depends on its parent and on what its mounts show, file by file."""
        shown: dict[int, dict[str, str]] = {}
        for mount in op.mounts:
            if isinstance(mount, BindMount | CacheMount) and mount.origin:
                content = self._content(mount_copy(mount.origin, mount.source), inputs)
                shown.setdefault(mount.origin, {})[mount.source] = str(content)
        rest = (shown.get(number) for number in range(1, len(inputs)))
        return Identity((_chain(inputs[0]), *rest))

    def _content(self, op: CopyOp, inputs: Inputs) -> Digest:
        """Return the digest of what the one source of `op` names."""
        numbers = _origins_of(op)
        known = self._remembered(op, numbers, inputs)
        if known is not None:
            return next(iter(known.values()))
        with self._looking:
            origins = self._origins(inputs)
            try:
                found = select(op, origins.trees(numbers)).digests
            finally:
                origins.close()
        self._remember(op, found, inputs)
        return next(iter(found.values()))

    def _copy(self, vertex: Vertex, op: CopyOp, inputs: Inputs, cancel: Cancel) -> Outcome:
        parent = _parent(inputs)
        below = None if op.link else parent
        with ExitStack() as stack:
            with self._looking:
                held = self._select(vertex, op, inputs)
                for root in held.selection.roots:
                    held.selection.entries(root)  # the last look at the tree: now it may be shared
                trees = held.origins.trees(_origins_of(op))
            views = self._stores.snapshots
            view = None if parent is None else stack.enter_context(views.view(parent))
            active = self._prepared(stack, below)
            copy_into(
                op,
                held.selection,
                trees,
                None if below is None else view,
                active.upper,
                check=cancel.check,
                owner_view=view,
            )
            return _outcome(self._commit(active, below), parent)

    def _mkdir(self, op: MkdirOp, parent: Snapshot | None) -> Outcome:
        with ExitStack() as stack:
            views = self._stores.snapshots
            view = None if parent is None else stack.enter_context(views.view(parent))
            active = self._prepared(stack, parent)
            make_directory(op, view, active.upper)
            return _outcome(self._commit(active, parent), parent)

    def _execute(
        self, op: ExecOp, inputs: Inputs, reporter: StepReporter, cancel: Cancel
    ) -> Outcome:
        parent = _parent(inputs)
        with ExitStack() as stack:
            origins = self._origins(inputs)
            stack.callback(origins.close)
            active = self._prepared(stack, parent)
            setting = Setting(
                root=self._stores.root,
                active=active,
                lowers=() if parent is None else self._stores.snapshots.lowers(parent),
                secrets=self._secrets,
                origins=origins,
                sandboxes=self._sandboxes,
                looking=self._looking,
            )
            usage = execute(op, setting, reporter, cancel)
            return _outcome(self._commit(active, parent), parent)._replace(usage=usage)

    def _prepared(self, stack: ExitStack, parent: Snapshot | None) -> Active:
        active = self._stores.snapshots.prepare(parent)
        stack.callback(self._stores.snapshots.discard, active)
        return active

    def _commit(self, active: Active, parent: Snapshot | None) -> Committed:
        chain = "" if parent is None else str(parent.chain)
        return self._stores.snapshots.commit(
            active,
            candidates=lambda found: self._stores.cache.candidates(chain, found),
            clamp=self._clamp,
        )

    def _origins(self, inputs: Inputs) -> Origins:
        return Origins(self._stores.root, self._stores.snapshots, self._contexts, inputs)


def _parent(inputs: Inputs) -> Snapshot | None:
    first = inputs[0] if inputs else None
    return first if isinstance(first, Snapshot) else None


def _chain(ref: Ref | None) -> str | None:
    return str(ref.chain) if isinstance(ref, Snapshot) else None


def _origins_of(op: CopyOp) -> set[int]:
    return {source.origin for source in op.sources if isinstance(source, CopySource)}


def _outcome(committed: Committed, parent: Snapshot | None) -> Outcome:
    """Return what was committed, as a layer on `parent` (which `--link` did not look at)."""
    return Outcome(
        ref=Snapshot.on(parent, committed.diff_id),
        diff_id=committed.diff_id,
        created=committed.created,
        fingerprint=committed.fingerprint,
        reused=committed.reused,
        listing=_listing(committed.changes),
    )


def _listing(changes: Sequence[Change]) -> bytes:
    """Return changes as the records keep them: a JSON list `[path, kind, size]` a line."""
    return "".join(f"{json.dumps(change)}\n" for change in changes).encode()
