"""An exception at any line of a function, as the handler of a signal may raise one there."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """What the handler raises."""


def interrupted(work: Callable[[], object], file: str, *names: str) -> Iterator[int]:
    """Do `work` again and again, each time raising at a later line of the functions `names`.

    Yields the number of the line each time; ends when `work` does, uninterrupted.
    """
    passed = 0
    while True:
        line = _interrupted_at(work, file, names, passed)
        if line is None:
            return
        yield line
        passed += 1


def _interrupted_at(
    work: Callable[[], object], file: str, names: tuple[str, ...], passed: int
) -> int | None:
    left = passed
    reached: int | None = None

    def at_line(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left, reached
        if event == "line":
            if left == 0:
                reached = frame.f_lineno
                raise Interrupted
            left -= 1
        return at_line

    def at_call(frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        return at_line if code.co_filename == file and code.co_name in names else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        work()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return reached
