"""`--add-host NAME:host-gateway`: the address by which a sandbox reaches the machine it runs on.

In: a sandbox and the network it is on. Out: the sandbox with an address in place of the word.
"""

from __future__ import annotations

import socket

from runtime import bridge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.network import Namespace
    from runtime.spec import SandboxSpec

HOST_GATEWAY = "host-gateway"

_LOOPBACK = "127.0.0.1"
_ELSEWHERE = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737); nothing is sent there."""


def with_gateway(spec: SandboxSpec, network: Namespace | None) -> SandboxSpec:
    """Return `spec`, which has joined `network`, without the word `host-gateway`."""
    if all(address != HOST_GATEWAY for _, address in spec.extra_hosts):
        return spec
    found = _address(spec, network)
    return spec._replace(
        extra_hosts=tuple(
            (name, found if address == HOST_GATEWAY else address)
            for name, address in spec.extra_hosts
        )
    )


def _address(spec: SandboxSpec, network: Namespace | None) -> str:
    if spec.network != "default" or network is None:
        return _LOOPBACK
    carrier = network.carrier
    if isinstance(carrier, bridge.Attached) and carrier.directory == bridge.STATE:
        return carrier.gateway
    # An ordinary user's bridge is not the machine's; behind it, or without one, is a helper. That
    # carries traffic to an address of ours, but not to its own gateway.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return _LOOPBACK
        return str(asking.getsockname()[0])
