"""The images of the local store: their names, and how to find one.

In: config blobs, names. Out: images by name or ID. An image is its config digest (the image ID);
a name is a canonical reference that points to one. An image is listed only when all of it is
there to be trusted, so a power cut leaves none that is torn (docs/security.md, R1).
"""

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator

from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.oci.config import ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.snapshot.layers import Layers
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


class ListedImage(NamedTuple):
    """An image of the store. `names` in canonical form, sorted; `size` in bytes, of all layers.

    `added`: seconds since the epoch. `manifest`: of the image as it came from elsewhere.
    """

    digest: Digest
    names: tuple[str, ...]
    config: ImageConfig
    size: int
    added: float
    manifest: Digest | None


class Removed(NamedTuple):
    """What `remove` did: names that are gone, and the image if it is gone with the last of them."""

    names: tuple[str, ...]
    image: Digest | None


class ImageStore:
    """The images below one state root. Any thread and any number of processes may use it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root
        self._blobs = LocalBlobStore(root)
        self._layers = Layers(root)

    def add(
        self, config: bytes, names: Iterable[Reference] = (), *, manifest: Digest | None = None
    ) -> Digest:
        """Keep the image with the config blob `config`, durably, and give it `names`.

        Its layers must be there. `manifest`: a blob of the store that the image came with.
        Raises ImageError for a config that is none, StoreError for layers that are not there.
        """
        diff_ids = ImageConfig.parse(config).diff_ids
        digest = Digest.of(config)
        self._root.use("image", digest)
        if not self._layers.has(diff_ids):
            missing = next(one for one in diff_ids if not self._layers.has((one,)))
            raise StoreError(f"layer {missing} of image {digest} is not in the store")
        self._layers.sync(also_blobs=self._blobs.write(config))
        wanted = {str(_plain(name)): digest for name in names}
        if self._is_noted(digest, manifest, wanted):
            return digest
        now = time.time()
        with self._root.transaction() as database:
            database.execute(
                "INSERT INTO known_image VALUES(?, ?, ?) ON CONFLICT(config) DO UPDATE SET"
                " manifest=coalesce(excluded.manifest, manifest)",
                (digest, manifest, now),
            )
            database.executemany(
                "INSERT OR REPLACE INTO image VALUES(?, ?, ?)",
                [(name, digest, now) for name in wanted],
            )
        self._root.write_back()
        return digest

    def tag(self, image: Digest, name: Reference) -> None:
        """Give the image one more name, which another may lose."""
        self._root.use("image", image)
        with self._root.transaction() as database:
            if _one(database, "SELECT 1 FROM known_image WHERE config=?", image) is None:
                raise ImageError(f"no image has the ID {image}")
            database.execute(
                "INSERT OR REPLACE INTO image VALUES(?, ?, ?)",
                (str(_plain(name)), image, time.time()),
            )
        self._root.write_back()

    def remove(self, text: str, *, force: bool = False) -> Removed:
        """Take away a name, or the image that an ID means, with its names when `force`.

        The image goes with its last name; layers and blobs stay until they are collected.
        """
        image, name = self._resolve(text)
        with self._root.transaction() as database:
            rows = database.execute("SELECT name FROM image WHERE config=?", (image,)).fetchall()
            names = tuple(sorted(row[0] for row in rows))
            if name is None and len(names) > 1 and not force:
                raise ImageError(
                    f"image {text} has several names: {', '.join(map(_familiar, names))}",
                    hint="remove the names one by one, or add --force",
                )
            gone = names if name is None else (name,)
            database.executemany("DELETE FROM image WHERE name=?", [(one,) for one in gone])
            last = set(gone) == set(names)
            if last:
                database.execute("DELETE FROM known_image WHERE config=?", (image,))
        self._root.write_back()
        return Removed(gone, image if last else None)

    def find(self, text: str) -> ResolvedImage:
        """Return the image that a name, an ID, or the beginning of one means. Raises ImageError."""
        image, name = self._resolve(text)
        self._root.use("image", image)
        return ResolvedImage(name or image, image, self.config(image))

    def config(self, image: Digest) -> ImageConfig:
        """Return the config of an image."""
        return ImageConfig.parse(self._blobs.read(image), f"config of image {image}")

    def glance(self, image: Digest) -> ImageConfig:
        """Return the config of an image for a listing; the image may be gone the next moment."""
        return ImageConfig.parse(self._blobs.glance(image), f"config of image {image}")

    def config_blob(self, image: Digest) -> bytes:
        """Return the config of an image as it is stored."""
        return self._blobs.read(image)

    def manifest(self, image: Digest) -> Digest | None:
        """Return the manifest that the image came with."""
        found = self._one("SELECT manifest FROM known_image WHERE config=?", image)
        return None if found is None else Digest.parse(found)

    def names(self, image: Digest) -> tuple[str, ...]:
        """Return the names of an image, canonical and sorted."""
        with self._root.reading():
            rows = self._root.database().execute(
                "SELECT name FROM image WHERE config=? ORDER BY name", (image,)
            )
            return tuple(row[0] for row in rows.fetchall())

    def list(self) -> Iterator[ListedImage]:
        """Yield all whole images, the newest first."""
        with self._root.reading():
            rows = (
                self._root.database()
                .execute("SELECT config, manifest, created FROM known_image ORDER BY created DESC")
                .fetchall()
            )
            sizes = dict(self._root.database().execute("SELECT diff_id, size FROM layer"))
        for text, manifest, added in rows:
            image = Digest.parse(text)
            try:
                config = self.glance(image)
            except (StoreError, ImageError):
                continue
            if not self._layers.are_trusted(config.diff_ids):
                continue
            yield ListedImage(
                digest=image,
                names=self.names(image),
                config=config,
                size=sum(sizes.get(diff_id, 0) for diff_id in config.diff_ids),
                added=added,
                manifest=None if manifest is None else Digest.parse(manifest),
            )

    def _resolve(self, text: str) -> tuple[Digest, str | None]:
        """Return the image that `text` means, and the name if it is one."""
        if re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", text):
            found = self._by_id(text[-64:])
            if found is not None:
                return found, None
            raise ImageError(f"no image has the ID {text}", hint="pybuild images lists them")
        try:
            reference = Reference.parse(text)
            problem = ""
        except ValueError as error:
            reference, problem = None, str(error)
        if reference is not None:
            named = self._by_reference(reference)
            if named is not None:
                return named
        match = _ID.fullmatch(text)
        found = None if match is None else self._by_id(match[1])
        if found is not None:
            return found, None
        if reference is None:
            raise ImageError(problem)
        raise ImageError(f"no image is called {text!r} in the local store", hint=self._hint(text))

    def _by_reference(self, reference: Reference) -> tuple[Digest, str] | None:
        name = str(reference._replace(digest=None)) if reference.tag else ""
        found = self._one("SELECT config FROM image WHERE name=?", name) if name else None
        if reference.digest is None:
            return None if found is None else (Digest.parse(found), name)
        # A digest says which image it is; the name before it is a remark.
        image = self._one(
            "SELECT config FROM known_image WHERE manifest=? OR config=?",
            reference.digest,
            reference.digest,
        )
        return None if image is None else (Digest.parse(image), str(reference))

    def _by_id(self, prefix: str) -> Digest | None:
        with self._root.reading():
            rows = (
                self._root.database()
                .execute(
                    "SELECT config FROM known_image WHERE config>=? AND config<? LIMIT 2",
                    (f"sha256:{prefix}", f"sha256:{prefix}g"),
                )
                .fetchall()
            )
        if len(rows) > 1:
            raise ImageError(f"several images have IDs that begin with {prefix}")
        return Digest.parse(rows[0][0]) if rows else None

    def _hint(self, text: str) -> str:
        import difflib  # only for an error

        with self._root.reading():
            rows = self._root.database().execute("SELECT name FROM image").fetchall()
        names = [_familiar(row[0]).removesuffix(":latest") for row in rows]
        near = difflib.get_close_matches(text, names, n=1)
        return f"did you mean {near[0]}?" if near else "pybuild images lists them"

    def _is_noted(self, image: Digest, manifest: Digest | None, wanted: dict[str, Digest]) -> bool:
        """Whether all is in the database already, as after a build that was fully cached."""
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT manifest FROM known_image WHERE config=?", (image,))
                .fetchone()
            )
        if row is None or (manifest is not None and row[0] != manifest):
            return False
        return set(wanted) <= set(self.names(image))

    def _one(self, query: str, *values: str) -> str | None:
        with self._root.reading():
            return _one(self._root.database(), query, *values)


def _one(database: sqlite3.Connection, query: str, *values: str) -> str | None:
    """Return the first column of the first row, None where there is none or it is NULL."""
    row = database.execute(query, values).fetchone()
    return None if row is None else row[0]


def _plain(name: Reference) -> Reference:
    """Return a name without its digest: that belongs to whoever asks, not to the name."""
    return name._replace(digest=None, tag=name.tag or "latest")


def _familiar(name: str) -> str:
    return Reference.parse(name).familiar
