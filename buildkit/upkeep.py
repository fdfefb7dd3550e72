"""Collection without being asked: after a build, when the store is too large or too old.

In: the store, and PYBUILD_GC, which names limits (`max-used=50GB,min-free=10GB,keep=30d`) or is
`off`. Out: a smaller store. What running commands use stays (R5), and so does every image with a
name. Costs a sum over a table and one statfs where there is nothing to do.
"""

from __future__ import annotations

import os
import time

from buildkit.errors import BuildError, UsageError
from buildkit.progress.events import Emit, Note, Warned
from buildkit.sizes import limit_text
from buildkit.state.schema import UNKEPT
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildkit.gc import Pruned
    from buildkit.state.root import StateRoot

VARIABLE = "PYBUILD_GC"
DAY = 86_400.0

_STAMP = "upkeep.lock"
_GB = 10**9


class Limits(NamedTuple):
    """How large and how old the store may get.

    Bytes of layers and blobs: no more than `max_used`, and less when fewer than `min_free` are free
    on the disk, but `reserved` in any case. `keep`: seconds for which what no image with a name
    needs is kept after its last use.
    """

    max_used: int
    min_free: int
    reserved: int
    keep: float = 60 * DAY


def usual_limits(disk: int) -> Limits:
    """Return the limits on a disk of so many bytes, where the user names none."""
    return Limits(max_used=disk * 6 // 10, min_free=disk // 10, reserved=min(disk // 10, 10 * _GB))


def limits_of(text: str, usual: Limits) -> Limits | None:
    """Return the limits that PYBUILD_GC names, None for `off`. Raises UsageError."""
    if text == "off":
        return None
    # Patterns, only where somebody has wishes.
    from buildkit.durations import parse_duration
    from buildkit.sizes import parse_size

    limits = usual
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            if name == "keep":
                limits = limits._replace(keep=float(parse_duration(value)))
            elif name in _NAMES:
                limits = limits._replace(**{_NAMES[name]: parse_size(value)})
            else:
                raise ValueError(f"there is no {name!r}")
        except ValueError as error:
            raise UsageError(
                f"{VARIABLE}: {error}",
                hint="off, or some of max-used=SIZE,min-free=SIZE,reserved=SIZE,keep=TIME",
            ) from error
    return limits


_NAMES: Mapping[str, str] = {
    "max-used": "max_used",
    "min-free": "min_free",
    "reserved": "reserved",
}


def keep_up(root: StateRoot, emit: Emit, *, grown: bool) -> None:
    """Do `after_build` and tell of it; what goes wrong with it is no matter of the build."""
    try:
        done = after_build(root, grown=grown)
    except BuildError as error:
        emit(Warned(f"the store was not collected: {error.message}"))
        return
    size = sum(pruned.size for pruned in done)
    if size:
        emit(Note(f"collected {limit_text(size)} of the store ({VARIABLE} steers this)"))


def after_build(root: StateRoot, *, grown: bool) -> tuple[Pruned, ...]:
    """Collect what is too old, once a day, and what is too much, when the store has `grown`.

    Raises UsageError, StoreError.
    """
    stamp = root.path("locks", _STAMP)
    now = time.time()
    last = _time_of(stamp)
    if last is None:  # a new store
        _touch(root, stamp)
        return ()
    daily = now - last > DAY
    if not daily and not grown:
        return ()
    disk = os.statvfs(root.top)
    text = os.environ.get(VARIABLE, "")
    limits = limits_of(text, usual_limits(disk.f_blocks * disk.f_frsize))
    if limits is None:
        return ()
    # Collection is a module that a build which finds nothing to collect does without.
    from buildkit.gc import Policy, prune

    done = []
    if daily:
        _touch(root, stamp)
        done.append(prune(root, Policy(older_than=limits.keep)))
    if excess(root, limits, disk.f_bavail * disk.f_frsize) > 0:
        done += _shrink(root, limits)
    return tuple(done)


def excess(root: StateRoot, limits: Limits, free: int) -> int:
    """Return how many bytes too many there are."""
    with root.reading():
        used, compressed = (
            root.database().execute(f"SELECT coalesce(sum(size), 0) FROM {kept}").fetchone()[0]  # noqa: S608 - two fixed texts
            for kept in ("layer", f"blob_form WHERE compressor NOT LIKE '{UNKEPT}%'")
        )
    total: int = used + compressed
    return min(max(total - limits.max_used, limits.min_free - free), total - limits.reserved)


def _shrink(root: StateRoot, limits: Limits) -> list[Pruned]:
    """Take away what can be made again, the longest unused first, as long as it is too much.

    An image without a name that is a day old no longer keeps its layers.
    """
    from buildkit.gc import Policy, prune  # as above

    done = [prune(root, Policy(steps="none", older_than=DAY))]
    policy = Policy(
        steps="unneeded",
        untagged=False,
        max_bytes=limits.max_used,
        min_free=limits.min_free,
        reserved=limits.reserved,
    )
    done.append(prune(root, policy))
    return done


def _time_of(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return None


def _touch(root: StateRoot, path: str) -> None:
    with root.writing("locks"):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(path)
