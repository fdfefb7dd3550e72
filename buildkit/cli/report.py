"""How an error is told: the text on standard error and the exit status.

In: the exception that ended a command. Out: text and status. Text that came from Dockerfiles,
registries or file names has its control characters escaped (guarantee S27).
"""

from __future__ import annotations

import errno
import os
import time

from buildkit.cli.standard import STDOUT
from buildkit.errors import BuildError, Cancelled, ContextError, DefinitionError, StepError
from buildkit.progress.escape import visible

_NO_THREAD = "can't start new thread"
"""What Python says of a limit, without an error number."""


def describe(error: BaseException, *, run: bool = False) -> tuple[int, str]:
    """Return exit status and message for `error`; `run`: own faults are 125, as with docker run."""
    if isinstance(error, Cancelled):
        return 128 + error.signal, "ERROR: cancelled\n"
    if isinstance(error, KeyboardInterrupt):
        return 130, "ERROR: cancelled\n"
    if isinstance(error, BuildError):
        status = 125 if run else error.exit_code
        return status, _build_error(error)
    if type(error).__module__ in ("grammar.errors", "runtime.errors"):  # told without loading them
        return (125 if run else 1), _message(str(error), getattr(error, "hint", "") or "")
    if isinstance(error, OSError):
        return (125 if run else 1), _os_error(error)
    if isinstance(error, ModuleNotFoundError) and _is_foreign(error.name or ""):
        return 125, _message(
            f"the Python module {error.name}, which pybuild needs, is not installed",
            "install pybuild with pip, which installs what it needs too",
        )
    if isinstance(error, OverflowError) and _is_past_all_clocks():
        return (125 if run else 1), _message(
            "the clock of this machine is past the year 2262, the last that Python can tell",
            "set the clock",
        )
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return (125 if run else 1), _message(
            "no further thread can be started", "raise the limit of processes (ulimit -u)"
        )
    if isinstance(error, MemoryError):
        return 125, _message("out of memory", "")
    return 125, _internal(error)


def _is_past_all_clocks() -> bool:
    """Say whether no time can be told: Python counts nanoseconds in 64 bits (pytime.h)."""
    try:
        time.time()
    except OverflowError:
        return True
    return False


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in ("", "buildkit", "grammar", "runtime")


def _build_error(error: BuildError) -> str:
    """Return the message of one of our own errors, with the log's tail and the excerpt if any."""
    head = ""
    if isinstance(error, StepError) and error.log:
        log = "".join(f"{visible(line)}\n" for line in error.log)
        head = f"------\n > {visible(error.step)}:\n{log}------\n"
    prefix = ""
    if isinstance(error, StepError | DefinitionError | ContextError):
        prefix = "failed to build: failed to solve: "  # the words that log scrapers know
    return head + error.excerpt + _message(prefix + error.message, error.hint)


def _message(message: str, hint: str) -> str:
    if "://" in message:
        from grammar.urls import redacted  # few messages have a URL

        message = redacted(message)
    if not hint and "too many open files" in message.lower():  # whoever has said so
        hint = "raise the limit of open files (ulimit -n)"
    text = f"ERROR: {visible(message, keep_newlines=True)}\n"
    return text + (f"hint: {visible(hint, keep_newlines=True)}\n" if hint else "")


def _os_error(error: OSError) -> str:
    """Return what the kernel said, with the path it said it of, and what helps against it."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.filename == STDOUT:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space, or redirect it elsewhere" if full else ""
        return _message(f"{STDOUT} cannot be written: {reason.lower()}", hint)
    # It may also be the number of a descriptor, which tells nobody anything.
    named = isinstance(error.filename, str | bytes)
    place = f"{os.fsdecode(error.filename)}: " if named else ""
    hints = {
        errno.ENOSPC: "free some space ('pybuild prune' removes what nothing uses) and try again",
        errno.EDQUOT: "the disk quota is used up; 'pybuild prune' removes what nothing uses",
        errno.EROFS: "the file system is read-only; give a writable place with --root DIR",
        errno.EACCES: "this user may not; another place can be given with --root DIR",
    }
    return _message(f"{place}{reason.lower()}", hints.get(error.errno or 0, ""))


def _internal(error: BaseException) -> str:
    """Return a short account of a fault of pybuild; the traceback only when asked for."""
    if os.environ.get("PYBUILD_TRACEBACK"):
        import traceback  # only for a fault of ours

        return "".join(traceback.format_exception(error))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        code = trace.tb_frame.f_code
        place = f" at {os.path.basename(code.co_filename)}:{trace.tb_lineno}"
    return _message(
        f"internal fault: {type(error).__name__}: {error}{place}",
        "this is a defect of pybuild; PYBUILD_TRACEBACK=1 shows where",
    )
