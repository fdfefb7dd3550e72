"""Builds that fail: what is said, by which status, and that nothing is left.

`fixtures/failures/<case>/` holds a Dockerfile, `context.txt` and `options.toml` as in
`fixtures/contexts`, and `errors.txt`: the status, and what stands on standard error. Seconds are
written as 0.000, the directory of the context as {context}.
"""

import re
from pathlib import Path

import pytest

from tests.callers import Caller, pairs
from tests.e2e.cases import Case, read_cases
from tests.leftovers import nothing_left
from tests.program import TOP

FOLDER = TOP / "fixtures/failures"
STEPS = (
    *("directory-onto-file", "failing-command", "killed-by-a-signal", "missing-source", "no-shell"),
    *("not-executable", "parallel", "unknown-owner", "unknown-user", "workdir-is-a-file"),
)
"""Those in which something is mounted, made or started: it may differ for an ordinary user."""

_SECONDS = re.compile(r"^[0-9]+\.[0-9]+ ", re.MULTILINE)
_NO_NETWORK = re.compile(r"^hint: steps cannot reach the network here .*\n", re.MULTILINE)
"""What is told with every failing RUN on a machine without a network for its users."""


@pytest.mark.parametrize(
    ("caller", "case"),
    pairs(read_cases(FOLDER), STEPS, lambda case: str(case.name)),
    indirect=["caller"],
)
def test_a_failure_is_told_and_leaves_nothing(caller: Caller, case: Case) -> None:
    context, options = case.laid(caller)
    with nothing_left(caller.pybuild):
        told = failed(caller, context, options)
    assert told == (case.folder / "errors.txt").read_text()


def failed(caller: Caller, context: Path, options: list[str]) -> str:
    """Return the status and the errors of a build."""
    words = [option.replace("{context}", str(context)) for option in options]
    done = caller.pybuild("build", "--progress", "quiet", *words, context)
    assert not done.output
    text = _NO_NETWORK.sub("", _SECONDS.sub("0.000 ", done.errors)).replace(
        str(context), "{context}"
    )
    return f"status {done.status}\n{text}"
