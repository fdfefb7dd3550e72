from pathlib import Path

import pytest

from buildkit.errors import DefinitionError, ImageError
from buildkit.frontend.bases import BaseRequest, BaseUse
from buildkit.frontend.history import HistoryItem
from buildkit.frontend.lower import Lowered
from buildkit.llb.op import GitOp, HttpOp
from buildkit.lock import Lock, Pin, encode_lock, lock_of, locked, path_of, pinned, read_lock
from buildkit.oci.config import ContainerConfig, ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from tests.buildkit.solver.fakes import Plan

PLATFORM = Platform.parse("linux/amd64")
WANTED = BaseRequest("docker.io/library/debian:12", PLATFORM)
USE = BaseUse((1, 1))
OLD, NEW, MANIFEST = Digest.of(b"old"), Digest.of(b"new"), Digest.of(b"manifest")


class Images:
    """The images that are in the store, by ID."""

    def __init__(self, *there: Digest) -> None:
        self.there = there

    def find(self, text: str) -> ResolvedImage:
        if text not in self.there:
            raise ImageError("not there")
        return resolved(text, Digest.parse(text))


def resolved(reference: str, image: Digest) -> ResolvedImage:
    config = ImageConfig(
        platform=PLATFORM,
        created="",
        author="",
        config=ContainerConfig(),
        diff_ids=(),
        history=(),
    )
    return ResolvedImage(reference, image, config)


def resolve(lock: Lock, images: Images, now: Digest, asked: list[str]) -> ResolvedImage:
    Path(lock.path).write_text(encode_lock(lock), encoding="utf-8")

    def current(wanted: BaseRequest, _use: BaseUse) -> ResolvedImage:
        asked.append(wanted.reference)
        return resolved(wanted.reference, now)

    found = lock_of(lock.path.removesuffix(".lock"))
    return locked(current, found, images)(WANTED, USE)  # type: ignore[arg-type]


def lock_at(tmp_path: Path, pin: Pin | None) -> Lock:
    images = {} if pin is None else {"docker.io/library/debian:12 linux/amd64": pin}
    return Lock(str(tmp_path / "Dockerfile.lock"), images, {"https://e.x/a": "sha256:1"})


def test_a_lock_comes_back_as_it_was(tmp_path: Path) -> None:
    lock = lock_at(tmp_path, Pin(OLD, MANIFEST))
    Path(lock.path).write_text(encode_lock(lock), encoding="utf-8")
    assert read_lock(lock.path) == lock
    assert read_lock(str(tmp_path / "none")) is None


def test_the_image_of_the_lock_is_taken_whatever_the_name_means_by_now(tmp_path: Path) -> None:
    asked: list[str] = []
    found = resolve(lock_at(tmp_path, Pin(OLD, None)), Images(OLD, NEW), NEW, asked)
    assert (found.reference, found.config_digest) == (WANTED.reference, OLD)
    assert not asked


def test_an_image_that_is_not_here_is_asked_for_by_digest(tmp_path: Path) -> None:
    asked: list[str] = []
    found = resolve(lock_at(tmp_path, Pin(OLD, MANIFEST)), Images(), OLD, asked)
    assert (found.reference, found.config_digest) == (WANTED.reference, OLD)
    assert asked == [f"docker.io/library/debian:12@{MANIFEST}"]


def test_another_image_than_that_of_the_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=f"debian:12 is {NEW}, and .* has {OLD}"):
        resolve(lock_at(tmp_path, Pin(OLD, None)), Images(), NEW, [])


def test_a_name_that_is_not_in_the_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="debian:12 for linux/amd64 is not in"):
        resolve(lock_at(tmp_path, None), Images(OLD), OLD, [])


def test_without_a_lock_file_nothing_is_locked(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no"):
        lock_of(str(tmp_path / "Dockerfile"))


def test_a_dockerfile_without_a_place_has_no_lock_file() -> None:
    with pytest.raises(DefinitionError, match="standard input"):
        path_of(None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version":1}',
        '{"version":1,"images":{"a":{}}}',
        '{"version":1,"images":{"a":{"image":"sha256:1"}}}',
    ],
)
def test_what_is_no_lock_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Dockerfile.lock"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match="is no lock file"):
        read_lock(str(path))


URL = HttpOp("https://me:word@example.org/a.tgz", "a.tgz", None)
GIT = GitOp("https://example.org/a.git", "main", "", False, False, "")
SOURCES = {
    "https://***@example.org/a.tgz": str(OLD),
    "https://example.org/a.git#main": "c" * 40,
}


def lowered() -> Lowered:
    """Return a graph that copies a download and a checkout."""
    plan = Plan()
    copied = plan.run(plan.base(), "make", plan.add(URL, hidden=True), plan.add(GIT, hidden=True))
    return Lowered(
        graph=plan.graph,
        target=copied,
        config=ContainerConfig(),
        platform=PLATFORM,
        history=(HistoryItem("RUN make", copied, "", ""), HistoryItem("CMD", None, "", "")),
        base=None,
        author="",
        steps=tuple(vertex for vertex in plan.graph if vertex.number),
        findings=(),
        warnings=(),
        epoch=None,
    )


def test_downloads_and_checkouts_are_held_to_the_lock() -> None:
    before = lowered()
    after = pinned(before, Lock("Dockerfile.lock", {}, SOURCES))
    ops = [vertex.op for vertex in after.graph]
    assert URL._replace(checksum=OLD) in ops
    assert GIT._replace(ref="c" * 40, checksum="c" * 40) in ops
    assert len(after.graph) == len(before.graph)
    assert after.target != before.target
    assert after.target in after.graph
    assert [item.vertex for item in after.history] == [after.target, None]
    assert [step.label for step in after.steps] == [step.label for step in before.steps]


def test_a_source_that_is_not_in_the_lock_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"a.git#main is not in Dockerfile.lock"):
        pinned(lowered(), Lock("Dockerfile.lock", {}, dict([*SOURCES.items()][:1])))


def test_a_graph_without_such_sources_is_left_as_it_is() -> None:
    plan = Plan()
    name = plan.run(plan.base(), "make")
    given = lowered()._replace(graph=plan.graph, target=name)
    assert pinned(given, Lock("Dockerfile.lock", {}, {})) is given
