"""Base images from this machine."""

import os
import signal
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.tools import needs_tool
from tests.kernel import require
from tests.program import Pybuild


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """pybuild with nothing in its store."""
    require("root")
    return Pybuild(tmp_path / "root", tmp_path)


def test_equal_programs_give_an_equal_image_whatever_the_name_umask_and_time(
    pybuild: Pybuild,
) -> None:
    pybuild("base", "host", "-t", "one", "sh", "ls").ok()
    previous = os.umask(0o077)
    try:
        pybuild("base", "host", "-t", "two", "sh", "ls", environment={"TZ": "Asia/Tokyo"}).ok()
    finally:
        os.umask(previous)
    assert pybuild.inspect("one")["Id"] == pybuild.inspect("two")["Id"]


def test_whoever_makes_it_the_image_is_the_same_and_so_is_its_archive(
    anybody: Caller, as_root: Caller
) -> None:
    archives = []
    for one in (anybody, as_root):
        pybuild = one.empty()
        pybuild("base", "host", "-q", "-t", "small", "sh", "ls").ok()
        for form in ("oci-archive", "docker-archive"):
            out = one.place() / "out"
            pybuild("save", "--format", form, "-o", out, "small").ok()
            again = one.empty()
            again("load", "-q", "-i", out).ok()
            assert again.inspect("small")["Id"] == pybuild.inspect("small")["Id"]
            again("fsck", "--full").ok()
        archives.append(out.read_bytes())
    # Not so with gzip: one of the two may have a faster library, which writes other bytes.
    assert archives[0] == archives[1]


def test_an_epoch_is_the_time_of_the_image(pybuild: Pybuild) -> None:
    pybuild("base", "host", "-t", "one", "sh", environment={"SOURCE_DATE_EPOCH": "1000"}).ok()
    assert pybuild.inspect("one")["Created"] == "1970-01-01T00:16:40Z"


def test_labels_tell_how_the_image_was_made(pybuild: Pybuild) -> None:
    pybuild("base", "host", "-t", "one", "ls").ok()
    labels = pybuild.inspect("one")["Config"]["Labels"]
    assert labels["io.pybuild.base.command"] == "pybuild base host ls"
    assert '"path":"/usr/bin/ls"' in labels["io.pybuild.base.programs"]


def test_without_programs_there_is_a_shell_all_the_same(pybuild: Pybuild) -> None:
    pybuild("base", "host", "-t", "one").ok()
    assert pybuild.inspect("one")["Config"]["Cmd"] == ["sh"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("host", "-t", "one", "nonexistent-program"), 1, "no program called"),
        (("host", "sh"), 2, "needs a name"),
        (("host", "-t", "A", "sh"), 2, "invalid name"),
        (("nothing",), 2, "invalid choice"),
        (("debian", "-t", "one", "--suite", "../x"), 2, "not the name of a Debian suite"),
        (("debian", "-t", "one", "--include", "a;b"), 2, "not the name of a Debian package"),
    ],
)
def test_what_cannot_be_made_is_said(
    pybuild: Pybuild, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = pybuild("base", *arguments)
    assert done.status == status
    assert message in done.errors


@needs_tool("mmdebstrap")
def test_a_mirror_that_is_not_there_is_said_without_its_password(
    pybuild: Pybuild,
) -> None:
    done = pybuild(
        *("base", "debian", "-t", "one", "--suite", "bookworm"),
        *("--mirror", "http://someone:secret@127.0.0.1:9/debian"),
    )
    assert done.status == 1
    assert "is the network there?" in done.errors
    assert "secret" not in done.errors
    assert os.listdir(pybuild.root / "tmp") == []
    assert pybuild("images", "-q").ok().output == ""


@needs_tool("mmdebstrap")
def test_an_interrupted_bootstrap_leaves_nothing(pybuild: Pybuild) -> None:
    with pybuild.start("base", "debian", "-t", "one", "--suite", "bookworm") as making:
        assert making.stderr is not None
        making.stderr.readline()
        making.send_signal(signal.SIGINT)
        making.stderr.read()
    assert making.returncode == 130
    assert os.listdir(pybuild.root / "tmp") == []
    assert str(pybuild.root) not in Path("/proc/self/mountinfo").read_text()


@needs_tool("mmdebstrap")
def test_debian_is_made_clean(debian: Pybuild) -> None:
    document = debian.inspect("debian-base")
    labels = document["Config"]["Labels"]
    assert labels["io.pybuild.base.tool"] == "mmdebstrap"
    assert labels["io.pybuild.base.packages.digest"].startswith("sha256:")
    (layer,) = document["RootFS"]["Layers"]
    tree = debian.root / "layers" / layer[7:] / "fs"
    for place in ("var/lib/apt/lists", "var/cache/apt", "dev", "run", "tmp"):
        assert os.listdir(tree / place) == []
    for file in ("etc/resolv.conf", "etc/hostname"):
        assert (tree / file).read_bytes() == b""
    assert not (tree / "etc/apt/apt.conf.d/99mmdebstrap").exists()
    assert (tree / "etc/apt/sources.list").read_text().startswith("deb ")
    newest = max(
        os.lstat(os.path.join(directory, name)).st_mtime
        for directory, _, names in os.walk(tree)
        for name in names
    )
    assert newest < os.stat(debian.root / "format").st_mtime
