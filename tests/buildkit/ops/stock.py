"""Stores, contexts and ops for tests of operations."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from buildkit.cache.local import LocalCacheStore
from buildkit.context.tree import Tree
from buildkit.llb.graph import Vertex
from buildkit.llb.op import CopyOp, CopySource, ExecMount, ExecOp, Op
from buildkit.ops.stores import Stores
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.root import StateRoot
from tests.trees import make_tree, read_tree


class Directories:
    """Contexts that are plain directories. Each `tree` that is asked for is counted in `asked`."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._open: dict[str, Tree] = {}
        self.asked: list[str] = []

    def tree(self, name: str) -> Tree:
        self.asked.append(name)
        known = self._open.get(name)
        if known is None:
            fd = os.open(self._paths[name], os.O_RDONLY | os.O_DIRECTORY)
            known = self._open[name] = Tree(fd, name, special=False)
        return known

    def close(self) -> None:
        for tree in self._open.values():
            tree.close()
            os.close(tree.root_fd)
        self._open.clear()


@contextmanager
def stores_at(path: Path) -> Iterator[Stores]:
    """Give stores on a new state root."""
    with StateRoot.open(str(path)) as root:
        snapshots = OverlayStore(root)
        try:
            yield Stores(root, snapshots, LocalCacheStore(root))
        finally:
            snapshots.close()


def layer(stores: Stores, *lines: str, parent: Snapshot | None = None) -> Snapshot:
    """Commit a tree's description as a layer on `parent`."""
    active = stores.snapshots.prepare(parent)
    make_tree(Path(active.upper), *lines)
    return stores.snapshots.commit(active).snapshot


def told(stores: Stores, snapshot: Snapshot) -> list[str]:
    """Return the merged tree of a snapshot as text."""
    with stores.snapshots.view(snapshot) as fd:
        return read_tree(Path(f"/proc/self/fd/{fd}/."))


def copy(*paths: str, dest: str = "/", origin: int = 1, **fields: object) -> CopyOp:
    """Return a COPY of `paths`."""
    op = CopyOp(
        sources=tuple(CopySource(origin, path) for path in paths),
        dest=dest,
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    )
    return op._replace(**fields)  # type: ignore[arg-type]


def run(*args: str, mounts: tuple[ExecMount, ...] = (), **fields: object) -> ExecOp:
    """Return a RUN of `args`."""
    op = ExecOp(
        args=args,
        env=(),
        cwd="/",
        user="",
        network="none",
        security="sandbox",
        mounts=mounts,
        platform="linux/amd64",
        hostname="build",
    )
    return op._replace(**fields)  # type: ignore[arg-type]


def vertex(op: Op, inputs: int = 2) -> Vertex:
    """Return a vertex that does `op`."""
    return Vertex(
        id=repr(op),
        op=op,
        inputs=(None,) * inputs,
        label="[1/1] a step",
        lines=(1, 1),
        stage="stage-0",
        number=1,
    )
