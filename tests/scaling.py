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

TIMES = 3
"""Measurements of which the least counts."""

TRIES = 5
"""What grows with the square does so each time; what only had bad luck does not."""


def seconds(run: Callable[[], object]) -> float:
    """Return the time of this process that `run` takes.

    Without the collector, whose time grows with what other tests have left in this process.
    """
    gc.disable()
    try:
        start = time.process_time()
        run()
        return time.process_time() - start
    finally:
        gc.enable()


def assert_in_proportion(run: Callable[[int], object], size: int, tries: int = TRIES) -> None:
    """Fail if `run(size)` takes much more than `FACTOR` times what `run(size / FACTOR)` does.

    What is found to be quick enough once is: bad luck makes it slower and never quicker. So the
    quarter, which must not be taken for slower than it is, is measured several times.
    """
    more = seconds(lambda: run(size))
    if more < NOISE:
        return
    told = []
    for _ in range(tries):
        less = min(seconds(lambda: run(size // FACTOR)) for _ in range(TIMES))
        for _ in range(TIMES):
            if more < LIMIT * less + NOISE:
                return
            more = min(more, seconds(lambda: run(size)))
        told.append(f"{less:.3f} s for a quarter, {more:.3f} s for all")
    raise AssertionError("\n".join(told))
