"""Trying again, bounded in number and in time. Guarantee R7."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from buildkit.registry.errors import RegistryError
from buildkit.registry.limits import Limits, pause
from buildkit.registry.watch import Watch

T = TypeVar("T")


class Tries:
    """Counts the failures of one piece of work, and pauses between its tries."""

    def __init__(self, limits: Limits, watch: Watch) -> None:
        self._limits = limits
        self._watch = watch
        self._failures = 0
        self._first = 0.0

    def failed(self, error: RegistryError) -> None:
        """Pause, so that the caller tries again; raise `error` when that is of no use any more.

        Raises Cancelled when the user does not want to wait.
        """
        now = time.monotonic()
        self._failures += 1
        if self._failures == 1:
            self._first = now
        if not error.temporary:
            raise error
        late = now - self._first >= self._limits.total
        if late or self._failures >= self._limits.tries:
            if self._failures > 1:
                error.message += f" (tried {self._failures} times)"
                error.args = (error.message,)
            raise error
        chance = os.urandom(1)[0] / 255
        self._watch.wait(pause(self._limits, self._failures, error.retry_after, chance))

    def succeeded(self) -> None:
        """Forget earlier failures: there was real progress since."""
        self._failures = 0


def retrying(work: Callable[[], T], limits: Limits, watch: Watch) -> T:
    """Do `work` until it succeeds. Raises what it last raised, Cancelled."""
    tries = Tries(limits, watch)
    while True:
        try:
            return work()
        except RegistryError as error:
            tries.failed(error)
