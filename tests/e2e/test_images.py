"""Images as other tools see them, and what they wrote as pybuild sees it."""

import gzip
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.tools import Tools, needs_tool
from tests.kernel import require
from tests.program import Pybuild


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """pybuild with an image `base:1` in its store."""
    require("root")
    program = Pybuild(tmp_path / "root", tmp_path)
    program("base", "host", "-q", "-t", "base:1", "sh", "ls").ok()
    return program


@pytest.fixture
def empty(tmp_path: Path) -> Pybuild:
    """pybuild with nothing in its store."""
    require("root")
    return Pybuild(tmp_path / "empty", tmp_path)


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    """Other tools."""
    made = Tools(tmp_path / "tools")
    yield made
    made.close()


@needs_tool("skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_skopeo_reads_what_is_saved(
    pybuild: Pybuild, tools: Tools, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    pybuild("save", "--format", form, "-o", out, "base:1").ok()

    reference = f"{'oci' if form == 'oci-dir' else form}:{out}"
    config = tools.config(reference)

    document = pybuild.inspect("base:1")
    assert config["rootfs"]["diff_ids"] == document["RootFS"]["Layers"]
    assert config["config"]["Env"] == document["Config"]["Env"]
    assert tools.inspect(reference)["Architecture"] == document["Architecture"]


@needs_tool("umoci")
def test_umoci_unpacks_what_is_saved(pybuild: Pybuild, tools: Tools, tmp_path: Path) -> None:
    pybuild("save", "--format", "oci-dir", "-o", tmp_path / "out", "base:1").ok()
    tools.umoci("unpack", "--image", f"{tmp_path}/out:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/etc/passwd").read_text().startswith("root:x:0:0:")


@needs_tool("podman")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_what_is_saved(
    pybuild: Pybuild, tools: Tools, tmp_path: Path, form: str
) -> None:
    pybuild("save", "--format", form, "-o", tmp_path / "out", "base:1").ok()
    assert "base:1" in tools.podman("load", "-i", tmp_path / "out")
    (found,) = json.loads(tools.podman("image", "inspect", "base:1"))
    assert f"sha256:{found['Id']}" == pybuild.inspect("base:1")["Id"]


@needs_tool("buildah")
def test_a_container_of_another_tool_runs_the_image(
    pybuild: Pybuild, tools: Tools, tmp_path: Path
) -> None:
    pybuild("save", "-o", tmp_path / "out", "base:1").ok()
    container = tools.buildah("from", "--quiet", f"docker-archive:{tmp_path}/out").strip()
    said = tools.buildah(
        "run", "--isolation", "chroot", container, "--", "sh", "-c", "echo $((6*7))"
    )
    assert said.strip() == "42"


@needs_tool("podman")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saved_is_loaded(
    pybuild: Pybuild, empty: Pybuild, tools: Tools, tmp_path: Path, form: str
) -> None:
    pybuild("save", "-o", tmp_path / "out", "base:1").ok()
    tools.podman("load", "-i", tmp_path / "out")
    tools.podman("save", "--format", form, "-o", tmp_path / "back", "base:1")

    said = empty("load", "-i", tmp_path / "back").ok().output

    assert said == "Loaded image: localhost/base:1\n"
    # podman writes the config anew when it turns one kind of manifest into the other.
    assert empty.inspect("localhost/base:1")["RootFS"] == pybuild.inspect("base:1")["RootFS"]
    empty("fsck", "--full").ok()


@needs_tool("skopeo")
@pytest.mark.parametrize(
    "form", ["docker-archive:{}:base:1", "oci-archive:{}:base:1", "oci:{}:base:1"]
)
def test_what_skopeo_wrote_is_loaded(
    pybuild: Pybuild, empty: Pybuild, tools: Tools, tmp_path: Path, form: str
) -> None:
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "out", "base:1").ok()
    back = tmp_path / "back"
    tools.skopeo("copy", f"oci-archive:{tmp_path}/out", form.format(back))

    assert empty("load", "-i", back).ok().output == "Loaded image: base:1\n"
    assert empty.inspect("base:1")["RootFS"] == pybuild.inspect("base:1")["RootFS"]


