"""A network namespace with a way out, for all steps of a build or one container.

In: nothing but the machine. Out: `Namespace`, whose descriptor goes into `SandboxSpec`. As the
machine's root it is connected to a bridge with NAT; otherwise slirp4netns or pasta carries its
traffic; where neither can be, it has its loopback only, and says why.
Source: network_namespaces(7).
"""

from __future__ import annotations

import os
import threading

from runtime import bridge, loopback, mounts, syscalls, usernet
from runtime.bridge import Attached
from runtime.errors import SandboxError, SpecError, UnsupportedError, explain
from runtime.netlink import Netlink
from runtime.usernet import Helper
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.spec import SandboxSpec


class Namespace(NamedTuple):
    """A network namespace; `fd` keeps it alive, sandboxes join it by `SandboxSpec.network_fd`.

    `address` is its own, if known; `servers` are name servers in place of the host's, if any.
    `reason` says why it has no way out, and is empty if it has one.
    """

    fd: int
    address: str = ""
    servers: tuple[str, ...] = ()
    reason: str = ""
    carrier: Attached | Helper | None = None

    def joined(self, spec: SandboxSpec) -> SandboxSpec:
        """Return `spec` on this network, if it asks for the default one."""
        if spec.network != "default":
            return spec
        servers = spec.resolver.servers or self.servers
        resolver = spec.resolver._replace(servers=servers)
        return spec._replace(network_fd=self.fd, address=self.address, resolver=resolver)

    def close(self) -> None:
        """Let go of the namespace, and end what carries its traffic."""
        os.close(self.fd)
        match self.carrier:
            case Attached():
                bridge.detach(self.carrier)
            case Helper():
                usernet.stop(self.carrier)
            case None:
                return


def create(
    shared: str = "", there: int | None = None, address: str = "", mac: str = ""
) -> Namespace:
    """Make a namespace, and connect it as well as it can be. May be called from any thread.

    `shared`: the directory of an ordinary user's common network (`commons.py`), which the caller
    has entered. `there`: a namespace that is to be connected, in place of a new one. `address` and
    `mac`: those it shall have on the bridge; raises SandboxError where it cannot.
    """
    reasons: list[str] = []
    if shared:
        servers = (usernet.SERVER,)
        attach = lambda namespace: _in_commons(namespace, shared, address)  # noqa: E731
        return _on_bridge(attach, servers, there, mac)
    if mounts.in_initial_user_namespace():
        try:
            attach = lambda namespace: bridge.attach(namespace, address)  # noqa: E731
            return _on_bridge(attach, (), there, mac)
        except SpecError:
            raise
        except (OSError, SandboxError) as error:
            reasons.append(f"no bridge: {_text(error)}")
    if address or mac:
        raise UnsupportedError("an address of its own choice", "; ".join(reasons) or "no bridge")
    fd = _new(loopback.up, there)
    missing = usernet.missing()
    if not missing:
        try:
            helper = usernet.start(fd)
        except OSError as error:
            missing = _text(error)
        else:
            return Namespace(fd, helper.address, helper.servers, carrier=helper)
    reasons.append(f"no helper: {missing}")
    return Namespace(fd, reason="; ".join(reasons))


def _in_commons(namespace: int, shared: str, address: str) -> Attached:
    """Attach a namespace to the bridge of a user's common network."""
    from runtime import commons  # for these only

    there = commons.network_namespace(shared)
    made: list[Attached] = []
    worker = _Worker(lambda: made.append(commons.attach(namespace, shared, address)), there)
    failure = worker.join()
    os.close(worker.fd)
    os.close(there)
    if failure is not None:
        raise failure
    return made[0]


def _on_bridge(
    attach: Callable[[int], Attached],
    servers: tuple[str, ...],
    there: int | None,
    mac: str,
) -> Namespace:
    connected = threading.Event()
    finished: list[Attached] = []

    def configure() -> None:
        loopback.up()
        connected.wait()
        if finished:
            _configure(finished[0], mac)

    worker = _Worker(configure, there)
    try:
        finished.append(attach(worker.namespace()))
    finally:
        connected.set()
        failure = worker.join()
    attached = finished[0]
    if failure is not None:
        os.close(worker.fd)
        bridge.detach(attached)
        raise failure
    return Namespace(worker.fd, attached.address, servers, carrier=attached)


def _configure(attached: Attached, mac: str) -> None:
    """Give `eth0` its addresses, from inside the namespace."""
    with Netlink() as netlink:
        if mac:
            netlink.set_mac("eth0", mac)
        netlink.add_address("eth0", attached.address, bridge.PREFIX)
        netlink.set_up("eth0")
        netlink.add_default_route(attached.gateway)


def _new(configure: Callable[[], None], there: int | None) -> int:
    """Make a namespace, or take that which is there, run something in it; return a descriptor."""
    worker = _Worker(configure, there)
    fd = worker.namespace()
    failure = worker.join()
    if failure is not None:
        os.close(fd)
        raise failure
    return fd


class _Worker:
    """A thread in a network namespace, a new one or `there`: threads can be in different ones."""

    def __init__(self, configure: Callable[[], None], there: int | None = None) -> None:
        self.fd = -1
        self._there = there
        self._failure: Exception | None = None
        self._made = threading.Event()
        self._configure = configure
        self._thread = threading.Thread(target=self._run, name="network")
        self._thread.start()

    def _run(self) -> None:
        try:
            if self._there is None:
                syscalls.unshare(syscalls.CLONE_NEWNET)
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            else:
                syscalls.setns(self._there, syscalls.CLONE_NEWNET)
                self.fd = os.dup(self._there)
            self._made.set()
            self._configure()
        except (OSError, SandboxError) as error:
            self._failure = error
        finally:
            self._made.set()

    def namespace(self) -> int:
        """Wait for the namespace; return its descriptor."""
        self._made.wait()
        if self.fd < 0 and self._failure is not None:
            raise self._failure
        return self.fd

    def join(self) -> Exception | None:
        """Wait for the thread; return what went wrong in it."""
        self._thread.join()
        return self._failure


def _text(error: Exception) -> str:
    if isinstance(error, SandboxError):
        return error.message
    return explain(error) if isinstance(error, OSError) else str(error)
