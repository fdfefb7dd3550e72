"""The network of a container for as long as its monitor lives: namespace, ports, names.

In: a `Task`. Out: its spec on that network, with an /etc/hosts that knows the neighbours.
"""

from __future__ import annotations

import os

from runtime.spec import Bind, SandboxSpec
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.beside import Beside
    from runtime.container import Port, Task
    from runtime.network import Namespace
    from runtime.pool import Pool
    from runtime.userns import UserNamespace


_KILL = 9


class Uplink(NamedTuple):
    """What was made for a task; `ports` with the numbers they got on the host.

    `carrier` is the process that carries them, 0 for none.
    """

    task: Task
    namespace: Namespace | None = None
    ports: tuple[Port, ...] = ()
    carrier: int = 0
    beside: Beside | None = None
    own: UserNamespace | None = None

    @classmethod
    def make(cls, task: Task) -> Uplink:
        """Make the network that the task asks for. Raises OSError, SandboxError."""
        if task.beside:
            from runtime.beside import Beside  # for containers that share a network

            return cls(task, beside=Beside.of(task.beside), own=_own(task, network=False))
        path = next((one.where for one in task.shared if one.namespace == "network"), "")
        if path:
            from runtime.beside import Beside  # for this network only

            return cls(task, beside=Beside.at(path))
        own = _own(task, network=task.spec.network == "default")
        if task.spec.network != "default":
            return cls(task, own=own)
        from runtime import network, published  # for containers that have one

        opened = published.listen(task.ports)
        namespace = None
        try:
            there = None if own is None else own.network
            namespace = network.create(task.commons, there, *task.place)
            made = cls(task, namespace, tuple(one.port for one in opened), own=own)
            made._name()
            if opened:
                carrier = published.carry(opened, namespace.fd, namespace.address)
                made = made._replace(carrier=carrier)
        except BaseException:
            if namespace is not None:
                namespace.close()
            raise
        finally:
            published.close(opened)
        return made

    @property
    def address(self) -> str:
        """The container's own address, if it has one of its own."""
        if self.beside is not None:
            return self.beside.address
        return "" if self.namespace is None else self.namespace.address

    @property
    def _pool(self) -> Pool | None:
        """Who else is on the same bridge, if it is on one."""
        from runtime.bridge import Attached  # there already, if it is
        from runtime.pool import Pool

        carrier = None if self.namespace is None else self.namespace.carrier
        return Pool(carrier.directory) if isinstance(carrier, Attached) else None

    def _name(self) -> None:
        """Write the hosts file, and let the neighbours know."""
        task = self.task
        if self._pool is None or not task.spec.manage_etc:
            return
        from runtime import etc, neighbours  # for this network only

        path = f"{task.directory}/hosts"
        extra = _with_gateway(task.spec, self.namespace).extra_hosts
        text = etc.hosts(task.spec.hostname, self.address, extra)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(path, 0o644)
        if task.spec.ids is not None:
            os.chown(path, *task.spec.ids.root)
        neighbours.announce(self._pool, self.address, task.names, path)

    def joined(self, spec: SandboxSpec) -> SandboxSpec:
        """Return `spec` on this network."""
        if self.beside is not None:
            return self.beside.joined(spec)
        spec = _with_gateway(spec, self.namespace)
        if self.namespace is None:
            return spec
        spec = self.namespace.joined(spec)
        if self._pool is not None and spec.manage_etc and "/etc/hosts" not in spec.unmanaged:
            path = f"{self.task.directory}/hosts"
            hosts = Bind(path, "/etc/hosts", readonly=False, flags=("nosuid", "noexec"))
            spec = spec._replace(mounts=(*spec.mounts, hosts))
        return spec

    @property
    def user(self) -> int | None:
        """The user namespace of the container, if it has one of its own."""
        return None if self.own is None else self.own.fd

    def unpublish(self) -> None:
        """Give the ports back."""
        if self.carrier:
            os.kill(self.carrier, _KILL)
            os.waitpid(self.carrier, 0)

    def close(self) -> None:
        """Leave the network."""
        if self.beside is not None:
            self.beside.close()
        if self.own is not None:
            self.own.close()
        if self.namespace is None:
            return
        from runtime import neighbours  # there already

        if self._pool is not None and self.task.spec.manage_etc:
            neighbours.leave(self._pool, self.address)
        self.namespace.close()


def _with_gateway(spec: SandboxSpec, namespace: Namespace | None) -> SandboxSpec:
    if all(address != "host-gateway" for _name, address in spec.extra_hosts):
        return spec
    from runtime import gateway  # for this word only

    return gateway.with_gateway(spec, namespace)


def _own(task: Task, *, network: bool) -> UserNamespace | None:
    """Make the user namespace of a container that shall have one, or find that of others."""
    if task.spec.ids is None:
        return None
    from runtime import userns  # for those who have one

    shared = next((one for one in task.shared if one.namespace == "user"), None)
    if shared is None:
        return userns.make(task.spec.ids, network=network)
    from runtime import joining  # for those who have it from others

    return userns.join(joining.opened(shared), task.spec.ids, network=network)