def test_several_images_go_through_a_pipe(pybuild: Pybuild, empty: Pybuild) -> None:
    pybuild("tag", "base:1", "again:2").ok()
    pybuild("base", "host", "-t", "other", "sh").ok()
    with pybuild.start("save", "base:1", "other", "again:2") as saving:
        assert saving.stdout is not None
        data = saving.stdout.read()
    said = empty("load", stdin=gzip.compress(data, 1)).ok().output
    assert sorted(said.splitlines()) == [
        "Loaded image: again:2",
        "Loaded image: base:1",
        "Loaded image: other:latest",
    ]


def test_an_image_saved_by_its_id_has_no_name(
    pybuild: Pybuild, empty: Pybuild, tmp_path: Path
) -> None:
    identity = pybuild.inspect("base:1")["Id"]
    pybuild("save", "-o", tmp_path / "out", identity).ok()
    assert empty("load", "-i", tmp_path / "out").ok().output == f"Loaded image ID: {identity}\n"


def test_save_and_load_again_give_the_same_bytes(
    pybuild: Pybuild, empty: Pybuild, tmp_path: Path
) -> None:
    for form in ("docker-archive", "oci-archive"):
        one, two = tmp_path / f"{form}1", tmp_path / f"{form}2"
        pybuild("save", "--format", form, "-o", one, "base:1").ok()
        empty("load", "-q", "-i", one).ok()
        empty("save", "--format", form, "-o", two, "base:1").ok()
        assert one.read_bytes() == two.read_bytes()


def test_a_reader_that_goes_away_ends_save_quietly(pybuild: Pybuild) -> None:
    with pybuild.start("save", "base:1") as saving:
        assert saving.stdout is not None
        assert saving.stderr is not None
        saving.stdout.read(512)
        saving.stdout.close()
        assert saving.stderr.read() == b""
    assert saving.returncode != 0


def test_a_full_disk_leaves_no_archive(pybuild: Pybuild, tmp_path: Path) -> None:
    done = pybuild("save", "-o", "/dev/full", "base:1")
    assert done.status == 4
    assert "no space left" in done.errors


