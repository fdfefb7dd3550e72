"""`host-gateway` as an address."""

import ipaddress

import pytest

from runtime.bridge import Attached
from runtime.gateway import with_gateway
from runtime.network import Namespace
from runtime.spec import NetworkMode, Process, RootFs, SandboxSpec
from runtime.usernet import Helper

BRIDGE = Namespace(-1, carrier=Attached("10.1.2.3", "10.1.2.1", 1500, ()))
COMMON = Namespace(-1, carrier=Attached("10.1.2.3", "10.1.2.1", 1500, (), "/home/user/network"))
HELPER = Namespace(-1, carrier=Helper(0, -1, "10.0.2.100", ()))


def address(network: NetworkMode, namespace: Namespace | None) -> str:
    hosts = (("a", "10.9.9.9"), ("b", "host-gateway"))
    spec = SandboxSpec(RootFs(()), Process(()), network=network, extra_hosts=hosts)
    first, second = with_gateway(spec, namespace).extra_hosts
    assert (first, second[0]) == (("a", "10.9.9.9"), "b")
    return second[1]


@pytest.mark.parametrize(
    ("network", "namespace", "expected"),
    [
        ("default", BRIDGE, "10.1.2.1"),
        ("host", None, "127.0.0.1"),
        ("none", None, "127.0.0.1"),
    ],
)
def test_the_machine_is_reached_by_the_bridge_or_is_the_sandbox_itself(
    network: NetworkMode, namespace: Namespace | None, expected: str
) -> None:
    assert address(network, namespace) == expected


def test_a_helper_carries_to_an_address_of_the_machine() -> None:
    for namespace in (HELPER, COMMON):
        found = address("default", namespace)
        assert ipaddress.ip_address(found).version == 4
        assert found != "10.1.2.1"


def test_what_asks_for_no_gateway_stays_as_it_is() -> None:
    spec = SandboxSpec(RootFs(()), Process(()), extra_hosts=(("a", "10.9.9.9"),))
    assert with_gateway(spec, BRIDGE) is spec
