"""Whether a container that has ended is started again, and when. Pure.

Source: docker's restart policies.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.container import Restart

_SHORTEST = 0.1
_LONGEST = 60.0
_LONG_ENOUGH = 10.0


def wanted(restart: Restart, code: int, restarts: int, *, stopped: bool) -> bool:
    """Say whether to start again; `stopped`: the user has ended it."""
    if stopped or restart.policy == "no":
        return False
    if restart.policy == "on-failure":
        return code != 0 and (not restart.tries or restarts < restart.tries)
    return True


def delay(before: float, lasted: float) -> float:
    """Return the seconds to wait, where the last wait was `before` and the last run `lasted`."""
    if lasted >= _LONG_ENOUGH or not before:
        return _SHORTEST
    return min(before * 2, _LONGEST)
