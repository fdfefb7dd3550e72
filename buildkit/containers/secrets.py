"""Secrets of a container: read at each start, never kept.

In: where a secret is. Out: a file of the sandbox.
"""

from __future__ import annotations

import os

from buildkit.containers.record import Secret
from buildkit.errors import UsageError
from runtime.spec import File


def secret_file(secret: Secret) -> File:
    """Return a secret as a file of the sandbox. Raises UsageError where it cannot be read."""
    if secret.variable:
        value = os.environb.get(secret.variable.encode())
        if value is None:
            raise UsageError(
                f"secret: the variable {secret.variable} is not set",
                hint=f"export {secret.variable}=..., or give a file with src=PATH",
            )
    else:
        try:
            with open(secret.path, "rb") as file:
                value = file.read()
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise UsageError(f"secret {secret.path}: {reason}") from error
    return File(secret.target, value, secret.mode, secret.uid, secret.gid, readonly=True)
