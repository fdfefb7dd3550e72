"""However pybuild is called, the same image comes out."""

import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.callers import Caller

DOCKERFILE = """
FROM busybox
COPY . /c/
RUN umask > /umask; ulimit -Sc > /core; id > /id; env | sort > /env
"""
FIXED = {"SOURCE_DATE_EPOCH": "1000000000"}


class Manner(NamedTuple):
    """How pybuild is called: by shell words in front of it, with variables and so on."""

    before: str = ""
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


MANNERS = {
    "closed input": Manner('exec "$@" <&-'),
    "closed output": Manner('exec "$@" >&-'),
    "closed errors": Manner('exec "$@" 2>&-'),
    "everything closed": Manner('exec "$@" <&- >&- 2>&-'),
    "a full output": Manner('exec "$@" > /dev/full'),
    "descriptors left open": Manner('exec "$@" 5</etc/passwd 9>/dev/null'),
    "an empty environment": Manner(
        'exec env -i PYBUILD_ROOT="$PYBUILD_ROOT" SOURCE_DATE_EPOCH=1000000000 "$@"'
    ),
    "few open files": Manner('ulimit -n 100; exec "$@"'),
    "a narrow umask": Manner('umask 0777; exec "$@"'),
    "low priority": Manner('exec nice -n 19 "$@"'),
    "ignored signals": Manner('trap "" INT QUIT PIPE USR1 CHLD; exec "$@"'),
    "a directory that is gone": Manner('mkdir gone; cd gone; rmdir ../gone; exec "$@"'),
    "another language": Manner(environment={"LC_ALL": "C", "LANGUAGE": "tr", "TZ": "Asia/Tokyo"}),
    "ASCII for Python": Manner(environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}),
    "Python at its strictest": Manner(
        environment={"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}
    ),
    "Python elsewhere": Manner(
        environment={"PYTHONPATH": "/nowhere:.", "PYTHONSTARTUP": "/etc/passwd"}
    ),
    "Python that stays": Manner(environment={"PYTHONINSPECT": "1", "PYTHONUNBUFFERED": "1"}),
    "Python without bytecode": Manner(environment={"PYTHONDONTWRITEBYTECODE": "1"}),
    "no place for temporary files": Manner(environment={"TMPDIR": "/nowhere", "HOME": "/nowhere"}),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_the_image_is_the_same(as_root: Caller, manner: str, wanted: str) -> None:
    how = MANNERS[manner]
    program = as_root.fresh(FIXED)
    words = [*program.words, "build", "-q", "-t", "test", str(context_of(as_root))]
    done = subprocess.run(
        ["sh", "-c", how.before or 'exec "$@"', "sh", *words],
        env={**program.environment, **how.environment},
        cwd=program.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    assert b"Traceback" not in done.stderr
    assert program.inspect("test")["Id"] == wanted, done


@pytest.fixture(scope="module")
def wanted(as_root: Caller) -> str:
    """The image that comes out of an ordinary call."""
    program = as_root.fresh(FIXED)
    program.build(context_of(as_root)).ok()
    return str(program.inspect("test")["Id"])


def context_of(caller: Caller) -> Path:
    """Return the context, whose times are always the same."""
    path = caller.top / "environments"
    if not path.exists():
        caller.tree(path, "file ünï text=1 mtime=5", "dir d mtime=5")
        caller.write(path / "Dockerfile", DOCKERFILE)
        os.utime(path / "Dockerfile", (5, 5))
    return path
