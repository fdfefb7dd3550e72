"""The images of the local store: their names, and how to find one.

In: config blobs, names. Out: images by name or ID. An image is its config digest (the image ID);
a name is a canonical reference that points to one, or to an index of several. In the database an
index is an image whose manifest is itself (`oci/index_parts.py`). `image_list.py` tells which there
are.
"""

from __future__ import annotations

import time

from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.oci.config import ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest, is_hex
from buildkit.oci.reference import Reference
from buildkit.snapshot.layers import Layers
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from buildkit.oci.index_parts import Part
    from buildkit.oci.platforms import Platform
    from buildkit.state.driver import sqlite3
    from buildkit.state.root import StateRoot


class Removed(NamedTuple):
    """What `remove` did: names that are gone, and the image if it is gone with the last of them."""

    names: tuple[str, ...]
    image: Digest | None


class ImageStore:
    """The images below the state root `root`. Any thread and any number of processes may use it."""

    def __init__(self, root: StateRoot) -> None:
        self.root = root
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
        self.root.use("image", digest)
        if not self._layers.has(diff_ids):
            missing = next(one for one in diff_ids if not self._layers.has((one,)))
            raise StoreError(f"layer {missing} of image {digest} is not in the store")
        is_new = self._blobs.write(config)
        self._layers.sync(self._blobs.path(digest), is_new=is_new)
        wanted = {str(_plain(name)): digest for name in names}
        if self._is_noted(digest, manifest, wanted):
            return digest
        now = time.time()
        with self.root.transaction() as database:
            database.execute(
                "INSERT INTO known_image VALUES(?, ?, ?) ON CONFLICT(config) DO UPDATE SET"
                " manifest=coalesce(excluded.manifest, manifest)",
                (digest, manifest, now),
            )
            database.executemany(
                "INSERT OR REPLACE INTO image VALUES(?, ?, ?)",
                [(name, digest, now) for name in wanted],
            )
        self.root.write_back()
        return digest

    def add_index(self, data: bytes, names: Iterable[Reference] = ()) -> Digest:
        """Keep the index `data`, durably, and give it `names`.

        Its manifests and images must be there. Raises ImageError, StoreError.
        """
        digest = Digest.of(data)
        self.root.use("image", digest)
        self._blobs.write(data)
        parts = self.parts(digest)
        for part in parts:
            self.root.use("image", part.image)
            if not self._layers.has(self.config(part.image).diff_ids):
                raise StoreError(f"image {part.image} of index {digest} is not in the store")
        self._layers.sync(self._blobs.path(digest), is_new=True)
        now = time.time()
        with self.root.transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO known_image VALUES(?, ?, ?)",
                # The images as well: another command may have removed the index they were in.
                [(digest, digest, now), *((part.image, part.entry.digest, now) for part in parts)],
            )
            database.executemany(
                "INSERT OR REPLACE INTO image VALUES(?, ?, ?)",
                [(str(_plain(name)), digest, now) for name in names],
            )
        self.root.write_back()
        return digest

    def tag(self, image: Digest, name: Reference) -> None:
        """Give the image or index one more name, which another may lose."""
        self.root.use("image", image)
        with self.root.transaction() as database:
            if _one(database, "SELECT 1 FROM known_image WHERE config=?", image) is None:
                raise ImageError(f"no image has the ID {image}")
            database.execute(
                "INSERT OR REPLACE INTO image VALUES(?, ?, ?)",
                (str(_plain(name)), image, time.time()),
            )
        self.root.write_back()

    def remove(self, text: str, *, force: bool = False) -> Removed:
        """Take away a name, or the image that an ID or a digest means, with its names when `force`.

        The image goes with its last name, an index with those of its images that nothing else
        has; layers and blobs stay until they are collected.
        """
        image, name = self._resolve(text)
        if name is not None and "@" in name:
            name = None  # a digest means the image, and is no name that it has
        with self.root.transaction() as database:
            indexes = self.indexes()  # in here: nobody else can make one meanwhile
            within = having(image, indexes)
            if name is None and within is not None:
                raise ImageError(
                    f"image {text} belongs to an index", hint=f"remove {within} instead"
                )
            orphans = self._orphans(image, indexes)
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
                database.executemany(
                    "DELETE FROM known_image WHERE config=?",
                    # What an index has stays, without a name.
                    [(one,) for one in (*orphans, *(image,) * (within is None))],
                )
        self.root.write_back()
        return Removed(gone, image if last and within is None else None)

    def _orphans(
        self, index: Digest, indexes: Mapping[Digest, Sequence[Part]]
    ) -> tuple[Digest, ...]:
        """Return the images of `index` that nothing has besides: no name, no other index."""
        others = {digest: parts for digest, parts in indexes.items() if digest != index}
        return tuple(
            part.image
            for part in indexes.get(index, ())
            if not self.names(part.image) and having(part.image, others) is None
        )

    def find(self, text: str, platform: Platform | None = None) -> ResolvedImage:
        """Return the image that a name, an ID, or the beginning of one means. Raises ImageError.

        `platform` says which one of an index is meant, None this machine's.
        """
        image, name = self._resolve(text)
        self.root.use("image", image)
        if self.is_index(image):
            from buildkit.oci.index_parts import chosen  # for indexes only

            image = chosen(self.parts(image), platform, text).image
            self.root.use("image", image)
        return ResolvedImage(name or image, image, self.config(image))

    def identify(self, text: str) -> Digest:
        """Return the image or index that `text` means. Raises ImageError."""
        found, _ = self._resolve(text)
        self.root.use("image", found)
        return found

    def reference(self, text: str) -> str:
        """Return the canonical name that `text` means, the digest where it is an ID."""
        found, name = self._resolve(text)
        return name or found

    def is_index(self, digest: Digest) -> bool:
        """Say whether `digest` is an index of the store."""
        return (
            self._one("SELECT 1 FROM known_image WHERE config=? AND manifest=config", digest)
            is not None
        )

    def parts(self, index: Digest) -> tuple[Part, ...]:
        """Return the images of an index that are here. Raises ImageError, StoreError."""
        from buildkit.oci.index_parts import parts_of  # for indexes only

        return parts_of(index, self._blobs.glance)

    def indexes(self) -> dict[Digest, tuple[Part, ...]]:
        """Return all indexes with the images they have here; one that is damaged has none."""
        with self.root.reading():
            rows = (
                self.root.database()
                .execute("SELECT config FROM known_image WHERE manifest=config")
                .fetchall()
            )
        found: dict[Digest, tuple[Part, ...]] = {}
        for (text,) in rows:
            try:
                found[Digest.parse(text)] = self.parts(Digest.parse(text))
            except (StoreError, ImageError):
                found[Digest.parse(text)] = ()
        return found

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
        with self.root.reading():
            rows = self.root.database().execute(
                "SELECT name FROM image WHERE config=? ORDER BY name", (image,)
            )
            return tuple(row[0] for row in rows.fetchall())

    def _resolve(self, text: str) -> tuple[Digest, str | None]:
        """Return the image that `text` means, and the name if it is one."""
        if is_hex(text.removeprefix("sha256:")):
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
        beginning = text.removeprefix("sha256:")
        found = self._by_id(beginning) if is_hex(beginning, shortest=1) else None
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
        with self.root.reading():
            rows = (
                self.root.database()
                .execute(
                    "SELECT config FROM known_image WHERE config>=? AND config<? LIMIT 2",
                    (f"sha256:{prefix}", f"sha256:{prefix}g"),
                )
                .fetchall()
            )
        if len(rows) > 1:
            raise ImageError(
                f"several images have IDs that begin with {prefix}", hint="give more of the ID"
            )
        return Digest.parse(rows[0][0]) if rows else None

    def _hint(self, text: str) -> str:
        import difflib  # only for an error

        with self.root.reading():
            rows = self.root.database().execute("SELECT name FROM image").fetchall()
        names = [_familiar(row[0]).removesuffix(":latest") for row in rows]
        near = difflib.get_close_matches(text, names, n=1)
        return f"did you mean {near[0]}?" if near else "pybuild images lists them"

    def _is_noted(self, image: Digest, manifest: Digest | None, wanted: dict[str, Digest]) -> bool:
        """Whether all is in the database already, as after a build that was fully cached."""
        with self.root.reading():
            row = (
                self.root.database()
                .execute("SELECT manifest FROM known_image WHERE config=?", (image,))
                .fetchone()
            )
        if row is None or (manifest is not None and row[0] != manifest):
            return False
        return set(wanted) <= set(self.names(image))

    def _one(self, query: str, *values: str) -> str | None:
        with self.root.reading():
            return _one(self.root.database(), query, *values)


def _one(database: sqlite3.Connection, query: str, *values: str) -> str | None:
    """Return the first column of the first row, None where there is none or it is NULL."""
    row = database.execute(query, values).fetchone()
    return None if row is None else row[0]


def having(image: Digest, indexes: Mapping[Digest, Sequence[Part]]) -> Digest | None:
    """Return an index that has `image`, None when there is none."""
    return next((i for i, parts in indexes.items() if any(p.image == image for p in parts)), None)


def _plain(name: Reference) -> Reference:
    """Return a name without its digest: that belongs to whoever asks, not to the name."""
    return name._replace(digest=None, tag=name.tag or "latest")


def _familiar(name: str) -> str:
    return Reference.parse(name).familiar
