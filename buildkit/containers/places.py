"""Where a container is on its network: the values of `--ip`, `--mac-address`, `--network-alias`.

In: their texts. Out: a `Place`, or UsageError. Imported where one of them is given. Source:
podman-run(1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildkit.errors import UsageError
from runtime.container import Place

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"


def place_of(address: str, mac: str) -> Place:
    """Return the place that the options mean."""
    if address and not re.fullmatch(rf"{_BYTE}(?:\.{_BYTE}){{3}}", address):
        raise UsageError(f"--ip {address}: no IPv4 address", hint="as in 10.87.0.9")
    plain = mac.lower().replace("-", ":")
    if mac and not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){5}", plain):
        raise UsageError(f"--mac-address {mac}: no MAC address", hint="as in 02:42:0a:57:00:09")
    # The lowest bit of the first byte is for groups of receivers.
    if mac and int(plain[:2], 16) & 1:
        raise UsageError(f"--mac-address {mac} is one of a group", hint="as in 02:42:0a:57:00:09")
    return Place(address, plain)


def aliases_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the further names of a container."""
    for text in texts:
        if not re.fullmatch(_NAME, text):
            raise UsageError(
                f"--network-alias {text!r} is no host name", hint="as in db or api.internal"
            )
    return tuple(texts)
