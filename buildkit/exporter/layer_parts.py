"""Layers as parts of an image layout: copied, or made while they are written.

In: images, some with a manifest that they keep. Out: `blobs/sha256/HEX` of each layer, each once,
in the order of the images, whatever the store knew of them before. A large layer that has to be
compressed goes straight into the layout where that takes a name behind the content: then it is not
read back from the store, and noise (`forms.py`) is written once and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial

from buildkit.content.streams import Sink
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.layout import Layout
from buildkit.exporter.tar_writer import OCTAL_LIMIT
from buildkit.exporter.workers import unchecked
from buildkit.oci.digest import Digest
from buildkit.snapshot.compression import Compressor

_LARGE = 32 << 20
"""Bytes of a tar; smaller layers are compressed several at once and copied then."""


_BUSY = 4
"""Processors that one layer keeps busy; with more, several are compressed side by side."""


class LayerParts:
    """Writes the layers of an archive. `how`, `force`: as for `Forms.of`.

    `fixed`: forms that will be passed to `copy`; `wanted`: the layers that `make` will be asked
    for. Raises StoreError for one that is not in the store.
    """

    def __init__(
        self,
        layout: Layout,
        forms: Forms,
        how: Compressor,
        fixed: Iterable[Form],
        wanted: Sequence[Digest],
        *,
        force: bool,
    ) -> None:
        self._layout = layout
        self._forms = forms
        self._how = how
        self._written: set[Digest] = set()
        forms.check(wanted)
        taken = {form.diff_id for form in fixed}
        late = {d for d in wanted if d not in taken and self._is_late(d, force=force)}
        if len(late) > 1 and len(os.sched_getaffinity(0)) > _BUSY:
            late = set()
        early = tuple(dict.fromkeys(d for d in wanted if d not in late))
        made = forms.of(early, how, force=force, keep=False)
        self._found = dict(zip(early, made, strict=True))

    def copy(self, forms: Iterable[Form]) -> None:
        """Write the layers that are not there."""
        for form in forms:
            if form.digest not in self._written:
                self._written.add(form.digest)
                stream_form(self._layout, _name(form.digest), form, self._forms)

    def make(self, diff_ids: Sequence[Digest]) -> tuple[Form, ...]:
        """Write the layers that are not there; return the forms of all."""
        for diff_id in diff_ids:
            if diff_id not in self._found:
                self._layout.stream_unnamed(partial(self._made, diff_id))
            self.copy((self._found[diff_id],))
        return tuple(self._found[diff_id] for diff_id in diff_ids)

    def _made(self, diff_id: Digest, sink: Sink) -> str:
        """Make a layer into `sink`; return its part's name."""
        form = self._forms.make(diff_id, self._how, unchecked, sink, keep=False)
        self._found[diff_id] = form
        self._written.add(form.digest)
        return _name(form.digest)

    def _is_late(self, diff_id: Digest, *, force: bool) -> bool:
        """Say whether the layer is to be made while it is written."""
        size = self._forms.tar_size(diff_id)
        # No compression makes anything larger by a hundredth.
        if not self._layout.names_late or not _LARGE <= size < OCTAL_LIMIT - OCTAL_LIMIT // 100:
            return False
        return self._forms.known(diff_id, self._how, force=force, keep=False) is None


def stream_form(layout: Layout, name: str, form: Form, forms: Forms) -> None:
    """Write a layer as the part `name`."""
    layout.stream(name, form.size, lambda sink: forms.copy(form, sink))


def _name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"
