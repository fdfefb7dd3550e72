"""What can go wrong with a registry.

    RegistryError             what was asked, what came; `status` is HTTP's, 0 without an answer
    ├── NotFoundError         404: no such repository, tag or blob
    ├── RefusedError          401 and 403: who asks may not
    └── UnreachableError      no answer, or none to be understood; trying again may help

Messages name the registry as the user wrote it and never hold credentials (guarantee S26).
"""

from __future__ import annotations

from buildkit.errors import BuildError


class RegistryError(BuildError):
    """A registry's answer is no, or none. `retry_after`: seconds it asked to be left alone."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        temporary: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.temporary = temporary
        self.retry_after = retry_after


class NotFoundError(RegistryError):
    """There is no such thing."""


class RefusedError(RegistryError):
    """Who asks may not."""


class UnreachableError(RegistryError):
    """No answer came. `never`: no connection was ever made, so another way may be tried."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        temporary: bool = True,
        never: bool = False,
        foreign: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, temporary=temporary)
        self.never = never
        self.foreign = foreign
        """What came was not HTTP: perhaps TLS, or the other way round."""
