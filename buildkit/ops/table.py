"""What carries the ops out: the solver's `Ops`, made once for each build.

In: stores, contexts, and what the command line gives to steps. Out: identities, results. One case
an op in each of the methods; the work itself stands in the module of its op.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from buildkit.cache.result import ContextRef, Identity, InputIdentity, Outcome, Ref
from buildkit.errors import DefinitionError, ImageError
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
    SecretMount,
    needs_names,
)
from buildkit.ops import remembered, secrets
from buildkit.ops.chown import find_owner
from buildkit.ops.origins import Contexts, Origins
from buildkit.ops.select import select
from buildkit.ops.shown import mount_spec, shown_digest, shown_manifest
from buildkit.snapshot.snapshot import Snapshot
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from buildkit.cache.store import CachedStep
    from buildkit.context.tree import Tree
    from buildkit.llb.graph import Vertex
    from buildkit.oci.digest import Digest
    from buildkit.ops.grants import Grants
    from buildkit.ops.perform import Performer, Salvage
    from buildkit.ops.remotes import Remotes
    from buildkit.ops.sandboxes import Sandboxes
    from buildkit.ops.selection import Selection
    from buildkit.ops.stores import Stores
    from buildkit.progress.cancel import Cancel
    from buildkit.progress.reporter import StepReporter

Inputs = Sequence[Ref | None]


class _Held(NamedTuple):
    """What was opened to identify a copy; kept until the copy is found or made."""

    origins: Origins
    selection: Selection


class BuildOps:
    """The solver's `Ops` for one build. `close` it when the build is over.

    `clamp`: no time in a new layer is later than that (seconds since the epoch). `salvage` is shown
    the file system of a step that failed, by a descriptor.
    """

    def __init__(
        self,
        stores: Stores,
        contexts: Contexts,
        grants: Grants,
        *,
        clamp: int | None,
        salvage: Salvage | None = None,
    ) -> None:
        self._stores = stores
        self._contexts = contexts
        self._sandboxes: Sandboxes | None = None
        self._made: Performer | None = None
        self._elsewhere: Remotes | None = None
        self._grants = grants
        self._clamp = clamp
        self._salvage = salvage
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
            case HttpOp() | GitOp() as op:
                return Identity((), parts=self._remotes().identify(op))
            case _:
                assert_never(vertex.op)

    def reuse(self, vertex: Vertex, inputs: Inputs, record: CachedStep) -> Ref | None:
        """See `solver.ops.Ops`."""
        # The layers below were marked as in use, and looked for, when the parent was found.
        if not self._stores.snapshots.has((record.diff_id,)):
            return None
        self._release(vertex)
        return Snapshot.on(_parent(inputs), record.diff_id)

    def expect_sandboxes(self) -> None:
        """See `solver.ops.Ops`."""
        # A zygote takes as long to start as what it is wanted for takes to be imported.
        with contextlib.suppress(OSError):  # who wants to use it is told
            self._steps().prepare()

    def run(
        self,
        vertex: Vertex,
        inputs: Inputs,
        identity: Identity,  # noqa: ARG002 - of the Protocol
        reporter: StepReporter,
        cancel: Cancel,
    ) -> Outcome:
        """See `solver.ops.Ops`."""
        since = time.time_ns() if isinstance(vertex.op, ExecOp) else None
        outcome = self._run(vertex, inputs, reporter, cancel)
        if self._stores.offered is not None and self._clamp is None and not outcome.reused:
            from buildkit.ops.elsewhere import as_elsewhere  # for builds with shared caches only

            return as_elsewhere(vertex, _parent(inputs), outcome, self._stores.offered, since)
        return outcome

    def _run(
        self, vertex: Vertex, inputs: Inputs, reporter: StepReporter, cancel: Cancel
    ) -> Outcome:
        parent = _parent(inputs)
        performer = self._performer()
        match vertex.op:
            case CopyOp() as op:
                try:
                    selection, trees = self._selected(vertex, op, inputs)
                    return performer.copy(op, parent, selection, trees, cancel)
                finally:
                    self._release(vertex)
            case MkdirOp() as op:
                return performer.make_directory(op, parent)
            case ExecOp() as op:
                mounts = [mount for mount in op.mounts if isinstance(mount, CacheMount)]
                if mounts and self._stores.offered is not None:
                    self._stores.offered.fill(mounts)
                origins = self._origins(inputs)
                try:
                    return performer.execute(op, parent, origins, reporter, cancel)
                finally:
                    origins.close()
            case HttpOp() | GitOp() as op:
                return performer.fetch(op, self._remotes(), cancel)
            case ImageOp() | ContextOp():
                raise DefinitionError(f"{vertex.label} is no step that runs")
            case _:
                assert_never(vertex.op)

    @property
    def connected(self) -> bool:
        """Whether steps had a network of their own, which is to be taken down."""
        return self._sandboxes is not None and self._sandboxes.connected

    def disconnect(self) -> None:
        """Take the network of the steps down, if there is one; after `close`. Takes 50 ms."""
        if self._sandboxes is not None:
            self._sandboxes.disconnect()

    def close(self) -> None:
        """End the sandboxes that still run and close what was looked at."""
        if self._sandboxes is not None:
            self._sandboxes.close()
        for held in self._held.values():
            held.origins.close()
        self._held.clear()

    def _steps(self) -> Sandboxes:
        """Return what steps run in."""
        with self._looking:
            if self._sandboxes is None:
                from buildkit.ops.sandboxes import Sandboxes  # for builds that make something

                self._sandboxes = Sandboxes()
            return self._sandboxes

    def _performer(self) -> Performer:
        """Return what makes layers; a build that finds all in its cache never gets here."""
        sandboxes = self._steps()
        with self._looking:
            if self._made is None:
                # With it come copying and packing: a third of all there is to import.
                from buildkit.ops.perform import Performer

                self._made = Performer(
                    self._stores,
                    sandboxes,
                    self._grants,
                    self._looking,
                    clamp=self._clamp,
                    salvage=self._salvage,
                )
            return self._made

    def _remotes(self) -> Remotes:
        """Return what looks things up elsewhere; few builds have such sources."""
        with self._looking:
            if self._elsewhere is None:
                from buildkit.ops.remotes import Remotes

                self._elsewhere = Remotes(
                    self._stores.root, self._grants.secrets, self._grants.agents
                )
            return self._elsewhere

    def _image(self, op: ImageOp) -> Identity:
        if op.diff_ids and not self._stores.snapshots.has(op.diff_ids):
            raise ImageError(
                f"the layers of image {op.reference} are not complete",
                hint="load or make it again; 'pybuild fsck' says what is missing",
            )
        return Identity((), known=Snapshot.of(op.diff_ids))

    def _identify_copy(self, vertex: Vertex, op: CopyOp, inputs: Inputs) -> Identity:
        known = remembered.known_of(self._stores, op, _origins_of(op), inputs)
        if known is None:
            digests = self._select(vertex, op, inputs).selection.digests
            remembered.save_of(self._stores.root, op, digests, inputs)
        else:
            digests = known
        parent: InputIdentity = None if op.link else _chain(inputs[0])
        parts: dict[str, str] = {}
        if op.link and op.chown and needs_names(op.chown):
            # All that such a layer takes from its parent, and not more of it.
            parts["owner"] = self._owner(op, _parent(inputs))
        if op.unpack == "auto":
            # The same file from a URL stays the archive that it is.
            found = [number for number in _origins_of(op) if isinstance(inputs[number], ContextRef)]
            if found:
                parts["archives unpacked"] = ",".join(map(str, sorted(found)))
        return Identity(
            inputs=(parent, *(digests.get(number) for number in range(1, len(inputs)))),
            parts=parts,
            manifests={
                str(digest): self._manifest(vertex, op, inputs, number)
                for number, digest in digests.items()
            },
        )

    def _owner(self, op: CopyOp, parent: Snapshot | None) -> str:
        """Return the numbers that the names of `--chown` stand for."""
        if parent is None:
            owner = find_owner(op.chown, None)
        else:
            from buildkit.ops.lookups import of_owner, view_for  # few copies have such names

            with view_for(self._stores.snapshots, parent, of_owner(op.chown)) as view:
                owner = find_owner(op.chown, view)
        return f"{owner.uid}:{owner.gid}"

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

    def _identify_exec(self, op: ExecOp, inputs: Inputs) -> Identity:
        """A RUN depends on its parent and on what its mounts show, file by file."""
        shown: dict[int, dict[str, str]] = {}
        manifests: dict[str, Callable[[], bytes]] = {}
        for mount in op.mounts:
            if isinstance(mount, BindMount | CacheMount) and mount.origin:
                content = str(self._content(mount.origin, mount.source, inputs))
                shown.setdefault(mount.origin, {})[mount.source] = content
                manifests[content] = self._manifest_of(mount.origin, mount.source, inputs)
        rest = (shown.get(number) for number in range(1, len(inputs)))
        return Identity((_chain(inputs[0]), *rest), parts=self._marks(op), manifests=manifests)

    def _marks(self, op: ExecOp) -> dict[str, str]:
        """Return marks of the secrets that shall make a step run again, by name; mostly none."""
        names = {mount.id for mount in op.mounts if isinstance(mount, SecretMount)}
        sources = {
            name: source
            for name in sorted(names)
            if (source := self._grants.secrets.get(name)) is not None and source.rebuild
        }
        return {
            f"secret {name}": secrets.mark(self._stores.root, name, secrets.read(name, source))
            for name, source in sources.items()
        }

    def _manifest_of(self, number: int, source: str, inputs: Inputs) -> Callable[[], bytes]:
        """Return what lists, when a step is new, the files that a mount of `source` shows."""

        def read() -> bytes:
            with self._looking:
                origins = self._origins(inputs)
                try:
                    return shown_manifest(number, source, origins.tree(number))
                finally:
                    origins.close()

        return read

    def _content(self, number: int, source: str, inputs: Inputs) -> Digest:
        """Return the digest of what a mount of `source` in input `number` shows."""
        ref, spec = inputs[number], mount_spec(number, source)
        known = remembered.known(self._stores, ref, spec)
        if known is not None:
            return known
        with self._looking:
            origins = self._origins(inputs)
            try:
                found = shown_digest(number, source, origins.tree(number))
            finally:
                origins.close()
        if isinstance(ref, Snapshot):
            remembered.save(self._stores.root, [(ref.chain, spec, found)])
        return found

    def _selected(
        self, vertex: Vertex, op: CopyOp, inputs: Inputs
    ) -> tuple[Selection, Mapping[int, Tree]]:
        """Return what a copy takes, so that no look at a shared tree is left to be taken."""
        with self._looking:
            held = self._select(vertex, op, inputs)
            for root in held.selection.roots:
                held.selection.entries(root)
            return held.selection, held.origins.trees(_origins_of(op))

    def _origins(self, inputs: Inputs) -> Origins:
        return Origins(self._stores.root, self._stores.snapshots, self._contexts, inputs)


def _parent(inputs: Inputs) -> Snapshot | None:
    first = inputs[0] if inputs else None
    return first if isinstance(first, Snapshot) else None


def _chain(ref: Ref | None) -> str | None:
    return str(ref.chain) if isinstance(ref, Snapshot) else None


def _origins_of(op: CopyOp) -> set[int]:
    return {source.origin for source in op.sources if isinstance(source, CopySource)}
