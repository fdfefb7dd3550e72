"""Key documents read back: the op that one was made from.

In: the text of a document, which may be damaged. Out: an op, without the fields that no key has
(`key.LEFT_OUT`, and the addresses of extra hosts), which have their defaults. The other way:
`buildkit.cache.key`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from buildkit.cache.key import TYPES
from buildkit.llb import op as ops
from buildkit.oci.digest import Digest
from runtime.typed import get_args

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_CLASSES: Mapping[str, type[tuple[Any, ...]]] = {name: kind for kind, name in TYPES.items()}
_OPS = get_args(ops.Op)


def op_of(document: str) -> ops.Op:
    """Return the op of a key document. Raises ValueError when there is none in it."""
    try:
        fields = dict(json.loads(document)["op"])
        if fields["type"] == "exec":
            fields.pop("extra_hosts")  # names without their addresses
        op = _value(fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a key document") from error
    if not isinstance(op, _OPS):
        raise ValueError(f"{type(op).__name__} is no op")
    return op  # type: ignore[no-any-return]


def _value(fields: Mapping[str, Any]) -> object:
    given = {name: _item(value) for name, value in fields.items() if name != "type"}
    value = _CLASSES[fields["type"]](**given)
    match value:
        case ops.ImageOp():
            layers = tuple(map(Digest.parse, value.diff_ids))
            return value._replace(config=Digest.parse(value.config), diff_ids=layers)
        case ops.HttpOp(checksum=str(checksum)):
            return value._replace(checksum=Digest.parse(checksum))
        case _:
            return value


def _item(value: Any) -> object:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return _value(value)
    if isinstance(value, list):
        return tuple(map(_item, value))
    return value
