"""Directories of cache mounts: what names them, and who may have one when. Guarantee S14."""

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from buildkit.errors import Cancelled
from buildkit.llb.op import CacheMount, Sharing
from buildkit.ops.cache_mounts import directory, name_of
from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot


def mount(name: str = "cache", sharing: Sharing = "shared", mode: int = 0o755) -> CacheMount:
    return CacheMount(
        target="/c",
        id=name,
        sharing=sharing,
        origin=None,
        source="/",
        mode=mode,
        uid=os.getuid(),
        gid=os.getgid(),
        readonly=False,
    )


def nothing(_path: str) -> None:
    """Put no first content in."""


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "a/b", ".", "", "\0", "\udcff", "ü"])
def test_an_id_is_data_and_no_path(name: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", name_of(mount(name), ""))


def test_another_id_content_or_mode_is_another_directory() -> None:
    names = {
        name_of(mount(), ""),
        name_of(mount("other"), ""),
        name_of(mount(), "sha256:1"),
        name_of(mount(mode=0o700), ""),
    }
    assert len(names) == 4
    assert name_of(mount(sharing="locked"), "") == name_of(mount(), "")


def test_sharing_says_who_may_have_it_at_once(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path / "root")) as root, ExitStack() as stack, Cancel() as cancel:

        def take(wanted: CacheMount) -> str:
            return stack.enter_context(directory(root, wanted, "", nothing, cancel))

        assert take(mount()) == take(mount())
        first, second = take(mount("p", "private")), take(mount("p", "private"))
        assert first != second
        take(mount("l", "locked"))
        cancel.set(15)
        with pytest.raises(Cancelled):
            take(mount("l", "locked"))


def test_a_directory_lasts_and_has_its_mode_and_first_content(tmp_path: Path) -> None:
    def fill(path: str) -> None:
        Path(path, "first").touch()

    with StateRoot.open(str(tmp_path / "root")) as root, Cancel() as cancel:
        with directory(root, mount(mode=0o750), "", fill, cancel) as path:
            assert os.listdir(path) == ["first"]
            assert os.stat(path).st_mode & 0o7777 == 0o750
            Path(path, "later").touch()
        with directory(root, mount(mode=0o750), "", fill, cancel) as path:
            assert sorted(os.listdir(path)) == ["first", "later"]
