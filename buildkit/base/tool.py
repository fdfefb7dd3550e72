"""Running a bootstrap tool, and reading what it installed.

In: a command line. Out: its lines, passed on as they come; an error with the last of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from buildkit.errors import ImageError
from runtime import safepath

_TAIL = 12
_PATIENCE = 10.0
"""Seconds a tool gets to clean up after itself before it is killed."""


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    say: Callable[[str], None] | None,
    *,
    hint: Callable[[Sequence[str]], str],
) -> None:
    """Run `argv` to its end. Raises ImageError when it fails; ends it when interrupted.

    Each line goes to `say`; where there is no `say`, the error tells the last ones.
    """
    tail: deque[str] = deque(maxlen=_TAIL)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise ImageError(
            f"{argv[0]} cannot be started: {(error.strerror or '').lower()}"
        ) from error
    try:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
            if text:
                tail.append(text)
                if say is not None:
                    say(text)
        status = process.wait()
    finally:
        _end(process)
    if status:
        name = os.path.basename(argv[0])
        told = [] if say is not None else list(tail)
        message = "\n".join([f"{name} failed with status {status}", *told])
        raise ImageError(message, hint=hint(tuple(tail)))


def installed_packages(directory: str) -> tuple[str, ...]:
    """Return `NAME VERSION ARCHITECTURE` of each package that dpkg installed in the tree."""
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = safepath.open_beneath(root, "var/lib/dpkg/status", os.O_RDONLY)
    except FileNotFoundError:
        return ()
    finally:
        os.close(root)
    with open(fd, encoding="utf-8", errors="replace") as file:
        stanzas = file.read().split("\n\n")
    found = []
    for stanza in stanzas:
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if line[:1].isalpha() and ": " in line
        )
        if fields.get("Status", "").endswith(" installed"):
            found.append(
                " ".join(fields.get(key, "") for key in ("Package", "Version", "Architecture"))
            )
    return tuple(sorted(found))


def digest_of_list(lines: Sequence[str]) -> str:
    """Return the sha256 of `lines`, one a line."""
    text = "".join(f"{line}\n" for line in lines)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the tool and what it started is gone."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        # What is left of the group, the tool itself included.
        _signal(process, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
