"""Credentials, and the programs that keep them safe: docker's credential helpers.

In: the name of a helper, a registry's key. Out: `Credentials`. A helper gets what it is to know on
standard input, and what it says when it fails is shown to nobody (docs/security.md, S22, S26).
Source: docker-credential-helpers, "Development".
"""

import base64
import json
from collections.abc import Mapping

from buildkit.errors import UsageError
from runtime.values import NamedTuple

_TOKEN_USER = "<token>"  # noqa: S105 - the helpers' word for "this is no password"
_LIMIT = 4 << 20
_PATIENCE = 60.0


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


def get(helper: str, key: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return what the helper has for `key`, None for nothing. Raises UsageError."""
    answer = _ask(helper, "get", key, environment)
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


def store(helper: str, key: str, credentials: Credentials, environment: Mapping[str, str]) -> None:
    """Let the helper keep `credentials`. Raises UsageError."""
    entry = {
        "ServerURL": key,
        "Username": credentials.username or _TOKEN_USER,
        "Secret": credentials.password or credentials.identity_token,
    }
    _ask(helper, "store", json.dumps(entry), environment)


def erase(helper: str, key: str, environment: Mapping[str, str]) -> None:
    """Let the helper forget what it has for `key`. Raises UsageError."""
    _ask(helper, "erase", key, environment)


def _ask(helper: str, verb: str, text: str, environment: Mapping[str, str]) -> bytes | None:
    """Call a helper; None when it knows nothing of the host. Raises UsageError."""
    import subprocess  # only users with a helper need it

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb],
            input=text.encode(),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            env=dict(environment),
        )
    except FileNotFoundError:
        raise UsageError(
            f"the credential helper {program} is not installed",
            hint="install it, or take it out of docker's config.json",
        ) from None
    except (OSError, subprocess.TimeoutExpired):
        raise UsageError(f"the credential helper {program} does not answer") from None
    if done.returncode == 0:
        return done.stdout[:_LIMIT]
    said = (done.stdout + done.stderr).decode(errors="replace").lower()
    if "not found" in said or "no credentials" in said:
        return None
    # What it said may hold secrets; its status says enough.
    raise UsageError(f"the credential helper {program} failed with status {done.returncode}")
