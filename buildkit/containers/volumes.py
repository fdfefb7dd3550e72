"""Volumes: directories that outlive containers.

In: names. Out: directories below `volumes/<name>/data`, with `volume.json` beside. A new volume
starts with what the image has at its place, with its owner and mode, as with docker.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

from buildkit.errors import UsageError
from buildkit.state.removal import remove_tree
from runtime import documents, owners, safepath
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from buildkit.snapshot.layer import Owned
    from buildkit.state.root import StateRoot

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class VolumeRecord(NamedTuple):
    """A volume; `created` RFC 3339."""

    name: str
    created: str
    labels: tuple[tuple[str, str], ...] = ()
    anonymous: bool = False


class VolumeStore:
    """The volumes below one state root; any number of processes may use it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root

    def path(self, name: str) -> str:
        """Return the directory that a container is shown."""
        return self._root.path("volumes", name, "data")

    def find(self, name: str) -> VolumeRecord:
        """Return a volume. Raises UsageError where there is none."""
        try:
            found = documents.read(
                self._root.path("volumes", name, "volume.json"), {"VolumeRecord": VolumeRecord}
            )
        except FileNotFoundError:
            raise UsageError(
                f"there is no volume {name}", hint="'pybuild volume ls' lists them"
            ) from None
        except ValueError:
            return VolumeRecord(name, "")
        return found if isinstance(found, VolumeRecord) else VolumeRecord(name, "")

    def all(self) -> Iterator[VolumeRecord]:
        """Yield all volumes, by name."""
        for name in sorted(os.listdir(self._root.path("volumes"))):
            with contextlib.suppress(UsageError):
                yield self.find(name)

    def ensure(
        self,
        name: str,
        *,
        labels: tuple[tuple[str, str], ...] = (),
        anonymous: bool = False,
        seed: Callable[[str], object] | None = None,
    ) -> VolumeRecord:
        """Return a volume, made if there is none; `seed` fills the directory of a new one."""
        with contextlib.suppress(UsageError):
            return self.find(name)
        record = VolumeRecord(name, _now(), labels, anonymous)
        aside = self._root.tmp()
        with self._root.writing("volumes"):
            os.mkdir(f"{aside}/data", 0o755)
            os.chmod(f"{aside}/data", 0o755)  # noqa: S103 - whatever the umask; the root is closed
            if seed is not None:
                seed(f"{aside}/data")
            documents.write(f"{aside}/volume.json", record)
            try:
                os.rename(aside, self._root.path("volumes", name))
            except OSError:
                # Somebody else was quicker.
                remove_tree(aside)
        return self.find(name)

    def check_path(self, name: str, path: str) -> None:
        """Refuse a volume that is not there, and one that has nothing at `path`.

        Links end in the volume, as they do when it is mounted, which looks again.
        """
        self.find(name)
        root = os.open(self.path(name), _DIRECTORY)
        try:
            os.close(safepath.open_beneath(root, path, os.O_PATH))
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise UsageError(
                f"volume {name}: {path}: {reason}",
                hint="what is mounted of a volume must be there before",
            ) from error
        finally:
            os.close(root)

    def remove(self, name: str) -> None:
        """Remove a volume, which no container uses."""
        self.find(name)
        trash = f"{self._root.tmp()}/volume"
        with self._root.writing("volumes"):
            os.rename(self._root.path("volumes", name), trash)
            remove_tree(trash)


def seed_from(
    tree: int, target: str, scratch: str, owned: Owned | None = None
) -> Callable[[str], None]:
    """Return what fills a new volume with what the tree `tree` has at `target`.

    `scratch` is a directory for the moment. Nothing there, or no directory: nothing is filled in.
    `owned` gives the owner of a copy for that of a file.
    """

    def seed(directory: str) -> None:
        try:
            source = safepath.open_beneath(tree, target, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            if owned is not None:
                os.chown(directory, *owned(0, 0))
            return
        try:
            place = os.open(directory, _DIRECTORY)
            try:
                copy_tree(source, place, scratch, owned=owned)
                found = owners.stat_of(source)
                owner = (found.st_uid, found.st_gid)
                owners.give(place, *(owner if owned is None else owned(*owner)))
                os.fchmod(place, found.st_mode & 0o7777)
            finally:
                os.close(place)
        finally:
            os.close(source)

    return seed


def owned_by_root(owned: Owned) -> Callable[[str], None]:
    """Return what gives a new volume, which stays empty, to the one who is root for `owned`."""
    return lambda directory: os.chown(directory, *owned(0, 0))


def copy_tree(
    source: int,
    target: int,
    scratch: str,
    *,
    marks: bool = False,
    owned: Owned | None = None,
) -> None:
    """Copy all that is in one directory into another, with owners, modes, times and links.

    Sockets are left out: nobody could listen on the copies. With `marks`, `source` is the upper
    directory of an overlay, and so will be `target`; a container may be changing it. `owned`: see
    `seed_from`.
    """
    from buildkit.snapshot.layer import LayerWriter, pack_directory  # where something is copied
    from buildkit.snapshot.unpack import unpack_archive, unpack_layer
    from buildkit.tree.walk import walk

    path = f"{scratch}/tree-{os.urandom(8).hex()}"
    with open(path, "xb+") as file:
        os.unlink(path)
        if marks:
            pack_directory(source, file.write, with_root=False, owned=owned, living=True)
            file.seek(0)
            unpack_layer(file, target)
            return
        writer = LayerWriter(file.write, owned=owned)
        for entry, fd in walk(source):
            if entry.path and not stat.S_ISSOCK(entry.mode):
                writer.add(entry, fd)
        writer.finish()
        file.seek(0)
        unpack_archive(file, target)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
