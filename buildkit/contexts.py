"""The build contexts of one build, by name.

In: directories. Out: open contexts, whose trees the ops share.
"""

from __future__ import annotations

from buildkit.context.glob import has_wildcards
from buildkit.context.local import LocalContext
from buildkit.llb.op import BindMount, CacheMount, ContextOp, CopyOp, CopySource, ExecOp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildkit.context.tree import Tree
    from buildkit.llb.graph import Graph, Vertex
    from buildkit.main_context import Main
    from buildkit.state.root import StateRoot


MAIN = "context"


class BuildContexts:
    """Opens a context when it is first asked for. `close` it when the build is over.

    `named`: the directories of the named ones. `plain_modes`: files are 0755 or 0644, as git has
    them, whatever the disk says.
    """

    def __init__(
        self, root: StateRoot, main: Main, named: Mapping[str, str], *, plain_modes: bool = False
    ) -> None:
        self._root = root
        self._main = main
        self._named = named
        self._plain_modes = plain_modes
        self._open: dict[str, LocalContext] = {}

    def tree(self, name: str) -> Tree:
        """Return the tree of context `name`. Raises ContextError."""
        return self.context(name).tree

    def context(self, name: str) -> LocalContext:
        """Return the open context `name`. Raises ContextError."""
        known = self._open.get(name)
        if known is None:
            known = self._open[name] = self._opened(name)
        return known

    def prefetch(self, graph: Graph) -> None:
        """Look at what the steps of `graph` take from contexts, with all processors.

        To be called before the first thread: it pays for big contexts, and does for small ones what
        the steps would do.
        """
        wanted: dict[str, list[str]] = {}
        for vertex in graph:
            for number, path in _taken(vertex):
                source = vertex.inputs[number]
                op = None if source is None else graph[source].op
                # A wildcard at the top may be for a few of very many files.
                if isinstance(op, ContextOp) and not has_wildcards(path):
                    wanted.setdefault(op.name, []).append(path)
        for name, paths in wanted.items():
            self.context(name).prefetch(paths)

    def save(self) -> None:
        """Remember what was read, for the next build."""
        for context in self._open.values():
            context.tree.save()

    def close(self) -> None:
        """Close what is open."""
        for context in self._open.values():
            context.close()
        self._open.clear()

    def _opened(self, name: str) -> LocalContext:
        memory = self._root.path("contexts")
        if name != MAIN:
            return LocalContext.open(
                self._named[name],
                name=f"context {name}",
                memory_folder=memory,
                plain_modes=self._plain_modes,
                git_modes=self._git_modes(self._named[name]),
            )
        main = self._main
        context = LocalContext.open(
            main.directory,
            dockerfile=main.dockerfile,
            # What was unpacked for this build will not be there for the next.
            memory_folder=memory if main.kept else None,
            plain_modes=self._plain_modes,
            # Nor is that the directory that git knows.
            git_modes=self._git_modes(main.directory) if main.kept else None,
            ignore=main.kept,
        )
        context.tree.place = main.context_name
        return context

    def _git_modes(self, directory: str) -> Mapping[bytes, int] | None:
        if not self._plain_modes:
            return None
        from buildkit.context.git_index import read_modes  # for this option only

        return read_modes(directory)


def _taken(vertex: Vertex) -> Iterator[tuple[int, str]]:
    """Yield what a step takes from its inputs: the input's number, and a path in it."""
    match vertex.op:
        case CopyOp(sources=sources):
            for source in sources:
                if isinstance(source, CopySource):
                    yield source.origin, source.path
        case ExecOp(mounts=mounts):
            for mount in mounts:
                if isinstance(mount, BindMount | CacheMount) and mount.origin:
                    yield mount.origin, mount.source
        case _:
            return
