"""Mounts of a RUN as mounts of a sandbox; what they do is in `tests/e2e/test_mounts.py`."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from buildkit.cache.result import ContextRef
from buildkit.errors import BuildError, Cancelled, ContextError, StepError, UsageError
from buildkit.llb.op import BindMount, CacheMount, ExecMount, SecretMount, SshMount, TmpfsMount
from buildkit.ops.grants import Grants
from buildkit.ops.mounts import Mounted, Mounting
from buildkit.ops.origins import Origins
from buildkit.ops.secrets import LIMIT, SecretSource
from buildkit.ops.stores import Stores
from buildkit.progress.cancel import Cancel
from runtime.spec import BindFd, File, Overlay, Tmpfs
from tests.buildkit.ops.stock import Directories, layer

SECRET = SecretMount(id="s", target="/s", env="", mode=0o440, uid=1, gid=2, required=False)
CACHE = CacheMount(
    target="/c",
    id="c",
    sharing="shared",
    origin=None,
    source="/",
    mode=0o755,
    uid=0,
    gid=0,
    readonly=False,
)


class Step:
    """One RUN: input 1 is a context, input 2 a snapshot."""

    def __init__(self, stores: Stores, contexts: Directories, stack: ExitStack) -> None:
        inputs = (None, ContextRef("context"), layer(stores, "file s", "dir e"))
        self.origins = Origins(stores.root, stores.snapshots, contexts, inputs)
        self.cancel = stack.enter_context(Cancel())
        self._stores = stores
        self._stack = stack
        stack.callback(self.origins.close)

    def mounted(
        self, *mounts: ExecMount, secrets: dict[str, SecretSource] | None = None
    ) -> Mounted:
        grants = Grants(secrets or {})
        looking = threading.RLock()
        mounting = Mounting(
            self._stores.root, self.origins, grants, self._stack, self.cancel, looking
        )
        found = mounting.all(mounts)
        for mount in found.mounts:
            fds = [mount.fd] if isinstance(mount, BindFd) else []
            fds += (
                [fd for fd in mount.lowers if isinstance(fd, int)]
                if isinstance(mount, Overlay)
                else []
            )
            for fd in fds:
                self._stack.callback(os.close, fd)
        return found


@pytest.fixture
def step(stores: Stores, contexts: Directories) -> Iterator[Step]:
    with ExitStack() as stack:
        yield Step(stores, contexts, stack)


def bind(origin: int, source: str, *, readonly: bool = True) -> BindMount:
    return BindMount(target="/m", origin=origin, source=source, readonly=readonly)


def inside(mount: object) -> list[str]:
    """Return what is in a mounted directory."""
    assert isinstance(mount, BindFd | Overlay)
    fd = mount.fd if isinstance(mount, BindFd) else mount.lowers[0]
    assert isinstance(fd, int)
    return sorted(os.listdir(f"/proc/self/fd/{fd}"))


def test_a_directory_is_shown_as_it_is_in_a_snapshot(step: Step) -> None:
    (mount,) = step.mounted(bind(2, "/")).mounts
    assert isinstance(mount, BindFd)
    assert (mount.target, mount.readonly) == ("/m", True)
    assert inside(mount) == ["e", "s"]


def test_a_context_is_copied_first(step: Step, context: Path) -> None:
    (mount,) = step.mounted(bind(1, "/d")).mounts
    assert inside(mount) == ["b"]
    (context / "d/later").touch()
    assert inside(mount) == ["b"]


@pytest.mark.parametrize(("source", "readonly"), [("/d", True), ("/a", True), ("/a", False)])
def test_what_is_copied_for_a_mount_has_its_times(
    step: Step, context: Path, source: str, readonly: bool
) -> None:
    os.utime(context / source[1:], (1_000_000_000, 1_000_000_000))
    (mount,) = step.mounted(bind(1, source, readonly=readonly)).mounts
    assert isinstance(mount, BindFd)
    assert mount.source == source  # which errors name
    assert os.stat(f"/proc/self/fd/{mount.fd}").st_mtime == 1_000_000_000


def test_writes_to_a_directory_go_to_an_overlay_that_ends_with_the_step(step: Step) -> None:
    (mount,) = step.mounted(bind(2, "/", readonly=False)).mounts
    assert isinstance(mount, Overlay)
    assert (mount.target, mount.upper) == ("/m", None)
    assert inside(mount) == ["e", "s"]


def test_writes_to_a_file_go_to_a_copy_of_it(step: Step, context: Path) -> None:
    (context / "a").chmod(0o741)
    (mount,) = step.mounted(bind(1, "/a", readonly=False)).mounts
    assert isinstance(mount, BindFd)
    assert not mount.readonly
    path = f"/proc/self/fd/{mount.fd}"
    assert os.stat(path).st_mode & 0o777 == 0o741
    with open(path, "w") as file:
        file.write("other")
    assert (context / "a").read_text() == "A"


def test_a_tmpfs_has_its_size(step: Step) -> None:
    assert step.mounted(TmpfsMount("/t", 4096)).mounts == (Tmpfs("/t", size=4096),)


def test_caches_are_taken_in_one_order_whatever_the_order_of_the_mounts(
    step: Step, stores: Stores
) -> None:
    caches = [CACHE._replace(id=name, target=f"/{name}") for name in ("b", "a")]
    found = step.mounted(*caches, caches[0]._replace(target="/again")).mounts
    assert [mount.target for mount in found] == ["/b", "/a", "/again"]
    assert len(os.listdir(stores.root.path("caches"))) == 2


def test_a_cache_begins_with_what_its_origin_has(step: Step) -> None:
    (mount,) = step.mounted(CACHE._replace(origin=1, source="/d")).mounts
    assert inside(mount) == ["b"]


def test_a_secret_is_a_file_in_memory_or_a_variable(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VALUE", "v\udcff")
    known = {"s": SecretSource("", "VALUE")}
    file = File("/s", b"v\xff", mode=0o440, uid=1, gid=2)
    cases = [
        (SECRET, (file,), ()),
        (SECRET._replace(target="", env="E"), (), (("E", "v\udcff"),)),
        (SECRET._replace(env="E"), (file,), (("E", "v\udcff"),)),
    ]
    for mount, mounts, env in cases:
        assert step.mounted(mount, secrets=known) == Mounted(mounts, env, "", (b"v\xff",))


def test_what_nobody_gave_is_left_out(step: Step) -> None:
    ssh = SshMount(id="default", target="/a", mode=0o600, uid=0, gid=0, required=False)
    assert step.mounted(SECRET, ssh) == Mounted((), (), "")


REFUSED: list[tuple[ExecMount, bytes, type[BuildError], str]] = [
    (SECRET._replace(id="x", required=True), b"", StepError, "secret x: not found"),
    (SECRET._replace(env="E"), b"a\0b", UsageError, "secret s holds a NUL byte"),
    (SECRET, bytes(LIMIT + 1), UsageError, "secret s is larger than 500 KiB"),
    (SshMount("k", "/a", 0o600, 0, 0, required=True), b"", StepError, 'no SSH key "k" forwarded'),
    (bind(1, "/none"), b"", ContextError, '"/none": not found'),
    (CACHE._replace(origin=1, source="/none"), b"", ContextError, '"/none": not found'),
]


@pytest.mark.parametrize(
    ("mount", "value", "kind", "message"), REFUSED, ids=[row[3] for row in REFUSED]
)
def test_what_cannot_be_mounted_is_told(
    step: Step, tmp_path: Path, mount: ExecMount, value: bytes, kind: type[BuildError], message: str
) -> None:
    (tmp_path / "value").write_bytes(value)
    with pytest.raises(kind) as raised:
        step.mounted(mount, secrets={"s": SecretSource(str(tmp_path / "value"), "")})
    assert message in raised.value.message


def test_waiting_for_a_cache_ends_when_the_build_does(
    step: Step, stores: Stores, contexts: Directories
) -> None:
    locked = CACHE._replace(sharing="locked")
    step.mounted(locked)
    with ExitStack() as stack:
        other = Step(stores, contexts, stack)
        other.cancel.set()
        with pytest.raises(Cancelled):
            other.mounted(locked)
