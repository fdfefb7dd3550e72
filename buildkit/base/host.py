"""`pybuild base host`: a minimal root file system from programs of this machine.

In: names of programs. Out: a tree to lay down, and what labels and configuration say of it.
Nothing is decided by what is left out of the inputs: equal programs give an equal image, under
whatever user, umask or name it is made.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from buildkit.base.closure import Closure, Notice, with_parents
from buildkit.base.loader import machine_search_path
from buildkit.base.packages import owners
from buildkit.base.skeleton import skeleton
from buildkit.base.tree import Entry, Laid, Link
from buildkit.errors import ImageError
from runtime.values import NamedTuple

SHELLS = ("sh", "dash", "bash", "busybox", "ash", "ksh", "mksh", "zsh")

# fmt: off
DEFAULT_PROGRAMS = (
    "sh", "cat", "chmod", "chown", "cp", "cut", "date", "dirname", "basename", "df", "du", "echo",
    "env", "expr", "false", "find", "grep", "head", "id", "ln", "ls", "mkdir", "mktemp", "mv",
    "printf", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sleep", "sort", "stat", "tail",
    "tee", "test", "touch", "tr", "true", "uname", "uniq", "wc", "which", "xargs",
)
# fmt: on
"""What is taken when nothing is named and there is no busybox; what is missing is left out."""


class HostBase(NamedTuple):
    """The tree, where each program lies in it (by the name asked for), and what to mention."""

    tree: Mapping[str, Entry]
    programs: Mapping[str, str]
    notices: tuple[Notice, ...]
    shell: str


def plan(programs: Sequence[str], path: str) -> HostBase:
    """Return what an image with `programs` consists of; `path` is the user's PATH.

    Raises ImageError for a program that is not there.
    """
    closure = Closure(machine_search_path(), path)
    for name in programs:
        closure.add_program(name)
    busybox = closure.lookup("busybox")
    if busybox:
        _add_applets(closure, closure.add_program("busybox"))
    elif not programs:
        for name in DEFAULT_PROGRAMS:
            if closure.lookup(name):
                closure.add_program(name)
    if not closure.programs:
        raise ImageError("no program to make an image from", hint="name one, for example: sh")
    shell = _shell(closure)
    tree = {**skeleton(shell or "/usr/sbin/nologin"), **closure.entries}
    return HostBase(
        tree=with_parents(tree),
        programs=dict(closure.programs),
        notices=tuple(closure.notices),
        shell=shell,
    )


def labels(base: HostBase, laid: Laid, programs: Sequence[str]) -> dict[str, str]:
    """Return how the image was made: the command, the programs with digests, this machine."""
    real = {name: os.path.realpath(path) for name, path in base.programs.items()}
    packages = owners(real.values())
    listed = [
        {
            "path": path,
            "digest": laid.digests.get(real[name].lstrip("/"), ""),
            "package": packages.get(real[name], ""),
        }
        for name, path in sorted(base.programs.items(), key=lambda item: item[1])
    ]
    system = os_release()
    return {
        "io.pybuild.base.kind": "host",
        "io.pybuild.base.command": " ".join(("pybuild base host", *programs)),
        "io.pybuild.base.host": " ".join(filter(None, map(system.get, ("ID", "VERSION_ID")))),
        "io.pybuild.base.programs": json.dumps(listed, separators=(",", ":"), sort_keys=True),
        "org.opencontainers.image.title": "programs of a machine",
    }


def os_release(root: str = "/") -> dict[str, str]:
    """Return the fields of os-release(5), empty when there is none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
                text = file.read(1 << 16)
        except OSError:
            continue
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return {}


def _add_applets(closure: Closure, busybox: str) -> None:
    """Link the applets of `busybox` to it, except where a program was asked for by that name."""
    real = os.path.realpath(busybox)
    taken = {os.path.basename(path) for path in closure.programs.values()}
    for path in _applets(real):
        directory, name = os.path.split(path)
        if name in taken:
            continue
        inside = _merged(directory)
        target = "busybox" if os.path.dirname(real) == f"/{inside}" else real
        closure.entries.setdefault(os.path.join(inside, name), Link(target))


def _applets(busybox: str) -> Iterable[str]:
    """Return the paths, as `usr/bin/awk`, that `busybox` says it wants to be found at."""
    try:
        done = subprocess.run(
            [busybox, "--list-full"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=True,
            env={},
        )
    except (OSError, subprocess.SubprocessError):
        return ("bin/sh",)
    paths = done.stdout.decode("utf-8", "replace").split()
    return sorted({os.path.normpath(path).lstrip("/") for path in paths if _is_ordinary(path)})


def _is_ordinary(path: str) -> bool:
    """Whether `path` is in a directory of programs (`linuxrc` is an applet for boot disks)."""
    return ".." not in path and os.path.basename(os.path.dirname(path)) in ("bin", "sbin")


def _merged(directory: str) -> str:
    """Return `directory` as this machine has it: `bin` is `usr/bin` where /bin links there."""
    first, slash, rest = directory.partition("/")
    if os.path.islink(f"/{first}") and os.path.realpath(f"/{first}") == f"/usr/{first}":
        return f"usr/{first}{slash}{rest}"
    return directory


def _shell(closure: Closure) -> str:
    """Make sure of `/bin/sh` when there is any shell; return its path or nothing."""
    place = os.path.join(_merged("bin"), "sh")
    if place in closure.entries:
        return "/bin/sh"
    for name in SHELLS:
        if path := closure.programs.get(name):
            closure.entries[place] = Link(path)
            return "/bin/sh"
    return ""
