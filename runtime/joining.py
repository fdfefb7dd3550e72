"""The namespaces that a container has from another, or from a file: `--ipc`, `--uts`, `--cgroupns`.

In: `Shared` values of a task. Out: the spec with a descriptor of each to enter, and with the shared
memory of whose IPC namespace it is. Those of the caller itself need no more than not to leave them.
Source: namespaces(7), setns(2); docker's reference of `run`, "IPC settings".
"""

from __future__ import annotations

import fcntl
import os

from runtime import container, mounts, safepath, syscalls
from runtime.channel import Channel, Ready
from runtime.errors import StateError, UnsupportedError
from runtime.spec import BindFd, MountFlag, SandboxSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.container import Shared, Task


_KINDS: Mapping[str, tuple[str, int]] = {
    "ipc": ("ipc", syscalls.CLONE_NEWIPC),
    "uts": ("uts", syscalls.CLONE_NEWUTS),
    "cgroup": ("cgroup", syscalls.CLONE_NEWCGROUP),
    "network": ("net", syscalls.CLONE_NEWNET),
    "user": ("user", syscalls.CLONE_NEWUSER),
}
"""The file in /proc/PID/ns of each, and its flag."""

_FLAGS: tuple[MountFlag, ...] = ("nosuid", "noexec")
SHM = "/dev/shm"  # noqa: S108 - inside of a container
_GET_TYPE = 0xB703
"""NS_GET_NSTYPE of ioctl_ns(2)."""


def joined(task: Task, spec: SandboxSpec) -> SandboxSpec:
    """Return `spec` with what its sandbox enters; the descriptors are used up by it.

    Raises StateError where the other container does not run, UnsupportedError for what is no such
    namespace.
    """
    found: list[tuple[str, int]] = []
    memory: list[BindFd] = []
    try:
        for one in task.shared:
            if one.namespace in ("network", "user"):
                continue  # these are the uplink's
            found.append((one.namespace, opened(one)))
            if one.namespace == "ipc" and one.kind == "container":
                fd = _memory(one.where)
                memory.append(BindFd(fd, SHM, readonly=False, flags=_FLAGS, source=SHM))
    except BaseException:
        for fd in (*(fd for _name, fd in found), *(mount.fd for mount in memory)):
            os.close(fd)
        raise
    return spec._replace(joined=tuple(found), mounts=(*spec.mounts, *memory))


def running(directory: str, namespace: str) -> container.State:
    """Return how a container is. Raises StateError where it does not run."""
    try:
        state = container.read_state(directory)
    except OSError:
        state = container.State("exited")
    what = "user namespace" if namespace == "user" else namespace
    if state.status not in ("running", "paused") or not state.pid:
        raise StateError(
            f"container {os.path.basename(directory)[:12]}, whose {what} is to be shared, "
            "does not run",
            hint="start it first",
        )
    return state


def opened(one: Shared) -> int:
    """Return a descriptor of a namespace. Raises StateError, UnsupportedError."""
    of = of_path if one.kind == "path" else of_container
    return of(one.namespace, one.where)


def of_path(namespace: str, path: str) -> int:
    """Return a descriptor of the namespace at a path. Raises UnsupportedError for what is none."""
    try:
        # Nothing else is opened: a pipe would keep us waiting, a device might act.
        if os.stat(path).st_dev != os.stat("/proc/self/ns/uts").st_dev:
            raise UnsupportedError(f"the {namespace} namespace {path}", "it is no namespace")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UnsupportedError(f"the {namespace} namespace {path}", reason) from error
    try:
        if fcntl.ioctl(fd, _GET_TYPE) != _KINDS[namespace][1]:
            raise UnsupportedError(f"the {namespace} namespace {path}", "it is one of another kind")
    except BaseException:
        os.close(fd)
        raise
    return fd


def of_container(namespace: str, directory: str) -> int:
    """Return a descriptor of a namespace of a container. Raises StateError, UnsupportedError."""
    pid = running(directory, namespace).pid
    fd = _open(pid, _KINDS[namespace][0], namespace)
    try:
        running(directory, namespace)  # so the number was still its own
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(pid: int, file: str, namespace: str) -> int:
    try:
        return os.open(f"/proc/{pid}/ns/{file}", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise UnsupportedError(
            f"the {namespace} namespace of another container",
            "it belongs to another user namespace",
        ) from error


def _memory(directory: str) -> int:
    """Return a copy of the mount of a container's /dev/shm, detached.

    Only who is in its mount namespace may copy a mount there, so a child goes.
    """
    pid = running(directory, "ipc").pid
    namespace = _open(pid, "mnt", "ipc")
    ours, theirs = Channel.pair()
    try:
        child = os.fork()
        if child == 0:
            try:
                syscalls.setns(namespace, syscalls.CLONE_NEWNS)
                root = os.open("/", os.O_PATH | os.O_DIRECTORY)
                place = safepath.open_beneath(root, SHM, os.O_PATH | os.O_DIRECTORY)
                theirs.send(Ready((), terminal=False), [mounts.pin(place)])
            finally:
                os._exit(0)
        theirs.close()
        received = ours.receive()
        os.waitpid(child, 0)
    finally:
        os.close(namespace)
        theirs.close()
        ours.close()
    if received is None or not received[1]:
        raise UnsupportedError("the shared memory of another container", "it cannot be reached")
    return received[1][0]
