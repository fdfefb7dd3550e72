"""The same work on several things at once, in threads, that ends early when one of them fails.

In: a function and its inputs. Out: the results in order. The libraries that compress and hash let
go of the interpreter, so threads are enough. A signal that comes while the caller waits, or a
failure of one, stops the others within a block of bytes (docs/security.md, R8).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from runtime.typed import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


_In = TypeVar("_In")
_Out = TypeVar("_Out")

Check: TypeAlias = Callable[[], None]
"""To be called now and then by long work; raises when the work is not wanted any more."""


class _Stopped(Exception):  # noqa: N818 - nobody sees it: what stopped the work is raised
    """Ends work that is not wanted any more."""


def in_parallel(
    work: Callable[[_In, Check], _Out], items: Sequence[_In], *, at_once: int = 0
) -> list[_Out]:
    """Return `work` of each item, `at_once` of them (0: as many as there are processors).

    Raises what the first to fail raised.
    """
    if len(items) < 2:
        return [work(item, unchecked) for item in items]
    # `logging` comes along, 5 ms that one item alone does not cost.
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise _Stopped

    with ThreadPoolExecutor(min(len(items), at_once or os.cpu_count() or 1)) as pool:
        futures = [pool.submit(work, item, check) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def unchecked() -> None:
    """Let the work go on: it runs in the thread in which signals arrive."""