def test_an_interrupted_save_leaves_nothing(pybuild: Pybuild, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pybuild.start("save", "-o", fifo, "base:1") as saving, fifo.open("rb") as reader:
        reader.read(1024)
        saving.send_signal(signal.SIGTERM)
        saving.wait(30)
    assert saving.returncode == 143
    assert os.listdir(tmp_path / "root/tmp") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_load_leaves_nothing(
    empty: Pybuild, tmp_path: Path, number: signal.Signals
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with empty.start("load", "-i", fifo) as loading, fifo.open("wb") as writer:
        writer.write(bytes(4 << 20))
        writer.flush()
        loading.send_signal(number)
        loading.wait(30)
    assert loading.returncode == 128 + number
    assert os.listdir(empty.root / "tmp") == []


def test_several_loads_and_saves_at_once_do_not_disturb_each_other(
    pybuild: Pybuild, empty: Pybuild, tmp_path: Path
) -> None:
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "out", "base:1").ok()
    _at_once(empty, *[("load", "-i", f"{tmp_path}/out")] * 4)
    form = ("save", "--format", "oci-archive", "base:1", "-o")
    _at_once(empty, *[(*form, f"{tmp_path}/out{number}") for number in range(4)])
    for number in range(4):
        assert (tmp_path / f"out{number}").read_bytes() == (tmp_path / "out").read_bytes()
    empty("fsck", "--full").ok()


def _at_once(pybuild: Pybuild, *calls: tuple[str, ...]) -> None:
    """Let several calls run together, all of which must succeed."""
    with ExitStack() as stack:
        running = [stack.enter_context(pybuild.start(*call)) for call in calls]
        for process in running:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors


def test_images_are_listed_in_every_way(pybuild: Pybuild) -> None:
    identity = pybuild.inspect("base:1")["Id"]
    pybuild("tag", "base:1", "quay.io/x/y:2").ok()

    lines = pybuild("images").ok().output.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert sorted(line.split()[0] for line in lines[1:]) == ["base", "quay.io/x/y"]
    assert pybuild("images", "-q").ok().output == f"{identity[7:19]}\n"
    assert pybuild("images", "-q", "--no-trunc").ok().output == f"{identity}\n"
    (document,) = json.loads(pybuild("images", "--format", "json").ok().output)
    assert document["Id"] == identity
    assert document["RepoTags"] == ["base:1", "quay.io/x/y:2"]
    template = "{{.Repository}}={{.ID}}"
    lines = pybuild("images", "--format", template, "base").ok().output.splitlines()
    assert lines == [f"base={identity[7:19]}"]
    lines = pybuild("images", "--format", r"table {{.Tag}}\t{{.ID}}").ok().output.splitlines()
    assert lines[0].split() == ["TAG", "IMAGE", "ID"]
    assert sorted(line.split()[0] for line in lines[1:]) == ["1", "2"]
    assert len(pybuild("images", "base").ok().output.splitlines()) == 2
    assert len(pybuild("images", "nothing").ok().output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dangling=true", False),
        ("dangling=false", True),
        ("reference=ba*", True),
        ("reference=x*", False),
        ("label=io.pybuild.base.kind", True),
        ("label=io.pybuild.base.kind=host", True),
        ("label=io.pybuild.base.kind=debian", False),
        ("before=base:1", False),
    ],
)
def test_images_are_filtered(pybuild: Pybuild, text: str, found: bool) -> None:
    assert bool(pybuild("images", "-q", "--filter", text).ok().output) == found


def test_inspect_shows_what_is_there_beside_what_is_not(pybuild: Pybuild) -> None:
    for form, parsed in ((), json.loads), (("-f", "{{.Id}}"), str.split):
        done = pybuild("inspect", *form, "missing:1", "base:1", "none")
        assert done.status == 1
        assert len(parsed(done.output)) == 1  # type: ignore[operator]
        assert done.errors.count("ERROR: ") == 2
    done = pybuild("inspect", "missing:1", "none")
    assert (done.status, done.output, done.errors.count("ERROR: ")) == (1, "", 2)


def test_inspect_shows_what_docker_shows(pybuild: Pybuild) -> None:
    document = pybuild.inspect("base:1")
    assert document["RepoTags"] == ["base:1"]
    assert document["Config"]["Cmd"] == ["sh"]
    assert document["Os"] == "linux"
    assert document["Size"] > 0
    assert document["History"][0]["created_by"] == "pybuild base host sh ls"
    format_ = "{{.Id}} {{.Config.Cmd}} {{json .Config.Env}} {{index .Config.Cmd 0}}"
    said = pybuild("inspect", "-f", format_, "base:1").ok().output
    env = json.dumps(document["Config"]["Env"], separators=(",", ":"))
    assert said == f"{document['Id']} [sh] {env} sh\n"
    assert pybuild("inspect", "-f", "{{.Nothing}}", "base:1").status == 2
    errors = pybuild("inspect", "nothing").errors
    assert "no image is called 'nothing' in the local store, and no container\n" in errors, errors
    assert "container" not in pybuild("image", "inspect", "nothing").errors


def test_history_shows_the_lines_of_the_config(pybuild: Pybuild) -> None:
    lines = pybuild("history", "--no-trunc", "base:1").ok().output.splitlines()
    assert len(lines) == 2
    assert "pybuild base host sh ls" in lines[1]
    made_by = pybuild("history", "--format", "{{.CreatedBy}}", "base:1").ok().output
    assert len(made_by.splitlines()) == len(lines) - 1
    (document,) = json.loads(pybuild("history", "--format", "json", "base:1").ok().output)
    assert document["Layer"] == pybuild.inspect("base:1")["RootFS"]["Layers"][0]


