"""The network of another container, for one that shares it (`run --network container:NAME`).

In: the directory of a container that runs. Out: a descriptor of its network namespace, and what
it knows of names. Source: namespaces(7); docker's reference of `run`, "container networks".
"""

import os

from runtime import container, safepath
from runtime.errors import StateError
from runtime.spec import Bind, NetworkMode, SandboxSpec
from runtime.values import NamedTuple

_LIMIT = 64 << 10


class Beside(NamedTuple):
    """What is shared. `fd` is the caller's to close; -1 where the other is on the host's network.

    `hosts`: the path of the other's hosts file, empty where it has none of its own.
    """

    fd: int
    address: str = ""
    servers: tuple[str, ...] = ()
    hosts: str = ""

    @classmethod
    def of(cls, directory: str) -> "Beside":
        """Return the network of the container in `directory`.

        Raises StateError where it does not run, OSError where its network cannot be entered.
        """
        state = _running(directory)
        if container.read_task(directory).spec.network == "host":
            return cls(-1)
        fd = os.open(f"/proc/{state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _running(directory)  # so the number was still its own
            servers = _servers(state.pid)
        except BaseException:
            os.close(fd)
            raise
        hosts = f"{directory}/hosts"
        return cls(fd, state.address, servers, hosts if os.path.exists(hosts) else "")

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
        if self.hosts and spec.manage_etc:
            hosts = Bind(self.hosts, "/etc/hosts", readonly=False, flags=("nosuid", "noexec"))
            spec = spec._replace(mounts=(*spec.mounts, hosts))
        return spec

    def close(self) -> None:
        """Let go of the namespace."""
        if self.fd >= 0:
            os.close(self.fd)


def _running(directory: str) -> container.State:
    try:
        state = container.read_state(directory)
    except OSError:
        state = container.State("exited")
    if state.status not in ("running", "paused") or not state.pid:
        raise StateError(
            f"container {os.path.basename(directory)[:12]}, whose network is to be shared, "
            "does not run",
            hint="start it first",
        )
    return state


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
