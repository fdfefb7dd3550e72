"""What is kept about an image goes along with it: into layouts and archives, and beside files.

In: an image and its manifest as it leaves. Out: artifacts whose subject that manifest is. The
image is the same with and without them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildkit.attestation.kept import kept
from buildkit.attestation.purl import purl_of
from buildkit.attestation.statement import FILES, MAX_STATEMENT, Artifact, artifact_of
from buildkit.content.store import BlobStore
from buildkit.exporter.destination import output_file
from buildkit.exporter.oci import NamedImage
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.state.root import StateRoot


def artifacts_of(
    root: StateRoot, blobs: BlobStore, image: NamedImage, written: Descriptor
) -> tuple[Artifact, ...]:
    """Return the artifacts about `image`, the manifest of which is `written`; mostly none."""
    platform = str(image.config.platform)
    names = [purl_of(str(name), platform) for name in image.names]
    return tuple(
        artifact_of(blobs.read(one.statement, MAX_STATEMENT), written, names, image.config.created)
        for one in kept(root, image.digest)
    )


def files_of(root: StateRoot, blobs: BlobStore, image: Digest, prefix: str) -> dict[str, bytes]:
    """Return the statements about an image as files by name, for outputs of files."""
    return {
        f"{prefix}{FILES[one.kind]}": blobs.read(one.statement, MAX_STATEMENT)
        for one in kept(root, image)
    }


def write_files(directory: str, files: Mapping[str, bytes]) -> None:
    """Write files into a directory of the user's, each whole. Raises OutputError."""
    for name, data in files.items():
        with output_file(os.path.join(directory, name)) as sink:
            sink(data)
