"""What this kernel and this user may do, and why not: for `pybuild doctor`.

In: the machine. Out: `Feature` values. `quick` looks; `thorough` tries, in forked children, and
must be called from a single-threaded process that has not entered namespaces of its own.
"""

from __future__ import annotations

import os
import tempfile

from runtime import (
    bridge,
    cgroups,
    delegation,
    hierarchy,
    idmap,
    mounts,
    network,
    rootless,
    syscalls,
    usernet,
)
from runtime.errors import SandboxError, explain
from runtime.seccomp import MACHINES
from runtime.spec import Resources
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


UPPER = "state root as upper"
"""The feature that `upper_at` tries."""

_ERRNO_ACTION = 0x00050000
_BINFMT = "/proc/sys/fs/binfmt_misc"


class Feature(NamedTuple):
    """One thing that may work; `detail` says more if it does, `reason` and `hint` if not."""

    name: str
    works: bool
    reason: str = ""
    hint: str = ""
    detail: str = ""


def features() -> tuple[Feature, ...]:
    """Return everything there is to know."""
    return (*quick(), *thorough())


def quick() -> tuple[Feature, ...]:
    """Return what can be seen by looking."""
    return (
        _kernel(),
        _seccomp(),
        _subordinate_ids(),
        _files("id mapping programs", ("newuidmap", "newgidmap"), idmap.program, "uidmap"),
        _control_groups(),
        _files("packet filter", ("nft",), bridge.program, "nftables"),
        _network_helper(),
        _foreign_programs(),
    )


def thorough() -> tuple[Feature, ...]:
    """Return what can be known only by trying."""
    overlay_hint = "load the module overlay; rootless needs Linux 5.11"
    return (
        _tried("own namespaces", rootless.enter),
        _tried("overlay", _try_overlay, hint=overlay_hint),
        _tried("own /proc", _try_proc, hint="in a container, unmask /proc or run privileged"),
        _tried("limits", _try_limits),
        _tried("outbound network", _try_network),
    )


def _kernel() -> Feature:
    release = os.uname().release
    try:
        os.close(syscalls.openat2(syscalls.AT_FDCWD, "/", os.O_PATH, 0, 0))
    except OSError as error:
        reason = f"Linux {release}: openat2: {explain(error)}"
        hint = "Linux 5.12 or newer is needed, 6.7 or newer is best"
        return Feature("kernel", works=False, reason=reason, hint=hint)
    detail = f"Linux {release}"
    if not mounts.takes_single_lowers():
        detail += ", which limits images to about 200 layers (Linux 6.7 does not)"
    return Feature("kernel", works=True, detail=detail)


def _seccomp() -> Feature:
    machine = os.uname().machine
    if machine not in MACHINES:
        return Feature("seccomp", works=False, reason=f"there is no filter for {machine}")
    if not syscalls.seccomp_has(_ERRNO_ACTION):
        return Feature("seccomp", works=False, reason="the kernel has no seccomp filters")
    return Feature("seccomp", works=True, detail=machine)


