"""Cache keys: what decides whether a result can be reused, as a document and its sha256.

In: an op and what identifies its inputs. Out: a canonical, versioned JSON document, and the key,
which is the sha256 of its bytes. The document is kept with every record (decision 2 of
ARCHITECTURE.md), so that two of them can be compared and a miss can say why.
Guarantees S26 (no secret is in it) and S30 (unambiguous).

Every field of an op is in the document, a new one by itself; what is left out stands in `LEFT_OUT`
with its reason. An environment is a mapping, so its order is not in the key, and whoever runs a
step sets it sorted by name.
"""

from __future__ import annotations

from json import JSONEncoder
from types import MappingProxyType

from buildkit.llb import op as ops
from buildkit.oci.digest import sha256_of
from runtime.typed import NewType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from buildkit.cache.result import InputIdentity, Json


KEY_VERSION = 1
"""Raise it when a document of the same text would no longer mean the same result."""

CacheKey = NewType("CacheKey", str)
"""64 hex digits."""

TYPES: Mapping[type[tuple[Any, ...]], str] = {
    ops.ImageOp: "image",
    ops.ContextOp: "context",
    ops.HttpOp: "http",
    ops.GitOp: "git",
    ops.CopyOp: "copy",
    ops.MkdirOp: "mkdir",
    ops.ExecOp: "exec",
    ops.CopySource: "source",
    ops.InlineFile: "inline",
    ops.BindMount: "bind",
    ops.CacheMount: "cache",
    ops.TmpfsMount: "tmpfs",
    ops.SecretMount: "secret",
    ops.SshMount: "ssh",
}
"""What a value is called in a document; the names are part of the format."""

LEFT_OUT: Mapping[type[tuple[Any, ...]], frozenset[str]] = {
    ops.ExecOp: frozenset(
        {
            "proxy",  # how the network is reached, not what comes from it
            "shm_size",  # a limit
            "ulimits",  # limits
        }
    ),
}
"""Fields that may change without the result changing, and so without the key changing."""

_encode: Callable[[object], str] = JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


def key_document(
    op: ops.Op, inputs: Sequence[InputIdentity], parts: Mapping[str, Json] = MappingProxyType({})
) -> str:
    """Return the canonical document of `op` on `inputs`, with further facts in `parts`."""
    return _encode(
        {
            "version": KEY_VERSION,
            "op": _value(op),
            "inputs": [one if one is None or isinstance(one, str) else dict(one) for one in inputs],
            "parts": dict(parts),
        }
    )


def cache_key(document: str) -> CacheKey:
    """Return the key of `document`."""
    return CacheKey(sha256_of(document.encode("ascii")).hexdigest())


def _value(value: tuple[Any, ...]) -> dict[str, object]:
    """Return a named tuple of `buildkit.llb.op` as a JSON object."""
    kind = type(value)
    fields: dict[str, object] = dict(
        zip(kind._fields, map(_item, value), strict=True)  # type: ignore[attr-defined]
    )
    for name in LEFT_OUT.get(kind, ()):
        del fields[name]
    fields["type"] = TYPES[kind]
    if isinstance(value, ops.ExecOp):
        fields["env"] = sorted(value.env, key=_name)  # of equal names the last one counts
        # Only the names: an address is a matter of the network of the day.
        fields["extra_hosts"] = sorted(name for name, _ in value.extra_hosts)
    elif isinstance(value, ops.HttpOp | ops.GitOp):
        # A password is no part of what it opens, and never part of a key (S26).
        from grammar.urls import redacted  # for these ops only

        place = "url" if isinstance(value, ops.HttpOp) else "remote"
        fields[place] = redacted(str(fields[place]))
    return fields


def _name(pair: tuple[str, str]) -> str:
    return pair[0]


def _item(item: object) -> object:
    """Return a field: named tuples become objects, other tuples lists of such."""
    kind = type(item)
    if kind is tuple:
        return [_item(one) for one in item]  # type: ignore[attr-defined]
    if kind in TYPES:
        return _value(item)  # type: ignore[arg-type]
    return item
