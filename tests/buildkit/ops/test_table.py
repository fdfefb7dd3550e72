"""What a build's ops depend on and give: identities, layers, and what is remembered of them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.cache.key import CacheKey, key_document
from buildkit.cache.result import ContextRef, Identity, Outcome, Ref
from buildkit.cache.store import CachedStep
from buildkit.errors import ContextError, ImageError, StepError
from buildkit.llb.op import BindMount, ContextOp, ImageOp, MkdirOp, Op, SecretMount
from buildkit.oci.digest import Digest
from buildkit.ops.grants import Grants
from buildkit.ops.secrets import SecretSource
from buildkit.ops.stores import Stores
from buildkit.ops.table import BuildOps
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.explain import explain
from tests.buildkit.ops.stock import Directories, copy, layer, run, told, vertex
from tests.trees import make_tree, pack

CONTEXT = ContextRef("context")


@pytest.fixture
def ops(stores: Stores, contexts: Directories) -> Iterator[BuildOps]:
    found = BuildOps(stores, contexts, Grants({}), clamp=None)
    yield found
    found.close()


def identity(ops: BuildOps, op: Op, *inputs: Ref | None) -> Identity:
    return ops.identify(vertex(op, len(inputs)), inputs)


def made(ops: BuildOps, op: Op, *inputs: Ref | None) -> Outcome:
    one = vertex(op, len(inputs))
    found = ops.identify(one, inputs)
    with Cancel() as cancel, StepReporter(lambda _: None, 1) as reporter:
        return ops.run(one, inputs, found, reporter, cancel)


def tree(stores: Stores, outcome: Outcome) -> list[str]:
    assert isinstance(outcome.ref, Snapshot)
    return told(stores, outcome.ref)


def test_an_image_is_known_by_its_layers(ops: BuildOps, stores: Stores) -> None:
    base = layer(stores, "file f")
    op = ImageOp("base", Digest.of(b"config"), base.diff_ids, "linux/amd64")
    assert identity(ops, op).known == base


def test_an_image_without_all_its_layers_is_told(ops: BuildOps) -> None:
    op = ImageOp("base", Digest.of(b"config"), (Digest.of(b"gone"),), "linux/amd64")
    with pytest.raises(ImageError, match="the layers of image base are not complete"):
        identity(ops, op)


def test_a_context_is_its_name(ops: BuildOps) -> None:
    assert identity(ops, ContextOp("more")).known == ContextRef("more")


def test_a_copy_depends_on_what_is_in_the_files_and_not_on_their_times(
    ops: BuildOps, stores: Stores, context: Path
) -> None:
    base = layer(stores, "file f")
    before = identity(ops, copy("a"), base, CONTEXT)
    assert before.inputs[0] == base.chain
    again = BuildOps(stores, Directories({"context": context}), Grants({}), clamp=None)
    os.utime(context / "a", (1, 1))
    assert identity(again, copy("a"), base, CONTEXT).inputs == before.inputs
    other = BuildOps(stores, Directories({"context": context}), Grants({}), clamp=None)
    (context / "a").write_text("other")
    assert identity(other, copy("a"), base, CONTEXT).inputs != before.inputs


def test_a_copy_has_a_manifest_of_its_files(ops: BuildOps) -> None:
    found = identity(ops, copy("."), None, CONTEXT)
    (read,) = found.manifests.values()
    assert b'"d/b"' in read()


def test_a_manifest_tells_hard_links(stores: Stores, context: Path) -> None:
    manifests: dict[str, bytes] = {}
    documents = []
    for link in (False, True):
        if link:
            (context / "d/b").unlink()
            os.link(context / "a", context / "d/b")
        else:
            shutil.copy(context / "a", context / "d/b")
        fresh = BuildOps(stores, Directories({"context": context}), Grants({}), clamp=None)
        found = identity(fresh, copy("."), None, CONTEXT)
        documents.append(key_document(copy("."), found.inputs))
        manifests |= {name: read() for name, read in found.manifests.items()}
        fresh.close()
    assert explain(*documents, manifests.get) == ["d/b is a hard link of a now"]


def test_a_linked_copy_does_not_depend_on_its_parent(ops: BuildOps, stores: Stores) -> None:
    for owner in ("", "1:2"):
        found = identity(ops, copy("a", link=True, chown=owner), layer(stores, "file f"), CONTEXT)
        assert (found.inputs[0], found.parts) == (None, {})


def test_but_on_who_the_owner_is_whom_it_names(ops: BuildOps, stores: Stores) -> None:
    line = "text=app:x:{}:7::/:/bin/sh"
    parents = [
        layer(stores, f"file etc/passwd {line.format(uid)}", *more)
        for uid, more in ((5, ()), (5, ("file etc/more",)), (6, ()))
    ]
    op = copy("a", link=True, chown="app")
    parts = [identity(ops, op, parent, CONTEXT).parts for parent in parents]
    assert parts == [{"owner": "5:7"}, {"owner": "5:7"}, {"owner": "6:7"}]
    with pytest.raises(StepError, match="--chown=app"):
        identity(ops, op, layer(stores, "file f"), CONTEXT)


def test_what_is_selected_from_a_snapshot_is_looked_at_once_for_all_builds(
    ops: BuildOps, stores: Stores
) -> None:
    source = layer(stores, "file a text=A")
    first = identity(ops, copy("a"), None, source)
    stores.snapshots.discard(stores.snapshots.prepare(None))
    # The layer's files are not there any more to be looked at.
    (path,) = stores.snapshots.lowers(source)
    os.rename(path, f"{path}.away")
    try:
        assert identity(ops, copy("a"), None, source).inputs == first.inputs
        with pytest.raises((ContextError, OSError)):
            identity(ops, copy("b"), None, source)
    finally:
        os.rename(f"{path}.away", path)


def test_a_copy_becomes_a_layer(ops: BuildOps, stores: Stores) -> None:
    base = layer(stores, "file f")
    outcome = made(ops, copy("a", "d", dest="/x/"), base, CONTEXT)
    assert isinstance(outcome.ref, Snapshot)
    assert outcome.ref.diff_ids[:-1] == base.diff_ids
    assert [line for line in tree(stores, outcome) if " x" in line] == [
        "dir x 0755 0:0",
        "file x/a 0644 0:0 text=A",
        "file x/b 0644 0:0 text=B",
    ]


def test_a_working_directory_becomes_a_layer(ops: BuildOps, stores: Stores) -> None:
    outcome = made(ops, MkdirOp("/a/b", "3:4"), layer(stores, "file f"))
    assert "dir a/b 0755 3:4" in tree(stores, outcome)


@pytest.mark.parametrize(
    ("unpack", "names"), [("never", ["x.tar"]), ("auto", ["x.tar"]), ("always", ["inner"])]
)
def test_what_came_from_elsewhere_is_unpacked_only_when_asked_for(
    ops: BuildOps, stores: Stores, tmp_path: Path, unpack: str, names: list[str]
) -> None:
    source = layer(stores, "file in/inner", "pack x.tar = in")
    outcome = made(ops, copy("x.tar", unpack=unpack), None, source)
    assert [line.split()[1] for line in tree(stores, outcome)] == names


def test_an_archive_from_elsewhere_is_no_archive_of_the_context(
    ops: BuildOps, stores: Stores, tmp_path: Path, context: Path
) -> None:
    pack(make_tree(tmp_path / "in", "file inner"), context / "x.tar")
    active = stores.snapshots.prepare(None)
    shutil.copy(context / "x.tar", active.upper)
    source = stores.snapshots.commit(active).snapshot
    auto, always = copy("x.tar", unpack="auto"), copy("x.tar", unpack="always")
    first, second = (identity(ops, auto, None, one) for one in (CONTEXT, source))
    assert first.inputs == second.inputs
    assert first.parts != second.parts
    assert identity(ops, always, None, CONTEXT)[:2] == identity(ops, always, None, source)[:2]


def test_an_archive_of_the_context_is_unpacked(
    ops: BuildOps, stores: Stores, context: Path, tmp_path: Path
) -> None:
    pack(make_tree(tmp_path / "in", "file inner"), context / "x.tar")
    outcome = made(ops, copy("x.tar", unpack="auto"), None, CONTEXT)
    assert [line.split()[1] for line in tree(stores, outcome)] == ["inner"]


def test_a_run_depends_on_what_its_mounts_show(ops: BuildOps, stores: Stores) -> None:
    def shown(source: str) -> object:
        mount = BindMount(target="/m", origin=1, source=source, readonly=True)
        return identity(ops, run("x", mounts=(mount,)), None, CONTEXT).inputs[1]

    assert shown("/a") != shown("/d")
    assert shown("/d") == shown("/d")
    with pytest.raises(ContextError, match='"/none": not found'):
        shown("/none")


def test_a_run_depends_on_the_attributes_of_a_directory_of_a_stage(
    ops: BuildOps, stores: Stores
) -> None:
    mount = BindMount(target="/m", origin=1, source="/d", readonly=True)
    documents, manifests = [], {}
    for mode in ("0755", "0700"):
        found = identity(
            ops, run("x", mounts=(mount,)), None, layer(stores, f"dir d {mode}", "file d/f")
        )
        documents.append(key_document(run("x", mounts=(mount,)), found.inputs))
        manifests |= {name: read() for name, read in found.manifests.items()}
    assert explain(*documents, manifests.get) == ["mode of d 0755 -> 0700"]


def test_a_secret_is_in_no_identity_unless_another_is_to_run_the_step_again(
    stores: Stores, contexts: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = SecretMount(id="s", target="/s", env="", mode=0o400, uid=0, gid=0, required=False)
    marks = []
    for rebuild, value in ((False, "1"), (True, "1"), (True, "2"), (True, "1")):
        monkeypatch.setenv("SECRET", value)
        source = SecretSource("", "SECRET", rebuild)
        ops = BuildOps(stores, contexts, Grants({"s": source}), clamp=None)
        marks.append(dict(identity(ops, run("x", mounts=(mount,)), None).parts))
    assert marks[0] == {}
    assert list(marks[1]) == ["secret s"]
    assert marks[1] == marks[3] != marks[2]


def test_a_cached_step_counts_as_long_as_its_layer_is_there(ops: BuildOps, stores: Stores) -> None:
    base = layer(stores, "file f")
    there = layer(stores, "file g").diff_ids[0]
    for diff_id, found in ((there, Snapshot.on(base, there)), (Digest.of(b"gone"), None)):
        record = CachedStep(
            key=CacheKey("0" * 64),
            document="{}",
            parent=base.chain,
            diff_id=diff_id,
            fingerprint=None,
            created="",
        )
        assert ops.reuse(vertex(copy("a")), (base, CONTEXT), record) == found


def test_no_time_in_a_layer_is_later_than_the_epoch(stores: Stores, contexts: Directories) -> None:
    ops = BuildOps(stores, contexts, Grants({}), clamp=7)
    outcome = made(ops, copy("a", dest="/x/"), None, CONTEXT)
    assert isinstance(outcome.ref, Snapshot)
    with stores.snapshots.view(outcome.ref) as fd:
        assert {os.stat(name, dir_fd=fd).st_mtime for name in ("x", "x/a")} == {7}


def test_a_source_and_a_context_run_nothing(ops: BuildOps) -> None:
    for op in (ContextOp("context"), ImageOp("i", Digest.of(b""), (), "linux/amd64")):
        with pytest.raises(Exception, match="no step that runs"):
            made(ops, op)
