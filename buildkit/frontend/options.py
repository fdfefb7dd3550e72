"""What the command line decides about how a Dockerfile becomes a graph.

Values only, no path of this machine. A valueless `--build-arg NAME` was looked up by the command
line already; what it did not find is not here.
"""

from __future__ import annotations

from types import MappingProxyType

from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from buildkit.llb.op import NetworkMode
    from buildkit.oci.platforms import Platform


ContextKind: TypeAlias = Literal["local", "image", "git", "http"]

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"


class NamedContext(NamedTuple):
    """What `--build-context NAME=VALUE` names.

    `value`: for `image` a reference or `oci-layout://…`, for `git` and `http` the URL; empty for
    `local`, since where a directory lies is known to the context alone.
    """

    kind: ContextKind
    value: str = ""


class LowerOptions(NamedTuple):
    """Everything besides the Dockerfile and its base images that decides what the graph is.

    `platform` is None when nobody asked for one: then it is `build_platform`, and the image says
    what its base says. `target` is a stage's name or number, empty for the last one. `contexts` by
    name, perhaps with `::os/arch` behind it. `allow`: entitlements (`network.host`). `network` is
    the build's `--network` and needs no entitlement here. `source_date_epoch` in seconds, overruled
    by a build argument SOURCE_DATE_EPOCH. `several`: this is one of several platforms, and names of
    steps say which.
    """

    build_platform: Platform
    platform: Platform | None = None
    target: str = ""
    build_args: Mapping[str, str] = MappingProxyType({})
    labels: tuple[tuple[str, str], ...] = ()
    network: NetworkMode = "default"
    allow: frozenset[str] = frozenset()
    contexts: Mapping[str, NamedContext] = MappingProxyType({})
    add_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: tuple[str, ...] = ()
    hostname: str = "buildkitsandbox"
    source_date_epoch: int | None = None
    several: bool = False

    @property
    def target_platform(self) -> Platform:
        """The platform that is built for."""
        return self.platform or self.build_platform
