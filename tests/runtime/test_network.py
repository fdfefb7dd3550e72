"""Networks with a way out: the bridge of root, and the helper of an ordinary user."""

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from runtime import bridge, netlink, network, usernet
from runtime.errors import UnsupportedError
from runtime.network import Namespace
from runtime.sandbox import Zygote
from runtime.spec import Process, Resolver, RootFs, SandboxSpec
from tests import tun
from tests.kernel import needs, ordinary_user, require
from tests.runtime.conftest import Sandboxes

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000570A\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0
"""


@pytest.fixture
def connected() -> Iterator[Namespace]:
    namespace = network.create()
    yield namespace
    namespace.close()


def run(sandboxes: Sandboxes, namespace: Namespace, script: str) -> tuple[int, str]:
    output = os.memfd_create("output")
    spec = SandboxSpec(
        root=RootFs((sandboxes.root,)),
        process=Process(("sh", "-c", script), env=(("PATH", "/bin"),)),
        hostname="box",
    )
    with Zygote.start() as zygote:
        status = zygote.run(namespace.joined(spec), stdout=output, timeout=60)
    with open(output) as file:
        file.seek(0)
        return status.code, file.read()


@needs("bridge")
def test_a_sandbox_on_the_bridge_has_an_address_and_a_route(
    as_root: Sandboxes, connected: Namespace
) -> None:
    assert connected.reason == ""
    code, output = run(as_root, connected, "ip addr show eth0; ip route; grep box /etc/hosts")
    assert code == 0
    assert f"inet {connected.address}/24" in output
    assert "default via 10.87." in output
    assert output.splitlines()[-1] == f"{connected.address}\tbox"


@needs("bridge")
def test_a_sandbox_reaches_the_host_and_others_reach_it(
    as_root: Sandboxes, connected: Namespace
) -> None:
    gateway = connected.address.rpartition(".")[0] + ".1"
    with socket.create_server((gateway, 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"hello\n")

        answered = threading.Thread(target=answer)
        answered.start()
        code, output = run(as_root, connected, f"nc {gateway} {server.getsockname()[1]} </dev/null")
        answered.join()
    assert (code, output) == (0, "hello\n")


@needs("bridge")
def test_steps_share_one_namespace(as_root: Sandboxes, connected: Namespace) -> None:
    first = run(as_root, connected, "readlink /proc/self/ns/net")
    assert first == run(as_root, connected, "readlink /proc/self/ns/net")


@needs("bridge")
def test_addresses_differ_and_the_last_one_takes_the_bridge_away() -> None:
    one, other = network.create(), network.create()
    assert one.address != other.address
    one.close()
    assert os.path.exists(f"/sys/class/net/{bridge.NAME}")
    other.close()
    # Somebody else may use it as well; then it stays.
    if os.path.exists(f"/sys/class/net/{bridge.NAME}"):
        network.create().close()


@pytest.fixture(params=tun.HELPERS)
def helped(request: pytest.FixtureRequest) -> Iterator[Sandboxes]:
    """Give an ordinary user's sandboxes, where one of the helpers is there."""
    require(request.param)
    user = ordinary_user()
    if os.geteuid() != 0 or user is None:
        require("helper")
        yield request.getfixturevalue("as_rootless")
        return
    require("tun")
    with tun.shown(user, [name for name in tun.HELPERS if name != request.param]) as identity:
        sandboxes = Sandboxes("rootless", identity)
        yield sandboxes
        sandboxes.close()


def test_without_privileges_a_helper_carries(helped: Sandboxes) -> None:
    code, output = helped.call("outbound", helped.root, "ip route; cat /etc/resolv.conf")
    assert code == 0
    assert "default " in output
    assert f"nameserver {usernet.SERVER}\n" in output


def test_only_the_default_network_is_joined() -> None:
    namespace = Namespace(7, "10.0.2.100", ("10.0.2.3",))
    spec = SandboxSpec(root=RootFs(("/",)), process=Process(("x",)))
    joined = namespace.joined(spec)
    assert (joined.network_fd, joined.address) == (7, "10.0.2.100")
    assert joined.resolver.servers == ("10.0.2.3",)
    own = spec._replace(resolver=Resolver(servers=("192.0.2.1",)))
    assert namespace.joined(own).resolver.servers == ("192.0.2.1",)
    host = spec._replace(network="host")
    assert namespace.joined(host) == host


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usernet, "program", lambda _name: None)
    monkeypatch.setattr(usernet, "_TUN", "/dev/null")
    assert usernet.missing() == "neither slirp4netns nor pasta is installed"
    monkeypatch.setattr(usernet, "_TUN", "/dev/no/tun")
    assert usernet.missing() == "there is no /dev/no/tun"


def test_a_network_that_the_host_uses_is_not_taken() -> None:
    # 10.87.0.0/15 is routed through eth0.
    with pytest.raises(UnsupportedError, match=r"10\.87\.0\.0/16 are in use"):
        bridge._free_network(ROUTES)
    assert bridge._free_network(ROUTES.replace("0000FEFF", "00F0FFFF")) == "10.87.16"
    assert bridge._free_network("") == "10.87.0"


def test_attributes_are_padded_to_four_bytes() -> None:
    assert netlink.attribute(3, b"lo\0") == struct.pack("=HH", 7, 3) + b"lo\0\0"
    assert netlink.attribute(4, b"1234") == struct.pack("=HH", 8, 4) + b"1234"
