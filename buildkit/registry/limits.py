"""How long a registry is waited for, how often it is asked, how much is read. Guarantee R7.

`waits` is pure: the seconds between tries, exponential with jitter, capped.
"""

from __future__ import annotations

from runtime.values import NamedTuple

MAX_MANIFEST = 4 << 20
"""Bytes of a manifest or index, as registries limit them."""

MAX_CONFIG = 8 << 20
MAX_ANSWER = 1 << 20
"""Bytes of a token, an error or a list of tags."""


class Limits(NamedTuple):
    """Times in seconds.

    `connect`: to reach a host. `stall`: without a byte. `header`: until an answer begins;
    `commit`: the same where the registry first has to digest an upload. `floor` bytes must come
    in every `window`. At most `tries` of the same request, none begun later than `total` after
    the first of them failed. `delay` is the first pause, `longest` the longest, `patience` the
    longest a registry can ask for.
    """

    connect: float = 10.0
    stall: float = 30.0
    header: float = 60.0
    commit: float = 600.0
    window: float = 30.0
    floor: int = 1024
    tries: int = 5
    total: float = 180.0
    delay: float = 0.5
    longest: float = 20.0
    patience: float = 60.0


def pause(limits: Limits, failures: int, asked: float | None, chance: float) -> float:
    """Return the seconds to wait after so many `failures` in a row.

    `asked`: what Retry-After said. `chance`, from 0 to 1, is the jitter: half of the pause.
    """
    grown = min(limits.delay * 2.0 ** (failures - 1), limits.longest)
    own = grown * (0.5 + 0.5 * chance)
    return own if asked is None else min(max(asked, own), limits.patience)
