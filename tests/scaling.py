"""Does work grow in proportion to what is given? Told by ratios, which hold on any machine."""

import gc
import time
from collections.abc import Callable

FACTOR = 4
"""How much more is given the second time."""

LIMIT = 9
"""How much longer it may take then: 4 is in proportion, 16 the square."""

NOISE = 0.02
"""Seconds that mean nothing."""

TRIES = 5
"""What grows with the square does so each time; what only had bad luck does not."""


def seconds(run: Callable[[], object], *, times: int = 3) -> float:
    """Return the least time of this process that `run` takes.

    Without the collector, whose time grows with what other tests have left in this process.
    """
    found = []
    for _ in range(times):
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            run()
            found.append(time.process_time() - start)
        finally:
            gc.enable()
    return min(found)


def assert_in_proportion(run: Callable[[int], object], size: int) -> None:
    """Fail if `run(size)` takes much more than `FACTOR` times what `run(size / FACTOR)` does."""
    told = []
    for _ in range(TRIES):
        less = seconds(lambda: run(size // FACTOR))
        more = seconds(lambda: run(size))
        if more < LIMIT * less + NOISE:
            return
        told.append(f"{less:.3f} s for a quarter, {more:.3f} s for all")
    raise AssertionError("\n".join(told))
