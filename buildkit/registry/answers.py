"""What answers that are no success mean: errors with a cause and a hint.

In: an answer, and what was wanted. Out: a `RegistryError`. Source: distribution-spec, "Error
Codes"; RFC 9110 (Retry-After). What a registry says is cut short, never believed to be safe text.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from buildkit.registry.errors import NotFoundError, RefusedError, RegistryError
from buildkit.registry.transport import Answer
from runtime.values import NamedTuple

_LIMIT = 64 << 10
_SHOWN = 300

_UNKNOWN = {
    "NAME_UNKNOWN": "no such repository",
    "MANIFEST_UNKNOWN": "no such tag or digest",
    "BLOB_UNKNOWN": "no such blob",
}


class Wanted(NamedTuple):
    """What was asked for: in words, of which registry, and whether as nobody in particular."""

    what: str
    registry: str
    anybody: bool = True


def error_of(answer: Answer, wanted: Wanted) -> RegistryError:
    """Return the error that `answer`, which is used up, stands for."""
    status = answer.status
    code, said = _said(answer)
    told = f": {said}" if said else ""
    registry, what = wanted.registry, wanted.what
    match status:
        case 401:
            return RefusedError(
                f"{registry} refuses {what}: it does not know who asks{told}",
                hint=_login_hint(wanted),
                status=status,
            )
        case 403:
            return RefusedError(
                f"{registry} forbids {what}{told}", hint=_right_hint(wanted), status=status
            )
        case 404:
            why = _UNKNOWN.get(code, said) or "no such thing"
            return NotFoundError(
                f"{what}: not found in {registry}: {why}",
                hint="check the name and the tag",
                status=status,
            )
        case 405:
            return RegistryError(
                f"{registry} does not do this (405): {what}{told}",
                hint="is it a mirror, or a registry that is read-only for now?",
                status=status,
            )
        case 429:
            return RegistryError(
                f"{registry} has had too many requests (429){told}",
                hint="wait, log in ('pybuild login'), or name a mirror (PYBUILD_REGISTRY_MIRRORS)",
                status=status,
                temporary=True,
                retry_after=_retry_after(answer.headers),
            )
        case _ if status == 408 or status >= 500:
            return RegistryError(
                f"{registry} fails with status {status} on {what}{told}",
                hint="the fault lies with the registry",
                status=status,
                temporary=True,
                retry_after=_retry_after(answer.headers),
            )
        case _:
            return RegistryError(
                f"{registry} answers {what} with status {status}{told}", status=status
            )


def _login_hint(wanted: Wanted) -> str:
    name = wanted.registry
    if wanted.anybody:
        return f"'pybuild login {name}' if the repository is a private one; is its name right?"
    return f"the login that is kept for {name} is not accepted; renew it: 'pybuild login {name}'"


def _right_hint(wanted: Wanted) -> str:
    if wanted.anybody:
        return f"log in first: 'pybuild login {wanted.registry}'"
    return f"the user logged in to {wanted.registry} lacks the right to do that"


def _said(answer: Answer) -> tuple[str, str]:
    """Return the code and the message of the first error in the body, as far as there are any."""
    try:
        data = answer.whole(_LIMIT, "an error")
    except RegistryError:
        return "", ""
    with contextlib.suppress(ValueError, RecursionError):
        document: Any = json.loads(data)
        errors = document.get("errors") if isinstance(document, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else document
        if isinstance(first, dict):
            message = first.get("message") or first.get("details") or ""
            return str(first.get("code", ""))[:80], str(message)[:_SHOWN]
    return "", ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # rare

    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    return None