def _subordinate_ids() -> Feature:
    ids = idmap.of_user(os.geteuid(), os.getegid())
    if os.geteuid() == 0 and ids.is_single:
        return Feature("subordinate ids", works=True, detail="root needs none")
    if ids.is_single:
        return Feature(
            "subordinate ids",
            works=False,
            reason="there are none for this user in /etc/subuid and /etc/subgid",
            hint="usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        )
    total = min(sum(part.length for part in mapped) for mapped in ids)
    return Feature("subordinate ids", works=True, detail=f"{total} ids")


def _files(
    name: str, wanted: tuple[str, ...], find: Callable[[str], str | None], package: str
) -> Feature:
    missing = [program for program in wanted if find(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} is not installed"
        return Feature(name, works=False, reason=reason, hint=f"install the package {package}")
    return Feature(name, works=True, detail=", ".join(wanted))


def _control_groups() -> Feature:
    where = hierarchy.here()
    kinds = []
    if where.legacy:
        kinds.append(f"version 1 ({', '.join(sorted(where.legacy))})")
    if where.unified:
        kinds.append("version 2")
    if not kinds:
        return Feature("control groups", works=False, reason="none are mounted")
    return Feature("control groups", works=True, detail=" and ".join(kinds))


def _network_helper() -> Feature:
    missing = usernet.missing()
    if not missing:
        return Feature("network helper", works=True, detail="slirp4netns or pasta")
    hint = "install slirp4netns; /dev/net/tun needs mode 0666, as udev gives it"
    return Feature("network helper", works=False, reason=missing, hint=hint)


def _foreign_programs() -> Feature:
    try:
        names = sorted(set(os.listdir(_BINFMT)) - {"register", "status"})
    except OSError:
        names = []
    emulators = [name.removeprefix("qemu-") for name in names if name.startswith("qemu-")]
    if emulators:
        return Feature("foreign programs", works=True, detail=", ".join(emulators))
    return Feature(
        "foreign programs",
        works=False,
        reason="no emulators are registered with binfmt_misc",
        hint="install qemu-user-static",
    )


def _try_overlay() -> str:
    rootless.enter()
    base = mounts.file_system("tmpfs", 0, {"mode": "0700"})
    syscalls.move_mount(base, syscalls.AT_FDCWD, "/tmp")  # noqa: S108 - in our own namespace
    for name in ("lower", "upper", "work"):
        os.mkdir(name, dir_fd=base)
    paths = [f"/proc/self/fd/{base}/{name}" for name in ("lower", "upper", "work")]
    mounts.overlay_fd([paths[0]], paths[1], paths[2])
    return "volatile"


def upper_at(place: str) -> Feature:
    """Try whether the file system of the directory `place` can hold the changes of an overlay."""

    def attempt() -> str:
        rootless.enter()
        with tempfile.TemporaryDirectory(dir=place, prefix=".pybuild-doctor-") as made:
            paths = [f"{made}/{name}" for name in ("lower", "upper", "work")]
            for path in paths:
                os.mkdir(path)
            os.close(mounts.overlay_fd([paths[0]], paths[1], paths[2]))
        return "snapshotter overlay"

    hint = (
        "each RUN and each container works on a copy of the image, snapshotter copy: a state root "
        "on ext4, XFS or btrfs is quicker and needs less space"
    )
    found = _tried(UPPER, attempt)
    return found if found.works else found._replace(hint=hint)


def _try_proc() -> str:
    rootless.enter()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            mounts.file_system("proc", 0, {})
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))
    return ""


def _try_limits() -> str:
    rootless.enter()
    resources = Resources(memory=1 << 26, pids=10, cpus=1)
    delegation.make_room(resources)
    group = cgroups.Maker().make(resources)
    if group is not None:
        group.remove()
    return "memory, pids, cpus"


def _try_network() -> str:
    rootless.enter()
    made = network.create()
    made.close()
    if made.reason:
        raise SandboxError(made.reason, hint="use --network=host")
    return "bridge with NAT" if isinstance(made.carrier, bridge.Attached) else "helper"


def _tried(name: str, attempt: Callable[[], object], *, hint: str = "") -> Feature:
    """Return whether `attempt` works in a child of ours; it returns a detail."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, _outcome(attempt, hint).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        fields = file.read().decode().split("\0")
    os.waitpid(pid, 0)
    if len(fields) != 4:
        return Feature(name, works=False, reason="the attempt ended early", hint=hint)
    return Feature(name, fields[0] == "yes", *fields[1:])


def _outcome(attempt: Callable[[], object], hint: str) -> str:
    """Return works, reason, hint and detail of an attempt."""
    try:
        detail = attempt()
    except SandboxError as error:
        return "\0".join(("no", error.message, error.hint or hint, ""))
    except OSError as error:
        return "\0".join(("no", explain(error), hint, ""))
    if isinstance(detail, rootless.Identity):
        kinds = {
            "root": "mount namespace, as root",
            "subordinate": "user namespace with subordinate ids",
            "single": f"user namespace with one id, owners are recorded: {detail.reason}",
        }
        detail = kinds[detail.kind]
    return "\0".join(("yes", "", "", str(detail)))
