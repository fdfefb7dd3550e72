"""What the machine can do, found out by trying; tests that need more are skipped by name.

`PYBUILD_MUST_HAVE` lists features (comma separated) that must not be missing: then the test runs
and fails, so that CI cannot go green by skipping.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

TOOLS = ("buildah", "podman", "skopeo", "umoci", "debootstrap", "slirp4netns", "pasta")

REPOSITORY = Path(__file__).resolve().parent.parent


def needs(feature: str) -> pytest.MarkDecorator:
    """Mark a test that needs `feature`."""
    missing = not FEATURES[feature]() and feature not in must_have()
    return pytest.mark.skipif(missing, reason=f"this machine has no {feature}")


def require(feature: str) -> None:
    """Skip the running test if `feature` is missing."""
    if not FEATURES[feature]() and feature not in must_have():
        pytest.skip(f"this machine has no {feature}")


def must_have() -> frozenset[str]:
    """Return the features that must not be missing."""
    return frozenset(filter(None, os.environ.get("PYBUILD_MUST_HAVE", "").split(",")))


@cache
def has_root() -> bool:
    """Whether we may make mount namespaces as we are."""
    return os.geteuid() == 0 and _works("syscalls.unshare(syscalls.CLONE_NEWNS)")


@cache
def has_rootless() -> bool:
    """Whether there is an ordinary user with subordinate ids, who may have a user namespace."""
    user = ordinary_user()
    return user is not None and _works(
        "from runtime import rootless; assert rootless.enter().kind == 'subordinate'", user
    )


@cache
def has_overlay() -> bool:
    """Whether the kernel has overlayfs."""
    return "overlay" in Path("/proc/filesystems").read_text()


@cache
def has_busybox() -> bool:
    """Whether there is a static busybox, to look around with from inside a sandbox."""
    path = busybox()
    if path is None:
        return False
    answer = subprocess.run(
        ["ldd", path], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return "not a dynamic executable" in answer.stderr + answer.stdout


@cache
def has_cgroups() -> bool:
    """Whether we may make control groups with a limit of memory and processes."""
    return os.geteuid() == 0 and _works(
        "from runtime import cgroups, spec; "
        "cgroups.Maker().make(spec.Resources(memory=1 << 26, pids=10)).remove()"
    )


@cache
def has_cgroup2() -> bool:
    """Whether we may make groups in a tree of version 2, be there controllers or not."""
    return os.geteuid() == 0 and _works(
        "from runtime import cgroups, hierarchy, spec; "
        "where = hierarchy.here()._replace(legacy={}); "
        "cgroups.create(spec.Resources(account=True), where, 'pybuild-probe').remove()"
    )


@cache
def has_unified() -> bool:
    """Whether groups of version 2 limit memory, processors and processes."""
    return has_cgroup2() and _works(
        "from runtime import cgroups, hierarchy, spec; "
        "where = hierarchy.here()._replace(legacy={}); "
        "wanted = spec.Resources(memory=1 << 26, cpus=1, pids=10); "
        "cgroups.create(wanted, where, 'pybuild-probe').remove()"
    )


@cache
def has_bridge() -> bool:
    """Whether we may connect a network namespace to a bridge with NAT."""
    return os.geteuid() == 0 and _works(
        "from runtime import network; made = network.create(); made.close(); "
        "assert isinstance(made.carrier, network.Attached), made.reason"
    )


@cache
def has_helper() -> bool:
    """Whether an ordinary user can have a network by slirp4netns or pasta."""
    return _works(
        "from runtime import network, rootless; rootless.enter(); made = network.create(); "
        "made.close(); assert made.carrier, made.reason",
        ordinary_user(),
    )


@cache
def has_tun() -> bool:
    """Whether we may let an ordinary user have a network by slirp4netns or pasta."""
    return os.geteuid() == 0 and _works(
        "import os; from tests import namespaces, tun; namespaces.leave(); tun.show(); "
        "os.setuid(1); os.close(os.open(tun.PATH, os.O_RDWR))"
    )


@cache
def has_single() -> bool:
    """Whether an ordinary user without subordinate ids may have a user namespace."""
    stranger = pwd.struct_passwd(("", "x", 54_321, 54_321, "", "/", "/bin/sh"))
    program = "from runtime import rootless; assert rootless.enter().kind == 'single'"
    return os.geteuid() == 0 and _works(program, stranger)


@cache
def has_seccomp() -> bool:
    """Whether the kernel filters system calls."""
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()


@cache
def has_tmpfs() -> bool:
    """Whether we may mount a file system in memory."""
    return os.geteuid() == 0 and _works(
        "syscalls.unshare(syscalls.CLONE_NEWNS); syscalls.mount('tmpfs', '/mnt', 'tmpfs', 0, '')"
    )


def has_tool(name: str) -> Callable[[], bool]:
    """Return the probe for a program that tests compare with."""
    return lambda: shutil.which(name) is not None


FEATURES: dict[str, Callable[[], bool]] = {
    "root": has_root,
    "rootless": has_rootless,
    "overlay": has_overlay,
    "busybox": has_busybox,
    "cgroups": has_cgroups,
    "cgroup2": has_cgroup2,
    "unified": has_unified,
    "bridge": has_bridge,
    "helper": has_helper,
    "tun": has_tun,
    "single": has_single,
    "seccomp": has_seccomp,
    "tmpfs": has_tmpfs,
    "processors": lambda: len(os.sched_getaffinity(0)) > 1,
    "hadolint": lambda: hadolint() is not None,
    **{name: has_tool(name) for name in TOOLS},
}


def hadolint() -> str | None:
    """Return where hadolint is: beside the interpreter, where pip puts it, or on the path."""
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


def busybox() -> str | None:
    """Return where busybox is."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.access(path, os.X_OK):
            return path
    return None


@cache
def ordinary_user() -> pwd.struct_passwd | None:
    """Return ourselves if we are ordinary, else a user with subordinate ids."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        lines = Path("/etc/subuid").read_text().splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        try:
            user = pwd.getpwnam(line.partition(":")[0])
        except KeyError:
            continue
        if user.pw_uid:
            return user
    return None


def interpreter_for(user: pwd.struct_passwd | None) -> str | None:
    """Return a Python of the needed version that `user` may execute."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([path, "-c", check], check=False, **as_user(user)).returncode == 0:  # type: ignore[call-overload]
                return path
        except OSError:
            continue
    return None


def as_user(user: pwd.struct_passwd | None) -> dict[str, object]:
    """Return the arguments of `subprocess` that make a process belong to `user`."""
    if user is None or os.geteuid() != 0:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


def _works(program: str, user: pwd.struct_passwd | None = None) -> bool:
    """Whether a program runs to its end; it finds `runtime`."""
    python = interpreter_for(user)
    if python is None:
        return False
    text = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
    text += f"from runtime import syscalls; {program}"
    done = subprocess.run([python, "-c", text], capture_output=True, check=False, **as_user(user))  # type: ignore[call-overload]
    return bool(done.returncode == 0)


needs_root = needs("root")
needs_overlay = needs("overlay")
needs_cgroups = needs("cgroups")
