"""ADD of a URL: what goes into the key and into the layer, and when the server is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import ContextError
from buildkit.llb.op import HttpOp
from buildkit.oci.digest import Digest
from buildkit.ops.http import Downloads
from tests.buildkit.context.test_http import Handler, Server
from tests.buildkit.context.test_http import server as server
from tests.kernel import needs

_TIME = "Tue, 01 Jan 2030 00:00:00 GMT"


class Builds:
    """Builds that share a folder of notes."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        (tmp / "notes").mkdir()
        self._asides = iter(range(1000))

    def next(self) -> Downloads:
        return Downloads(str(self.tmp / "notes"), self._aside)

    def _aside(self) -> str:
        path = self.tmp / f"aside{next(self._asides)}"
        path.mkdir()
        return str(path)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path)


@pytest.fixture
def steady(server: Server) -> Iterator[Server]:
    """A server whose file does not change."""

    def route(ask: Handler) -> None:
        if ask.headers["If-None-Match"] == '"1"':
            ask.send_response(304)
            ask.end_headers()
        else:
            ask.reply(200, b"body", ETag='"1"', Last_Modified=_TIME)

    server.routes["/dir/file.bin"] = route
    yield server


def op(server: Server, checksum: bytes | None = None) -> HttpOp:
    digest = None if checksum is None else Digest.of(checksum)
    return HttpOp(url=f"{server.url}/dir/file.bin", filename="file.bin", checksum=digest)


@needs("root")
def test_a_download_becomes_a_private_file_with_the_servers_time(
    steady: Server, builds: Builds, tmp_path: Path
) -> None:
    build = builds.next()
    parts = build.identify(op(steady))
    assert parts == {"body": Digest.of(b"body"), "name": "file.bin", "modified": 1_893_456_000}
    (tmp_path / "upper").mkdir()
    build.write(op(steady), str(tmp_path / "upper"))
    path = tmp_path / "upper/file.bin"
    assert path.read_bytes() == b"body"
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.stat().st_mtime == 1_893_456_000
    assert len(steady.asked) == 1


def test_the_next_build_asks_only_whether_it_has_changed(steady: Server, builds: Builds) -> None:
    first = builds.next().identify(op(steady))
    assert builds.next().identify(op(steady)) == first
    assert steady.asked[1][1]["If-None-Match"] == '"1"'


@needs("root")
def test_an_unchanged_file_is_fetched_again_when_its_layer_is_gone(
    steady: Server, builds: Builds, tmp_path: Path
) -> None:
    builds.next().identify(op(steady))
    build = builds.next()
    build.identify(op(steady))
    (tmp_path / "upper").mkdir()
    build.write(op(steady), str(tmp_path / "upper"))
    assert (tmp_path / "upper/file.bin").read_bytes() == b"body"
    assert len(steady.asked) == 3


def test_with_a_checksum_that_is_known_to_be_met_nobody_is_asked(
    steady: Server, builds: Builds
) -> None:
    first = builds.next().identify(op(steady, b"body"))
    assert builds.next().identify(op(steady, b"body")) == first
    assert len(steady.asked) == 1


def test_a_checksum_that_is_not_met_is_an_error(steady: Server, builds: Builds) -> None:
    for _ in range(2):
        with pytest.raises(ContextError) as caught:
            builds.next().identify(op(steady, b"other"))
        wanted = f"digest mismatch {Digest.of(b'body')}: {Digest.of(b'other')}"
        assert caught.value.message == wanted


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b'["sha256:0", 1, 1, ""]', b"\xff" * 99])
def test_a_damaged_note_is_no_note(steady: Server, builds: Builds, garbage: bytes) -> None:
    first = builds.next().identify(op(steady))
    (note,) = (builds.tmp / "notes").iterdir()
    note.write_bytes(garbage)
    assert builds.next().identify(op(steady)) == first


@pytest.mark.parametrize("name", ["..", ".", "", "a/b"])
def test_a_name_that_is_none_is_refused(
    steady: Server, builds: Builds, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ContextError, match="gives no file name"):
        builds.next().write(op(steady)._replace(filename=name), str(tmp_path))
