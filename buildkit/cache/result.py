"""What goes between the solver and the operations, as values.

The solver asks an operation what a vertex depends on (`Identity`), and, when that was never done
before, to do it (`Outcome`). What a vertex results in is a `Ref`: names of content, never paths of
this machine, so that another machine can be meant as well.
"""

from __future__ import annotations

from types import MappingProxyType

from buildkit.snapshot.snapshot import Snapshot
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from buildkit.oci.digest import Digest, Fingerprint


Json: TypeAlias = "bool | int | str | Sequence['Json'] | Mapping[str, 'Json'] | None"
"""What a key document may hold. No floats: their text is not canonical."""

InputIdentity: TypeAlias = "str | Mapping[str, str] | None"
"""What an input contributes to a key: the chain ID of a whole file system, the digest of what was
selected from it, a digest for each path of it that matters, or nothing (None)."""

_NOTHING: Mapping[str, Json] = MappingProxyType({})
_NO_MANIFESTS: Mapping[str, Callable[[], bytes]] = MappingProxyType({})


class ContextRef(NamedTuple):
    """A build context as the result of a `ContextOp`; it has no content identity of its own."""

    name: str


Ref: TypeAlias = Snapshot | ContextRef
"""What a vertex results in."""


class Identity(NamedTuple):
    """Everything besides its op that decides what a vertex results in.

    `inputs`: one entry for each input of the vertex. `parts`: further facts by name (a resolved
    commit, the digest of /etc/passwd). `manifests`: for a digest in `inputs`, a function that
    gives the per-file manifest (`buildkit.cache.manifest`); it is called only when the step is new.
    `known`: the result, when it needs neither cache nor run (an image whose layers can be had, a
    context); the key is then only recorded, to be compared with the next build's.
    """

    inputs: tuple[InputIdentity, ...]
    parts: Mapping[str, Json] = _NOTHING
    manifests: Mapping[str, Callable[[], bytes]] = _NO_MANIFESTS
    known: Ref | None = None


class Usage(NamedTuple):
    """What a step took: CPU in seconds, peak memory and I/O in bytes; 0 where it is not known."""

    cpu: float = 0.0
    memory: int = 0
    read: int = 0
    written: int = 0


class Outcome(NamedTuple):
    """What running a vertex gave.

    `diff_id` None: nothing to be remembered (an image was fetched); else it is the layer on top of
    input 0 (of nothing for a source). `created`: RFC 3339, becomes the time in the history; with
    `reused` (early cutoff) that of the earlier result. `fingerprint`: of the layer's content, None
    where no early cutoff is wanted. `listing`: the layer's changes, a JSON list
    `[path, kind, size]` a line. `note` is shown to the user.
    """

    ref: Ref
    diff_id: Digest | None = None
    created: str = ""
    fingerprint: Fingerprint | None = None
    reused: bool = False
    usage: Usage = Usage()
    note: str = ""
    listing: bytes = b""
