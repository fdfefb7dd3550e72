"""Secrets of a build: where they come from. Their values are read when a step wants them.

A value goes into the sandbox of the step and nowhere else (guarantee S26): not into a key, a
record, a log or a file of the state root.
"""

import os

from buildkit.errors import UsageError
from runtime.values import NamedTuple

LIMIT = 500 << 10
"""Bytes of a secret, as BuildKit has it."""


class SecretSource(NamedTuple):
    """`--secret`: the file `path`, or, when that is empty, the variable `variable`."""

    path: str
    variable: str


def read(name: str, source: SecretSource) -> bytes:
    """Return the value of secret `name`. Raises UsageError."""
    if source.variable:
        value = os.environb.get(source.variable.encode())
        if value is None:
            raise UsageError(f"secret {name}: the variable {source.variable} is not set")
    else:
        value = _file(name, source.path)
    if len(value) > LIMIT:
        raise UsageError(f"secret {name} is larger than {LIMIT >> 10} KiB")
    return value


def _file(name: str, path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        with open(fd, "rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"secret {name}: {path}: {(error.strerror or '').lower()}") from error
