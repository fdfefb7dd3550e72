"""Secrets of a build: where they come from. Their values are read when a step wants them.

A value goes into the sandbox of the step and nowhere else (guarantee S26): not into a key, a
record, a log or a file of the state root. With `rebuild=true` a mark of it enters keys.
"""

from __future__ import annotations

import os
import stat

from buildkit.errors import UsageError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.state.root import StateRoot

_KEY = "SELECT value FROM store WHERE name='secrets'"

LIMIT = 500 << 10
"""Bytes of a secret, as BuildKit has it."""


class SecretSource(NamedTuple):
    """`--secret`: the file `path`, or, when that is empty, the variable `variable`.

    `rebuild`: another value makes the steps that use it run again.
    """

    path: str
    variable: str
    rebuild: bool = False


def read(name: str, source: SecretSource) -> bytes:
    """Return the value of secret `name`. Raises UsageError."""
    if source.variable:
        value = os.environb.get(source.variable.encode())
        if value is None:
            raise UsageError(
                f"secret {name}: the variable {source.variable} is not set",
                hint=f"export {source.variable}=..., or give a file with src=PATH",
            )
    else:
        value = _file(name, source.path)
    if len(value) > LIMIT:
        raise UsageError(f"secret {name} is larger than {LIMIT >> 10} KiB")
    return value


def kept(name: str, path: str) -> str:
    """Return an absolute path under which what is at `path` can be read as often as it is wanted.

    A pipe gives what it has once (`src=<(pass show token)`): it is read now, into memory, which
    goes with this process. Raises UsageError.
    """
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return os.path.abspath(path)
    except OSError as error:
        raise UsageError(f"secret {name}: {path}: {(error.strerror or '').lower()}") from error
    value = _file(name, path)
    memory = os.memfd_create("secret", os.MFD_CLOEXEC)
    with open(memory, "wb", closefd=False) as file:
        file.write(value)
    return f"/proc/self/fd/{memory}"


def mark(root: StateRoot, name: str, value: bytes) -> str:
    """Return what tells a secret's values apart on this store, and nothing to anybody else.

    That is an HMAC under a random key that never leaves the store, for keys of steps whose user
    asked for it (`rebuild=true`). Raises StoreError.
    """
    import hashlib  # for this rare wish only
    import hmac

    with root.reading():
        row = root.database().execute(_KEY).fetchone()
    if row is None:
        with root.transaction() as database:
            database.execute("INSERT OR IGNORE INTO store VALUES('secrets', hex(randomblob(32)))")
            row = database.execute(_KEY).fetchone()
    message = f"{len(name)} {name} ".encode() + value
    return hmac.new(bytes.fromhex(row[0]), message, hashlib.sha256).hexdigest()


def _file(name: str, path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        with open(fd, "rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"secret {name}: {path}: {(error.strerror or '').lower()}") from error
