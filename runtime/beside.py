"""The network of another container, for one that shares it (`run --network container:NAME`).

In: the directory of a container that runs. Out: a descriptor of its network namespace, and what
it knows of names. Source: namespaces(7); docker's reference of `run`, "container networks".
"""

from __future__ import annotations

import fcntl
import os

from runtime import container, joining, safepath
from runtime.spec import Bind, NetworkMode, SandboxSpec
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_LIMIT = 64 << 10
_GET_PARENT = 0xB702
"""NS_GET_PARENT of ioctl_ns(2)."""


class Beside(NamedTuple):
    """What is shared. `fd` is the caller's to close; -1 where the other is on the host's network.

    `hosts`: the path of the other's hosts file, empty where it has none of its own.
    """

    fd: int
    address: str = ""
    servers: tuple[str, ...] = ()
    hosts: str = ""

    @classmethod
    def of(cls, directory: str) -> Beside:
        """Return the network of the container in `directory`.

        Raises StateError where it does not run, UnsupportedError where it cannot be entered.
        """
        state = joining.running(directory, "network")
        if container.read_task(directory).spec.network == "host":
            return cls(-1)
        fd = joining.of_container("network", directory)
        try:
            servers = _servers(state.pid)
        except BaseException:
            os.close(fd)
            raise
        hosts = f"{directory}/hosts"
        return cls(fd, state.address, servers, hosts if os.path.exists(hosts) else "")

    @classmethod
    def at(cls, path: str) -> Beside:
        """Return the network namespace at a path. Raises UnsupportedError for what is none."""
        fd = joining.of_path("network", path)
        if os.path.samestat(os.fstat(fd), os.stat("/proc/self/ns/net")):
            # So that it is treated as the host's.
            os.close(fd)
            return cls(-1)
        return cls(fd)

    @property
    def mode(self) -> NetworkMode:
        """The mode of a sandbox on this network."""
        return "host" if self.fd < 0 else "default"

    def joined(self, spec: SandboxSpec) -> SandboxSpec:
        """Return `spec` on this network."""
        if self.fd < 0:
            return spec._replace(network="host")
        servers = spec.resolver.servers or self.servers
        spec = spec._replace(
            network="default",
            network_fd=self.fd,
            address=self.address,
            resolver=spec.resolver._replace(servers=servers),
        )
        if self.hosts and spec.manage_etc and "/etc/hosts" not in spec.unmanaged:
            hosts = Bind(self.hosts, "/etc/hosts", readonly=False, flags=("nosuid", "noexec"))
            spec = spec._replace(mounts=(*spec.mounts, hosts))
        return spec

    def close(self) -> None:
        """Let go of the namespace."""
        if self.fd >= 0:
            os.close(self.fd)


def user_namespace(containers: str, names: Sequence[str]) -> int | None:
    """Return the user namespace in which the first of some containers was made.

    `containers` is the directory of all of them. An ordinary user's process can share namespaces
    with a container from within its user namespace alone. None where there is none to be entered.
    """
    for name in names:
        directory = _directory(containers, name)
        if directory is None:
            continue
        try:
            pid = container.read_state(directory).pid
            fd = os.open(f"/proc/{pid or 'none'}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            if container.read_task(directory).spec.ids is None:
                return fd
            try:
                return fcntl.ioctl(fd, _GET_PARENT)
            finally:
                os.close(fd)
        except (OSError, ValueError):
            continue
    return None


def shared_by(containers: str, name: str) -> tuple[str, ...]:
    """Return the IDs of the containers whose namespaces a container shares."""
    directory = _directory(containers, name)
    if directory is None:
        return ()
    try:
        task = container.read_task(directory)
    except (OSError, ValueError):
        return ()
    others = (task.beside, *(one.where for one in task.shared if one.kind == "container"))
    return tuple(os.path.basename(other) for other in others if other)


def _directory(containers: str, name: str) -> str | None:
    """Return the directory that a name or the beginning of an ID means, None for none."""
    if not name or "/" in name or name[0] == ".":
        return None
    linked = f"{containers}/names/{name}"
    if os.path.exists(linked):
        return os.path.realpath(linked)
    try:
        found = [one for one in os.listdir(containers) if one.startswith(name)]
    except OSError:
        return None
    return f"{containers}/{found[0]}" if len(found) == 1 else None


def _servers(pid: int) -> tuple[str, ...]:
    """Return the name servers of a container, from the file its programs read."""
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        fd = safepath.open_beneath(root, "/etc/resolv.conf", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ()
    finally:
        os.close(root)
    try:
        text = os.read(fd, _LIMIT).decode("utf-8", "replace")
    except OSError:
        return ()
    finally:
        os.close(fd)
    words = [line.split() for line in text.splitlines()]
    return tuple(line[1] for line in words if len(line) > 1 and line[0] == "nameserver")
