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


def seconds(run: Callable[[], object], *, times: int = 3) -> float:
    """Return the least time of this process that `run` takes."""
    found = []
    for _ in range(times):
        gc.collect()
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def assert_in_proportion(run: Callable[[int], object], size: int) -> None:
    """Fail if `run(size)` takes much more than `FACTOR` times what `run(size / FACTOR)` does."""
    less = seconds(lambda: run(size // FACTOR))
    more = seconds(lambda: run(size))
    assert more < LIMIT * less + NOISE, f"{less:.3f} s for a quarter, {more:.3f} s for all"
