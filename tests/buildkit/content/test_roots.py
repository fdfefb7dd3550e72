from pathlib import Path

from buildkit.content.local import LocalBlobStore
from buildkit.content.roots import named_by
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIG, LAYER, MANIFEST
from buildkit.state.root import StateRoot


def test_an_index_keeps_what_its_manifests_keep(tmp_path: Path) -> None:
    config, layer = Digest.of(b"config"), Digest.of(b"layer")
    manifest = Manifest(Descriptor(CONFIG, config, 1), (Descriptor(LAYER, layer, 1),))
    with StateRoot.open(str(tmp_path)) as root:
        store = LocalBlobStore(root)
        inner = store.put_bytes(manifest.encode()).digest
        outer = store.put_bytes(Index((Descriptor(MANIFEST, inner, 1),)).encode()).digest
        assert named_by(store, outer) == {outer, inner, config, layer}
        assert named_by(store, config) == {config}