def test_an_image_goes_with_its_last_name_and_its_layers_with_prune(pybuild: Pybuild) -> None:
    pybuild("tag", "base:1", "base:2").ok()
    assert pybuild("rmi", "base:1").ok().output == "Untagged: base:1\n"
    assert pybuild("prune", "--force").ok().output.startswith("0 images")
    said = pybuild("rmi", "base:2").ok().output.splitlines()
    assert said[0] == "Untagged: base:2"
    assert said[1].startswith("Deleted: sha256:")
    pybuild("prune", "--force").ok()
    assert os.listdir(pybuild.root / "layers") == []
    assert os.listdir(pybuild.root / "blobs/sha256") == []
    pybuild("fsck", "--full").ok()


def test_prune_keeps_images_with_names(pybuild: Pybuild, tmp_path: Path) -> None:
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "before", "base:1").ok()
    pybuild("prune", "--force", "--all").ok()
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "after", "base:1").ok()
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def test_prune_asks_when_nobody_can_answer(pybuild: Pybuild) -> None:
    done = pybuild("prune")
    assert done.status == 2
    assert "--force" in done.errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("rmi", "nothing"),
        ("inspect", "nothing"),
        ("history", "nothing"),
        ("save", "nothing"),
        ("tag", "nothing", "x"),
        ("load", "-i", "nothing"),
    ],
)
def test_what_is_not_there_is_an_error(pybuild: Pybuild, arguments: tuple[str, ...]) -> None:
    done = pybuild(*arguments)
    assert done.status == 1
    assert done.errors.startswith("ERROR: ")
    assert done.output == ""


def test_an_unknown_image_is_no_error_with_force(pybuild: Pybuild) -> None:
    pybuild("rmi", "-f", "nothing").ok()


def test_an_id_with_several_names_needs_force(pybuild: Pybuild) -> None:
    identity = pybuild.inspect("base:1")["Id"]
    pybuild("tag", "base:1", "base:2").ok()
    assert pybuild("rmi", identity).status == 1
    pybuild("rmi", "-f", identity).ok()
    assert pybuild("images", "-q").ok().output == ""


@pytest.mark.parametrize("name", ["A", "a b", "a:b:c", "a@sha256:x", "-x"])
def test_impossible_names_are_usage_errors(pybuild: Pybuild, name: str) -> None:
    assert pybuild("tag", "base:1", name).status == 2


def test_fsck_reads_the_files_of_layers_unless_it_is_to_be_quick(pybuild: Pybuild) -> None:
    pybuild("fsck").ok()
    layers = (pybuild.root / "layers").rglob("fs/**/*")
    # A link of the image, followed from here, would lead to a file of this machine.
    files = [path for path in layers if path.is_file() and not path.is_symlink()]
    victim = max(files, key=lambda path: path.stat().st_size)
    assert pybuild.root in victim.resolve().parents
    data = bytearray(victim.read_bytes())
    data[0] ^= 1
    victim.write_bytes(bytes(data))

    assert pybuild("fsck", "--quick").status == 0
    assert pybuild("fsck").status == 1


def test_fsck_finds_a_damaged_blob_and_repairs_it(pybuild: Pybuild, tmp_path: Path) -> None:
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "out", "base:1").ok()
    pybuild("fsck").ok()
    blob = max((pybuild.root / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1])

    assert pybuild("fsck").status == 1
    pybuild("fsck", "--repair").ok()
    pybuild("fsck").ok()
    pybuild("save", "--format", "oci-archive", "-o", tmp_path / "again", "base:1").ok()
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("command", ["history", "inspect", "push", "save", "size", "tree"])
def test_an_image_for_another_platform_is_not_taken_for_it(pybuild: Pybuild, command: str) -> None:
    other = "arm64" if os.uname().machine == "x86_64" else "amd64"
    done = pybuild(command, "--platform", f"linux/{other}", "base:1")
    assert done.status == 1
    assert f", not for linux/{other}" in done.errors
    assert done.output == ""
