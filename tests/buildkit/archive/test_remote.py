"""Images by name: from the store or from a registry, as the policy says."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.archive.remote import PullPolicy, local_image, obtain
from buildkit.errors import BuildError, ImageError
from buildkit.image_list import listed
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Warned
from buildkit.registry.remembered import elsewhere, recall
from tests import registry_faults as faults
from tests.buildkit.exporter.stock import Stock
from tests.registry import MANIFEST, described, digest_of, document, running
from tests.registry import Registry as Server

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with running() as found:
        yield found


def tar(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as writer:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            writer.addfile(info, io.BytesIO(content))
    return out.getvalue()


def hold(server: Server, *, tag: str = "1", content: bytes = b"x" * 300_000) -> str:
    """Hold an image with a gzip layer; return the layer's digest."""
    plain = tar(file=content)
    packed = gzip.compress(plain, mtime=0)
    server.image(packed, tag=tag, diff_ids=(digest_of(plain),))
    return digest_of(packed)


def get(
    stock: Stock,
    text: str,
    policy: PullPolicy = "missing",
    platform: Platform = AMD64,
    events: list[Event] | None = None,
) -> ResolvedImage:
    found: list[Event] = [] if events is None else events
    with Cancel() as cancel:
        return obtain(text, platform, policy, stock, found.append, cancel)


def test_an_image_is_pulled_once(stock: Stock, server: Server) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    first = get(stock, name)
    asked = len(server.asked)
    assert get(stock, name) == first
    assert len(server.asked) == asked
    assert len(stock.tree(stock.named(name))) == 1
    assert stock.images.names(first.config_digest) == (name,)


def test_never_means_never(stock: Stock, server: Server) -> None:
    hold(server)
    with pytest.raises(ImageError, match="no image is called"):
        get(stock, f"{server.host}/app:1", "never")
    assert not server.asked


def test_newer_fetches_what_has_changed(stock: Stock, server: Server) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    first = get(stock, name, "newer")
    server.asked.clear()
    assert get(stock, name, "newer") == first
    assert [asked.method for asked in server.asked[1:]] == ["HEAD"]
    hold(server, content=b"other")
    second = get(stock, name, "newer")
    assert second.config_digest != first.config_digest
    assert get(stock, name, "missing") == second


def test_newer_does_without_an_answer(stock: Stock, server: Server) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    first = get(stock, name)
    server.fault(".", faults.status(403))
    events: list[Event] = []
    assert get(stock, name, "newer", events=events) == first
    assert [event for event in events if isinstance(event, Warned)]
    with pytest.raises(BuildError):
        get(stock, name, "always")


def test_newer_keeps_what_no_registry_has(stock: Stock, server: Server) -> None:
    name = f"{server.host}/app:1"
    image = stock.image(("file a 0644",), name=name)
    assert get(stock, name, "newer").config_digest == image.digest


def test_an_id_is_never_asked_for(stock: Stock) -> None:
    image = stock.image(("file a 0644",))
    assert get(stock, image.digest).config_digest == image.digest
    with pytest.raises(ImageError, match="no image has the ID"):
        get(stock, "sha256:" + "0" * 64, "never")


