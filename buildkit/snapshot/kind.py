"""What steps and containers write on: an overlay, or a copy of all that is below.

In: a state root. Out: `overlay` where its file system can hold an overlay's changes, else `copy`,
found out by trying once; the answer is kept in the root, as `state.snapshotter`. A `copy` holds for
this file system and this kernel, an `overlay` as long as it is there. The variable
PYBUILD_SNAPSHOTTER decides against both.
"""

from __future__ import annotations

import errno
import os
import stat

from buildkit.errors import UsageError
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from runtime import mounts
from runtime.errors import SandboxError, UnsupportedError
from runtime.typed import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Kind: TypeAlias = Literal["overlay", "copy"]

VARIABLE = "PYBUILD_SNAPSHOTTER"
NOTE = "state.snapshotter"


def kind_of(root: StateRoot) -> Kind:
    """Return the kind for a state root. Raises UsageError for what the variable cannot ask for."""
    asked = os.environ.get(VARIABLE, "")
    match asked:
        case "":
            pass
        case "overlay" | "copy":
            return asked
        case _:
            raise UsageError(f"{VARIABLE} is overlay or copy, not {asked!r}")
    noted = root.note(NOTE)
    here = f"copy {os.stat(root.top).st_dev} {os.uname().release}\n"
    if noted == "overlay\n":
        return "overlay"
    if noted == here:
        return "copy"
    found = _tried(root)
    if found is None:
        return "overlay"
    root.take_note(NOTE, "overlay\n" if found == "overlay" else here)
    return found


def _tried(root: StateRoot) -> Kind | None:
    """Return what works; None where it is something else that does not."""
    place = root.tmp()
    try:
        return _tried_at(place)
    except UnsupportedError:
        return "copy"
    except (OSError, SandboxError) as error:
        # Whoever mounts the real one will tell.
        return "copy" if getattr(error, "errno", 0) == errno.EOPNOTSUPP else None
    finally:
        with root.writing("tmp"):
            remove_tree(place)


def _tried_at(place: str) -> Kind:
    """Delete a file and replace a directory on an overlay at `place`. Raises what mounting does."""
    lower, upper, work = (f"{place}/{name}" for name in ("lower", "upper", "work"))
    for path in (lower, upper, work, f"{lower}/directory"):
        os.mkdir(path, 0o700)
    os.close(os.open(f"{lower}/file", os.O_WRONLY | os.O_CREAT, 0o600))
    fd = mounts.overlay_fd((lower,), upper, work)
    try:
        os.unlink("file", dir_fd=fd)
        os.rmdir("directory", dir_fd=fd)
        os.mkdir("directory", 0o700, dir_fd=fd)
    except OSError:
        return "copy"
    finally:
        os.close(fd)
    found = os.lstat(f"{upper}/file")
    return "overlay" if stat.S_ISCHR(found.st_mode) else "copy"
