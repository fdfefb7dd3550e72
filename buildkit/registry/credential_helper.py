"""Credentials, and the programs that keep them safe: docker's credential helpers.

In: the name of a helper, a registry's key. Out: `Credentials`. A helper gets what it is to know on
standard input, and what it says when it fails is shown to nobody (docs/security.md, S22, S26).
Source: docker-credential-helpers, "Development".
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from buildkit.errors import UsageError
from runtime.values import NamedTuple

if TYPE_CHECKING:
    import subprocess

_TOKEN_USER = "<token>"  # noqa: S105 - the helpers' word for "this is no password"
_LIMIT = 4 << 20
_TURN = 0.2


class Credentials(NamedTuple):
    """A name and its password, or a token that stands for both."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"

    @property
    def basic(self) -> str:
        """The value of `Authorization: Basic`, without that word."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def _nothing() -> None:
    """Check nothing: a signal raises by itself."""


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


class Waiting(NamedTuple):
    """What is done while a helper is waited for: `check` raises to end it, `tell` says so.

    It is told after `quiet` seconds, since a helper may have opened a window that nobody sees, and
    given up after `patience`.
    """

    check: Callable[[], None] = _nothing
    tell: Callable[[str], None] = _to_stderr
    quiet: float = 2.0
    patience: float = 60.0


def get(
    helper: str, key: str, environment: Mapping[str, str], waiting: Waiting
) -> Credentials | None:
    """Return what the helper has for `key`, None for nothing. Raises UsageError."""
    answer = _ask(helper, "get", key, environment, waiting)
    if answer is None:
        return None
    try:
        document = json.loads(answer)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, TypeError, KeyError):
        raise UsageError(
            f"docker-credential-{helper} gave no credentials that make sense"
        ) from None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def store(
    helper: str,
    key: str,
    credentials: Credentials,
    environment: Mapping[str, str],
    waiting: Waiting,
) -> None:
    """Let the helper keep `credentials`. Raises UsageError."""
    entry = {
        "ServerURL": key,
        "Username": credentials.username or _TOKEN_USER,
        "Secret": credentials.password or credentials.identity_token,
    }
    _ask(helper, "store", json.dumps(entry), environment, waiting)


def erase(helper: str, key: str, environment: Mapping[str, str], waiting: Waiting) -> None:
    """Let the helper forget what it has for `key`. Raises UsageError."""
    _ask(helper, "erase", key, environment, waiting)


def _ask(
    helper: str, verb: str, text: str, environment: Mapping[str, str], waiting: Waiting
) -> bytes | None:
    """Call a helper; None when it knows nothing of the host. Raises UsageError."""
    import subprocess  # only users with a helper need it

    program = f"docker-credential-{helper}"
    pipe = subprocess.PIPE
    try:
        running = subprocess.Popen(
            [program, verb], stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environment)
        )
    except FileNotFoundError:
        raise UsageError(
            f"the credential helper {program} is not installed",
            hint="install it, or take it out of docker's config.json",
        ) from None
    except OSError as error:
        raise UsageError(
            f"the credential helper {program} cannot be run: {(error.strerror or '').lower()}"
        ) from None
    try:
        output, errors = _answer(running, program, text.encode(), waiting)
    finally:
        # Not waited for in a `with`: what it has started may hold its pipes open.
        running.kill()
        for stream in (running.stdin, running.stdout, running.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        running.wait()
    if running.returncode == 0:
        return output[:_LIMIT]
    said = (output + errors).decode(errors="replace").lower()
    if "not found" in said or "no credentials" in said:
        return None
    # What it said may hold secrets; its status says enough.
    raise UsageError(f"the credential helper {program} failed with status {running.returncode}")


def _answer(
    running: subprocess.Popen[bytes], program: str, text: bytes, waiting: Waiting
) -> tuple[bytes, bytes]:
    """Return what a helper prints. Raises UsageError when it takes too long."""
    import subprocess  # as above

    began = time.monotonic()
    is_told = False
    asked: bytes | None = text
    while True:
        try:
            return running.communicate(asked, timeout=_TURN)
        except subprocess.TimeoutExpired:
            asked = None  # it has been taken, and is written as it goes on
        waiting.check()
        passed = time.monotonic() - began
        if passed >= waiting.patience:
            raise UsageError(
                f"the credential helper {program} has not answered for"
                f" {waiting.patience:.0f} seconds",
                hint="see what it waits for: it may want to be unlocked, or a terminal",
            )
        if passed >= waiting.quiet and not is_told:
            waiting.tell(f"waiting for the credential helper {program}")
            is_told = True
