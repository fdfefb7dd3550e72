"""What can go wrong in a build, as exceptions.

    BuildError                    base: message, hint, exit code
    ├── UsageError                the command line asks for something impossible         (2)
    ├── DefinitionError           the Dockerfile is at fault, with a place in it         (2)
    ├── StepError                 a step failed, with its place and the tail of its log  (1)
    ├── StoreError                the state root is damaged, full, foreign or read-only  (1)
    ├── ContextError              the build context is missing or moved while it was read (1)
    ├── ImageError                an image, archive or document is not what it says      (1)
    └── Cancelled                 a signal came in                                       (128+n)

Messages say what is the case, in lower case and without a full stop; hints say what to do next.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class BuildError(Exception):
    """`message` says what is the case, `hint` what to do next (may be empty).

    `lines` are the first and last line of the instruction that is meant (1-based, inclusive), None
    when no single place is; `excerpt` is their text, where somebody knows it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, lines: tuple[int, int] | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = lines
        self.excerpt = ""


class UsageError(BuildError):
    """The command line asks for something impossible."""

    exit_code = 2


class DefinitionError(BuildError):
    """The Dockerfile is at fault."""

    exit_code = 2


class StepError(BuildError):
    """A step failed; `log` is the tail of what it printed."""

    def __init__(
        self,
        message: str,
        *,
        step: str = "",
        lines: tuple[int, int] | None = None,
        log: tuple[str, ...] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, lines=lines, hint=hint)
        self.step = step
        self.log = log


class StoreError(BuildError):
    """The state root is damaged, full, foreign or read-only."""


def is_read_only(error: StoreError) -> bool:
    """Say whether the file system of a state root is read-only, which is why `error` came."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS


def disk_error(error: OSError, path: str) -> StoreError:
    """Return what to tell the user about `error`, which happened at or below `path`."""
    where = path
    if isinstance(error.filename, (str, bytes)) and os.fsdecode(error.filename).startswith("/"):
        where = os.fsdecode(error.filename)
    hints = {
        errno.ENOSPC: "free some space, for example with pybuild prune",
        errno.EDQUOT: "free some space, for example with pybuild prune",
        errno.EROFS: "this state root can only be looked at; --root or PYBUILD_ROOT names another",
        errno.EACCES: "is the state root this user's? --root names another one",
        errno.EPERM: "is the state root this user's? --root names another one",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
    message = (error.strerror or str(error)).lower()
    return StoreError(f"{where}: {message}", hint=hints.get(error.errno or 0, ""))


class ContextError(BuildError):
    """The build context is missing, unreadable, or moved while it was read."""


class ImageError(BuildError):
    """An image, an archive or a document is missing or not what it says."""


class Cancelled(BuildError):  # noqa: N818 - not an error of anyone: the user asked for it
    """A signal came in; `signal` is its number."""

    def __init__(self, signal: int) -> None:
        super().__init__("cancelled")
        self.signal = signal
