"""What can go wrong with a sandbox.

    SandboxError               the base; has a `hint`
    +-- SpecError              the sandbox that was asked for makes no sense
    +-- UnsupportedError       this kernel or this user cannot do it; `feature` names what
    +-- SetupError             setting up failed; `action` says at what, `cause` is the OSError
    |   +-- UserError          the user or group is not in the image, or is no valid number
    +-- StateError             a zygote or sandbox was used after its end

Messages are lower-case sentences without a full stop; a hint says what to do.
"""

from __future__ import annotations


class SandboxError(Exception):
    """The base of all errors of this package."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SpecError(SandboxError):
    """The value that describes the sandbox is wrong."""


class UnsupportedError(SandboxError):
    """The kernel, or this user on it, lacks a feature."""

    def __init__(self, feature: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{feature}: {reason}", hint=hint)
        self.feature = feature
        self.reason = reason


class SetupError(SandboxError):
    """An action of the plan failed; nothing of the user's program has run."""

    def __init__(
        self, action: str, cause: OSError | str, *, hint: str = "", number: int = 0
    ) -> None:
        """`number` is the errno where `cause` is only its text."""
        super().__init__(f"cannot {action}: {explain(cause)}", hint=hint)
        self.action = action
        self.cause = cause
        self.number = number


class UserError(SetupError):
    """The user of a process cannot be found inside the image."""


class StateError(SandboxError):
    """Something was used after it had ended."""


def explain(cause: OSError | str) -> str:
    """Return an OSError as text a user can read: what the kernel said, and about which path."""
    if isinstance(cause, str):
        return cause
    text = (cause.strerror or str(cause)).lower()
    names = [str(name) for name in (cause.filename, cause.filename2) if name]
    return f"{text}: {' -> '.join(names)}" if names else text
