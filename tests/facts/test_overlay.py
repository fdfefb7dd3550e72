"""What the sandbox and layer diffing take for granted about overlayfs."""

import errno
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from runtime import mounts, syscalls
from runtime.errors import SpecError, UnsupportedError
from tests.kernel import needs_overlay, needs_root
from tests.overlays import mounted

pytestmark = [needs_overlay, needs_root]


class Stack:
    """A lower, an upper, a work directory, and a place to see them together."""

    def __init__(self, base: Path) -> None:
        self.lower, self.upper = base / "lower", base / "upper"
        self.work, self.view = base / "work", base / "view"
        for path in (self.lower, self.upper, self.work, self.view):
            path.mkdir()

    def mounted(self) -> AbstractContextManager[str]:
        """Mount them for the time of a block."""
        return mounted(str(self.view), [str(self.lower)], str(self.upper), str(self.work))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_a_deletion_shows_in_the_upper_as_a_0_0_character_device(stack: Stack) -> None:
    (stack.lower / "file").touch()
    with stack.mounted():
        (stack.view / "file").unlink()
    left = (stack.upper / "file").lstat()
    assert stat.S_ISCHR(left.st_mode)
    assert left.st_rdev == 0


def test_a_replaced_directory_is_opaque(stack: Stack) -> None:
    (stack.lower / "directory").mkdir()
    (stack.lower / "directory/file").touch()
    with stack.mounted():
        (stack.view / "directory/file").unlink()
        (stack.view / "directory").rmdir()
        (stack.view / "directory").mkdir()
    assert os.getxattr(stack.upper / "directory", "trusted.overlay.opaque") == b"y"


def test_a_lower_directory_cannot_be_renamed_without_redirects(stack: Stack) -> None:
    (stack.lower / "directory").mkdir()
    with stack.mounted(), pytest.raises(OSError) as caught:
        (stack.view / "directory").rename(stack.view / "other")
    assert caught.value.errno == errno.EXDEV


def test_a_copy_up_keeps_the_modification_time(stack: Stack) -> None:
    (stack.lower / "file").touch()
    os.utime(stack.lower / "file", ns=(10**18, 10**18 + 5))
    with stack.mounted():
        (stack.view / "file").chmod(0o600)
    assert (stack.upper / "file").stat().st_mtime_ns == 10**18 + 5


def test_volatile_marks_the_work_directory_and_forbids_its_reuse(stack: Stack) -> None:
    with stack.mounted():
        pass
    assert (stack.work / "work/incompat/volatile").is_dir()
    with pytest.raises(OSError), stack.mounted():
        pass


def test_an_upper_may_be_a_lower_at_once(stack: Stack, tmp_path: Path) -> None:
    with stack.mounted():
        (stack.view / "file").write_text("x")
        fd = mounts.mounted_overlay_fd([str(stack.upper), str(stack.lower)])
        assert os.stat("file", dir_fd=fd).st_size == 1
        os.close(fd)


def test_a_detached_overlay_serves_as_directory_descriptor(tmp_path: Path) -> None:
    layers = []
    for number in range(3):
        layer = tmp_path / str(number)
        layer.mkdir()
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    fd = mounts.mounted_overlay_fd(layers)
    reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    assert sorted(os.listdir(reading)) == ["file0", "file1", "file2"]
    os.close(reading)
    os.close(fd)


def test_names_of_layers_may_be_long_and_odd(tmp_path: Path) -> None:
    layers = []
    for number in range(2):
        layer = tmp_path / ("long,:\\ " + "x" * 200) / ("y" * 200) / str(number)
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    fd = mounts.mounted_overlay_fd(layers)
    assert os.stat("file0", dir_fd=fd).st_size == os.stat("file1", dir_fd=fd).st_size == 0
    os.close(fd)


def test_before_linux_6_7_short_names_do_for_many_layers(tmp_path: Path) -> None:
    layers = []
    for number in range(180):
        layer = tmp_path / ("x" * 100) / str(number)
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    fd = mounts._joined_overlay(layers, None, None, 0)
    reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    assert len(os.listdir(reading)) == 180
    os.close(reading)
    os.close(fd)


def test_before_linux_6_7_too_many_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"an image of 300 layers: .* takes about 200"):
        mounts._joined_overlay([str(tmp_path)] * 300, None, None, 0)


def test_before_linux_6_7_an_upper_that_will_not_do_is_named(stack: Stack) -> None:
    lowers, upper, work = [str(stack.lower)], str(stack.upper), str(stack.work)
    # On itself an overlay can have no upper: the directories stand below one.
    with stack.mounted():
        above = [f"{stack.view}/{name}" for name in ("upper", "work")]
        for path in above:
            os.mkdir(path)
        with pytest.raises(UnsupportedError, match="cannot hold what changes"):
            mounts._joined_overlay(lowers, *above, 0)
    with pytest.raises(OSError, match="Invalid argument"):
        mounts._joined_overlay(lowers, upper, work, 0)


def test_mount_options_longer_than_a_page_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        syscalls.mount("overlay", str(tmp_path), "overlay", 0, "lowerdir=" + "x" * 4096)
    assert caught.value.errno == errno.E2BIG


@pytest.mark.parametrize("wanted", [0, 501])
def test_the_number_of_layers_has_a_limit(wanted: int) -> None:
    with pytest.raises(SpecError, match="1 to 500 lower layers") as caught:
        mounts.overlay_fd(["/"] * wanted)
    assert "one layer of many" in caught.value.hint


def test_the_kernel_explains_what_is_wrong() -> None:
    with pytest.raises(OSError, match="Unknown parameter 'nonsense'"):
        mounts.file_system("tmpfs", 0, {"nonsense": "1"})
