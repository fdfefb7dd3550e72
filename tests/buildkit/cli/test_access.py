"""A password that is asked for at a terminal."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = "from buildkit.cli import access; print(access.ask_password('me'))"


@pytest.mark.parametrize(
    ("typed", "said"),
    [(b"secret\n", "secret"), (b"\x04", "buildkit.errors.UsageError: no password was given")],
    ids=["a line", "Ctrl-D"],
)
def test_a_password_is_typed_or_not(typed: bytes, said: str) -> None:
    outer, inner = pty.openpty()
    try:
        # Without a terminal to control it, for then the one of the tests would be asked.
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=inner,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr is not None
        assert process.stderr.read(1) == "P"  # of the prompt: the echo is off by now
        os.write(outer, typed)
        output, errors = process.communicate(timeout=20)
    finally:
        os.close(outer)
        os.close(inner)
    assert said in (output + errors).splitlines()
