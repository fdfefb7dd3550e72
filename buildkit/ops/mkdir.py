"""WORKDIR, carried out: a directory with its parents, in an overlay's upper directory.

In: the op, a view of the parent (None for scratch) and the upper. Out: directories in the upper;
none when all are there already. Source: docs/dockerfile.md, chapter 8 (WORKDIR): new directories
are 0755 and owned by the current user, those that exist stay as they are.
"""

from __future__ import annotations

from buildkit.errors import StepError
from buildkit.llb.op import MkdirOp
from buildkit.ops.chown import Owner, find_owner
from buildkit.ops.target import Target, failure


def make_directory(op: MkdirOp, parent: int | None, upper: str) -> None:
    """Make `op.path` in `upper` on top of `parent`. Raises StepError, StoreError."""
    owner = find_owner(op.user, parent) if op.user else Owner(0, 0)
    target = Target(upper, parent, owner=owner, mode=0o755)
    try:
        target.directory(target.resolve(op.path))
        target.finish()
    except StepError as error:
        raise StepError(
            f"cannot make the directory {op.path}: something else is there", hint=error.hint
        ) from error
    except OSError as error:
        raise failure(error, op.path, upper) from error
    finally:
        target.close()
