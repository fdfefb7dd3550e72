"""Contexts from streams and URLs: archives are unpacked, everything else is a Dockerfile."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.context.local import LocalContext
from buildkit.errors import ContextError, ImageError
from buildkit.ops.remote_context import fetch_context, unpack_stream
from tests.buildkit.context.test_http import Server
from tests.buildkit.context.test_http import server as server
from tests.buildkit.ops.test_archive import tar
from tests.buildkit.ops.test_copy import needs_root

pytestmark = needs_root


class Drips(io.BytesIO):
    """A pipe: gives a few bytes at a time and cannot seek."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 7, 7))

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_tar_on_a_pipe_becomes_a_directory(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(tar("file Dockerfile text=FROM", "file sub/a text=A"))
    assert unpack_stream(Drips(data), str(tmp_path), name="the context") is None
    assert (tmp_path / "sub/a").read_text() == "A"


@pytest.mark.parametrize("text", [b"", b"FROM scratch\n", b"# x\n" * 5000])
def test_what_is_no_archive_is_a_dockerfile(tmp_path: Path, text: bytes) -> None:
    assert unpack_stream(Drips(text), str(tmp_path), name="the context") == text
    assert list(tmp_path.iterdir()) == []


def test_an_endless_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="neither an archive nor a Dockerfile"):
        unpack_stream(io.BytesIO(b"x" * (17 << 20)), str(tmp_path), name="the context")


def test_a_hostile_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ImageError):
        unpack_stream(Drips(tar("file ../x text=1")), str(tmp_path / "in"), name="the context")
    assert not (tmp_path / "x").exists()


def test_an_ignore_file_of_a_remote_context_is_a_file_like_any_other(tmp_path: Path) -> None:
    data = tar("file .dockerignore text=a", "file a text=A")
    unpack_stream(io.BytesIO(data), str(tmp_path), name="the context")
    context = LocalContext.open(str(tmp_path), ignore=False)
    assert [one.path for one in context.list() if one.seen] == [".dockerignore", "a"]
    context.close()


def test_a_tarball_behind_a_url_is_unpacked(server: Server, tmp_path: Path) -> None:
    server.routes["/c"] = lambda ask: ask.reply(200, gzip.compress(tar("file a text=A")))
    server.routes["/d"] = lambda ask: ask.reply(200, b"FROM scratch")
    (tmp_path / "in").mkdir()
    assert fetch_context(f"{server.url}/c", str(tmp_path / "in"), str(tmp_path / "c")) is None
    assert (tmp_path / "in/a").read_text() == "A"
    text = fetch_context(f"{server.url}/d", str(tmp_path / "in"), str(tmp_path / "d"))
    assert text == b"FROM scratch"
