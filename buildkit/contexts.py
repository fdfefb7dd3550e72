"""The build contexts of one build, by name, and the Dockerfile that comes with them.

In: paths. Out: open contexts, whose trees the ops share; the text of the Dockerfile.
"""

import os
import sys
from collections.abc import Mapping

from buildkit.context.local import LocalContext
from buildkit.context.tree import Tree
from buildkit.errors import ContextError, DefinitionError
from buildkit.state.root import StateRoot
from grammar.source import Source

MAIN = "context"
NAMES = ("Dockerfile", "Containerfile", "dockerfile")
"""What a Dockerfile is called when nobody says so, in order of preference."""

_LIMIT = 16 << 20


class BuildContexts:
    """Opens a context when it is first asked for. `close` it when the build is over.

    `plain_modes`: files are 0755 or 0644, as git has them, whatever the disk says.
    """

    def __init__(
        self,
        root: StateRoot,
        main: str,
        dockerfile: str | None,
        named: Mapping[str, str],
        *,
        plain_modes: bool = False,
    ) -> None:
        self._root = root
        self._paths = {MAIN: main, **named}
        self._dockerfile = dockerfile
        self._plain_modes = plain_modes
        self._open: dict[str, LocalContext] = {}

    def tree(self, name: str) -> Tree:
        """Return the tree of context `name`. Raises ContextError."""
        return self.context(name).tree

    def context(self, name: str) -> LocalContext:
        """Return the open context `name`. Raises ContextError."""
        known = self._open.get(name)
        if known is None:
            path = self._paths[name]
            dockerfile = self._dockerfile if name == MAIN else None
            context = LocalContext.open(
                path,
                dockerfile=dockerfile,
                name="context" if name == MAIN else f"context {name}",
                memory_folder=self._root.path("contexts"),
                plain_modes=self._plain_modes,
            )
            known = self._open[name] = context
        return known

    def save(self) -> None:
        """Remember what was read, for the next build."""
        for context in self._open.values():
            context.tree.save()

    def close(self) -> None:
        """Close what is open."""
        for context in self._open.values():
            context.close()
        self._open.clear()


def find_dockerfile(context: str, named: str | None) -> tuple[str | None, Source]:
    """Return the path of the Dockerfile (None: standard input) and its text.

    Raises DefinitionError when there is none, ContextError when the context is none.
    """
    if named == "-":
        return None, Source.decode("-", sys.stdin.buffer.read(_LIMIT))
    if named is not None:
        return named, _read(named)
    if not os.path.isdir(context):
        what = "is not a directory" if os.path.lexists(context) else "not found"
        raise ContextError(f'unable to prepare context: path "{context}" {what}')
    for name in NAMES:
        path = os.path.join(context, name)
        if os.path.exists(path):
            return path, _read(path)._replace(path=name)
    raise DefinitionError(
        "failed to read dockerfile: open Dockerfile: no such file or directory",
        hint=f"there is none in {context}; name one with -f",
    )


def _read(path: str) -> Source:
    try:
        with open(path, "rb") as file:
            return Source.decode(path, file.read(_LIMIT))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DefinitionError(f"failed to read dockerfile: open {path}: {reason}") from error
