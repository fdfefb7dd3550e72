"""Output `docker`: an archive for `docker load` and `podman load`.

In: images with their layers. Out: `manifest.json`, configs as `<hex>.json`, layers as
`<hex>.tar`. Layers are plain tars unless a compression is asked for: whoever loads the archive
needs them plain anyway. Source: moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset
Format".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.layer_parts import stream_form
from buildkit.exporter.layout import Layout
from buildkit.exporter.oci import NamedImage
from buildkit.snapshot.compression import Compressor


def write_docker(
    layout: Layout,
    images: Sequence[NamedImage],
    forms: Forms,
    how: Compressor,
    *,
    force: bool = False,
) -> None:
    """Write `images` to `layout`; with names as docker shows them."""
    force = force or how.compression == "none"
    chosen = [forms.of(image.config.diff_ids, how, force=force, keep=False) for image in images]
    manifest = [
        {
            "Config": f"{image.digest.hex}.json",
            "RepoTags": [str(name.familiar) for name in image.names] or None,
            "Layers": [_name(form) for form in layers],
        }
        for image, layers in zip(images, chosen, strict=True)
    ]
    layout.add("manifest.json", json.dumps(manifest, separators=(",", ":")).encode() + b"\n")
    for name, data in {f"{image.digest.hex}.json": image.data for image in images}.items():
        layout.add(name, data)
    for name, form in {_name(form): form for layers in chosen for form in layers}.items():
        stream_form(layout, name, form, forms)


def _name(form: Form) -> str:
    return f"{form.digest.hex}.tar"
