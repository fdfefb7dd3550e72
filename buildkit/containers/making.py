"""What a container is made from: what the user asked for, and what that comes to.

In: values of the command line, an image or a directory, and a layer to write in.
"""

from __future__ import annotations

from buildkit.containers.mounts import ImageVolumes, Wanted
from buildkit.containers.record import ImageMount, Secret
from buildkit.launch import RunOptions
from buildkit.oci.config import ContainerConfig, ResolvedImage
from buildkit.snapshot.snapshot import Active
from runtime.container import HealthCheck, Logging, Place, Port, Restart
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.containers import namespaces
    from buildkit.containers.own_ids import OwnIds
    from buildkit.containers.user_mode import UserMode


class Wishes(NamedTuple):
    """What the user asked for beside the sandbox; see `Task` and `Record` for the meanings.

    `beside`: a name or an ID of the container whose network it shares. `images`: what those of
    `mounts` come to that are of an image.
    `signal` 0 and `health` None: what the image says; `checks` false: no check at all.
    `identity`: its 64 hex digits, where somebody has to know them beforehand.
    """

    options: RunOptions = RunOptions()
    name: str = ""
    identity: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Wanted, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ports: tuple[Port, ...] = ()
    exposed: tuple[str, ...] = ()
    publish_all: bool = False
    signal: int = 0
    stop_timeout: float = 10.0
    timeout: float = 0.0
    restart: Restart = Restart()
    logging: Logging = Logging()
    health: HealthCheck | None = None
    checks: bool = True
    interactive: bool = False
    attached: bool = True
    remove: bool = False
    beside: str = ""
    userns: UserMode | None = None
    namespaces: tuple[namespaces.Wanted, ...] = ()
    volumes_from: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    pidfile: str = ""
    place: Place = Place()
    aliases: tuple[str, ...] = ()
    image_volumes: ImageVolumes = "bind"
    images: tuple[ImageMount, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """The containers with which it shares namespaces, by name or ID."""
        found = [one.where for one in self.namespaces if one.kind == "container"]
        if self.userns is not None and self.userns.kind == "container":
            found.append(self.userns.where)
        return (self.beside, *found) if self.beside else tuple(found)


class Making(NamedTuple):
    """What a container is made from."""

    image: ResolvedImage | None
    config: ContainerConfig
    active: Active
    wishes: Wishes
    rootfs: str = ""
    own: OwnIds | None = None
    copied: bool = False
