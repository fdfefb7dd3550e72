"""What happens during a build, as values; who shows it is somebody else's affair.

Producers call `emit(event)`, from any thread; a display turns events into text. Times are
seconds since the epoch, sizes bytes. Text in events came from Dockerfiles, file names and
programs: a display escapes control characters (docs/security.md, S27).
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias


class StepStarted(NamedTuple):
    """Step number `number` (from 1, in order of the Dockerfile) begins; `name` as BuildKit's."""

    number: int
    name: str
    time: float


class StepCached(NamedTuple):
    """The step was found in the cache."""

    number: int
    name: str


class StepMissed(NamedTuple):
    """The step has to run; `why` names the cause (`why: src/a.py changed`)."""

    number: int
    name: str
    why: str


class StepLog(NamedTuple):
    """Output of a running step; `seconds` since it started, `stream` 1 or 2."""

    number: int
    data: bytes
    seconds: float
    stream: int


class StepDone(NamedTuple):
    """The step ended well after `seconds`; `note` may say more (`same content as before`)."""

    number: int
    name: str
    seconds: float
    note: str = ""


class StepFailed(NamedTuple):
    """The step failed with `message`, or was cancelled (`cancelled` true)."""

    number: int
    name: str
    seconds: float
    message: str
    cancelled: bool = False


class Moved(NamedTuple):
    """`done` of `total` bytes of `what` (a blob, an archive) are through; total 0: unknown."""

    what: str
    done: int
    total: int


class Warned(NamedTuple):
    """Something the user should know; `place` is `FILE:LINE` or empty."""

    message: str
    place: str = ""


class Note(NamedTuple):
    """An internal act worth a line: a base resolved, an image named, an archive written."""

    message: str


Event: TypeAlias = (
    StepStarted | StepCached | StepMissed | StepLog | StepDone | StepFailed | Moved | Warned | Note
)
Emit: TypeAlias = "Callable[[Event], None]"
