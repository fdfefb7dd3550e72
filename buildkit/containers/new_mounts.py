"""The volumes of a new container, and what its sandbox shows of them and of other mounts.

In: what is wanted, in order. Out: volumes, of which the new ones are made; mounts of the sandbox.
"""

from __future__ import annotations

import os

from buildkit.containers import volumes as volume_values
from buildkit.containers.record import Volume
from buildkit.containers.volumes import VolumeStore
from buildkit.launch import INIT
from runtime.spec import Bind, File, Layers, Mount, Overlay, Tmpfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.containers.making import Making
    from buildkit.containers.mounts import Wanted
    from buildkit.snapshot.layer import Owned
    from buildkit.snapshot.overlay import OverlayStore
    from buildkit.state.root import StateRoot


def make_volumes(
    root: StateRoot, store: OverlayStore | None, making: Making, wanted: tuple[Wanted, ...]
) -> Iterator[Volume]:
    """Make the volumes that are new; yield each before it is made, in the order of `wanted`."""
    volumes = VolumeStore(root)
    for mount in wanted:
        if mount.kind != "volume":
            continue
        name = mount.source or os.urandom(32).hex()
        anonymous = not mount.source
        if mount.path:
            volumes.check_path(name, mount.path)
        yield Volume(name, mount.target, mount.readonly, anonymous)
        snapshot = making.active.parent
        owned = _owned(making)
        if store is None or snapshot is None or not mount.copies:
            empty = None if owned is None else volume_values.owned_by_root(owned)
            volumes.ensure(name, anonymous=anonymous, seed=empty)
        else:
            with store.view(snapshot) as tree:
                seed = volume_values.seed_from(tree, mount.target, making.active.directory, owned)
                volumes.ensure(name, anonymous=anonymous, seed=seed)


def _owned(making: Making) -> Owned | None:
    """Return what gives files their owners where the container's are others on the disk."""
    if making.own is None or not making.own.copied:
        return None
    from buildkit.containers import userns  # for --userns only

    return userns.outward(making.own.ids)


def mounts_of(
    root: StateRoot, wanted: tuple[Wanted, ...], volumes: tuple[Volume, ...], making: Making
) -> tuple[Mount, ...]:
    """Return what the sandbox shows: what is wanted, and what is behind other wishes."""
    store = VolumeStore(root)
    places = {volume.target: store.path(volume.name) for volume in volumes}
    mounts: list[Mount] = []
    for mount in wanted:
        if mount.kind == "tmpfs":
            wishes = (mount.size, mount.mode, mount.flags, mount.readonly, mount.uid, mount.gid)
            mounts.append(Tmpfs(mount.target, *wishes))
            continue
        if mount.kind == "image":
            # As with the root, its layers are filled in at each start.
            source = f"image {mount.source}"
            mapped = making.own is not None and not making.own.copied
            mounts.append(Layers(mount.target, (), mapped=mapped, source=source))
            continue
        source = mount.source if mount.kind == "bind" else places[mount.target]
        own = making.own
        mapped = own is not None and mount.kind == "volume" and not own.copied
        mounts.append(_shown(mount, source, mapped=mapped))
    if making.own is not None and making.own.passwd:
        mounts.append(File("/etc/passwd", making.own.passwd.encode()))
    if making.wishes.options.init:
        from buildkit.containers import reaper  # for this option only

        mounts.append(Bind(reaper.program(), INIT, readonly=True))
    return tuple(mounts)


def _shown(mount: Wanted, source: str, *, mapped: bool) -> Bind | Overlay:
    """Return the mount of the directory or file `source`; `mapped`: see `Bind`."""
    if not mount.thrown_away or mount.readonly:
        wishes = (mount.readonly, mount.recursive, mount.flags, mapped, mount.path)
        return Bind(source, mount.target, *wishes)
    said = f"an overlay of {source}"
    return Overlay(mount.target, (source,), flags=mount.flags, mapped=mapped, source=said)
