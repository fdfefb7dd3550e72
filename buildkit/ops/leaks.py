"""Secrets that got where they must not be: into a new layer (guarantee S26).

In: the secrets of a build; a layer while it is packed, so that nothing is read twice. Out:
StepError with the path and the ID of the secret, never its value, before anything of the layer is
kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildkit.errors import BuildError, StepError
from buildkit.ops import secrets
from buildkit.ops.secret_forms import Search
from buildkit.ops.secrets import SecretSource
from buildkit.tree.entry import Entry, text

HINT = (
    "a secret belongs in RUN --mount=type=secret alone; "
    "--no-secret-search builds the image all the same"
)


def values_of(sources: Mapping[str, SecretSource]) -> dict[str, bytes]:
    """Return the values of secrets by ID; one that cannot be read is nowhere."""
    found = {}
    for name, source in sources.items():
        try:
            found[name] = secrets.read(name, source)
        except BuildError:
            continue  # who wants it says so
    return found


class LeakWatch:
    """A `Watch` of a snapshot store for one layer, which it lets nothing secret into."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._search = Search(values)
        self._path = b""

    def entry(self, entry: Entry) -> None:
        """See `Watch`: names, targets of links and attributes are searched at once."""
        self._path = entry.path
        words = [entry.path, entry.target, *(value for _, value in entry.xattrs)]
        if (found := self._search.once(b"\0".join(words))) is not None:
            # The path may be what must not be shown.
            where = "a name" if self._search.once(entry.path) else f"/{text(entry.path)}"
            raise _leak(found, where)
        self._search.start()

    def content(self, data: bytes, /) -> None:
        """See `Watch`."""
        if (found := self._search.feed(data)) is not None:
            raise _leak(found, f"/{text(self._path)}")


def _leak(name: str, where: str) -> StepError:
    return StepError(f"secret {name} is in the layer of this step: {where}", hint=HINT)