def multi(server: Server) -> str:
    """Hold an index for two platforms; return its digest."""
    entries = []
    for platform in (AMD64, ARM64):
        plain = tar(arch=str(platform).encode())
        digest = server.image(plain, tag="-", platform=platform[:2])
        size = len(server.manifests["app", digest][1])
        parts = {"os": platform.os, "architecture": platform.architecture}
        entries.append({**described(MANIFEST, digest, size), "platform": parts})
    index = document({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return server.manifest(index, "multi", INDEX)


def test_platforms_of_one_name_are_told_apart(stock: Stock, server: Server) -> None:
    multi(server)
    name = f"{server.host}/app:multi"
    here, there = get(stock, name), get(stock, name, platform=ARM64)
    assert (here.config.platform, there.config.platform) == (AMD64, ARM64)
    server.asked.clear()
    assert get(stock, name).config_digest == here.config_digest
    assert get(stock, name, platform=ARM64).config_digest == there.config_digest
    assert not server.asked


def test_the_digest_of_an_index_is_remembered(stock: Stock, server: Server) -> None:
    digest = multi(server)
    name = f"{server.host}/app@{digest}"
    first = get(stock, name)
    server.asked.clear()
    assert get(stock, name) == first
    assert not server.asked
    assert stock.images.names(first.config_digest) == ()


def test_an_image_for_another_platform_will_do_where_there_is_no_other(
    stock: Stock, server: Server
) -> None:
    name = f"{server.host}/app:1"
    image = stock.image(("file a 0644",), name=name)
    events: list[Event] = []
    assert get(stock, name, platform=ARM64, events=events).config_digest == image.digest
    assert "taken as it is here" in str(events)


def test_a_layer_that_is_gone_is_fetched_again(stock: Stock, server: Server) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    first = get(stock, name)
    with stock.root.transaction() as database:
        database.execute("DELETE FROM layer")
    with Stock.open(Path(stock.root.top)) as again:
        assert local_image(name, AMD64, again) is None
        assert get(again, name) == first


Change = Callable[[bytes], bytes]

DAMAGE: list[tuple[str, Change]] = [
    ("another layer", lambda _: gzip.compress(tar(file=b"y"), mtime=0)),
    ("cut short", lambda data: data[:-10]),
    ("with something behind it", lambda data: data + b"junk"),
    ("a byte changed", lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]),
    ("no gzip at all", lambda data: b"\0" * len(data)),
    ("bzip2", lambda data: b"BZh9" + data[4:]),
]


@pytest.mark.parametrize("change", [row[1] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
@pytest.mark.parametrize("announced", [True, False])
def test_a_damaged_layer_leaves_nothing(
    stock: Stock, server: Server, change: Change, announced: bool
) -> None:
    """`announced`: the manifest has the digest of what comes, and only the diff ID tells."""
    layer = hold(server)
    damaged = change(server.blobs[layer])
    if announced:
        diff_id = digest_of(gzip.decompress(server.blobs[layer]))
        server.image(damaged, diff_ids=(diff_id,))
    else:
        server.blobs[layer] = damaged
    with pytest.raises(ImageError) as raised:
        get(stock, f"{server.host}/app:1")
    assert "\n" not in raised.value.message
    assert list(listed(stock.images)) == []
    assert not stock.forms.has(Digest.parse(digest_of(tar(file=b"y"))), Digest.parse(layer))


def test_a_download_that_breaks_is_whole_in_the_end(stock: Stock, server: Server) -> None:
    layer = hold(server)
    data = server.blobs[layer]
    server.fault(layer, faults.cut(data, 100), times=2)
    image = get(stock, f"{server.host}/app:1")
    assert stock.snapshots.has(image.config.diff_ids)
    assert stock.blobs.read(Digest.parse(layer)) == data


def test_blobs_are_known_by_the_repositories_that_had_them(stock: Stock, server: Server) -> None:
    layer = Digest.parse(hold(server))
    get(stock, f"{server.host}/app:1")
    assert elsewhere(stock.root, server.host, [layer]) == {layer: "app"}
    assert elsewhere(stock.root, "other.example", [layer]) == {}
    known = recall(stock.root, Reference.parse(f"{server.host}/app:1"), AMD64)
    assert known is not None
    assert layer in known.blobs


def test_what_is_garbled_in_the_memory_is_as_good_as_nothing(stock: Stock, server: Server) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    get(stock, name)
    with stock.root.transaction() as database:
        database.execute("UPDATE store SET value='{' WHERE name LIKE 'remote %'")
    assert recall(stock.root, Reference.parse(name), AMD64) is None
    assert get(stock, name, "newer")
