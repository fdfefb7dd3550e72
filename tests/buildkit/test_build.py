"""A build in this process: what is recorded, named, written and put away, however it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.build import BuildResult, build
from buildkit.cli.argument_reader import read
from buildkit.cli.build import add_arguments
from buildkit.cli.options import parser_for
from buildkit.cli.request import request_of
from buildkit.errors import BuildError, Cancelled, ContextError, DefinitionError, StepError
from buildkit.image_list import listed
from buildkit.oci.config import ContainerConfig, ImageConfig
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Note, StepCached, StepDone, Warned
from buildkit.records.record import BuildRecord
from buildkit.request import BuildRequest
from buildkit.state.root import StateRoot
from buildkit.worker import Worker
from tests.kernel import require
from tests.trees import make_tree


class Here:
    """A context in the working directory, a store, and what is told."""

    def __init__(self, path: Path, worker: Worker) -> None:
        self.path = path
        self.worker = worker
        self.told: list[Event] = []

    def request(self, *words: str) -> BuildRequest:
        parser = parser_for("build", "")
        add_arguments(parser)
        return request_of(read(parser, [*words, "."]))

    def build(self, dockerfile: str, *words: str) -> BuildResult:
        (self.path / "Dockerfile").write_text(dockerfile)
        self.told.clear()
        with Cancel() as cancel:
            return build(self.request(*words), self.worker, self.told.append, cancel)

    def record(self) -> BuildRecord:
        return self.worker.records.recent()[0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    require("root")
    require("overlay")
    path = make_tree(tmp_path / "context", "file a text=A")
    monkeypatch.chdir(path)
    with StateRoot.open(str(tmp_path / "root")) as root, Worker(root) as worker:
        yield Here(path, worker)


COPY = "FROM scratch\nCOPY a /a\n"


def test_a_build_gives_an_image_with_its_names(here: Here) -> None:
    result = here.build(COPY, "-t", "one", "-t", "two:3")
    for name in ("one", "two:3"):
        assert here.worker.images.find(name).config_digest == result.image.digest
    assert [one.message for one in here.told if isinstance(one, Note)] == [
        f"image {result.image.digest}",
        "named one:latest",
        "named two:3",
    ]
    assert result.grown


def test_and_leaves_a_record(here: Here) -> None:
    result = here.build(COPY, "--target", "0")
    record = here.record()
    assert (record.id, record.outcome, record.image) == (result.record, "done", result.image.digest)
    assert record.context == str(here.path)
    assert record.dockerfile == str(here.path / "Dockerfile")
    assert (record.target, record.message) == ("0", "")
    assert [(step.name, step.outcome) for step in record.steps if step.number] == [
        ("[1/1] COPY a /a", "run")
    ]


def test_the_same_again_is_cached_and_the_same_image(here: Here) -> None:
    first = here.build(COPY)
    second = here.build(COPY)
    assert second.image == first.image
    assert not second.grown
    assert [type(one) for one in here.told if isinstance(one, StepCached | StepDone)] == [
        StepCached
    ]
    assert second.record != first.record


FAILURES: list[tuple[str, type[BuildError], str, str]] = [
    ("FROM scratch\nCOPY none /\n", ContextError, '"/none": not found', ">>> COPY none /"),
    ("FROM scratch\nCOPY --chown=app a /\n", StepError, "--chown=app", ">>> COPY --chown=app a /"),
    ("FROM scratch\nNONE\n", DefinitionError, "unknown instruction: NONE", ">>> NONE"),
    ("FROM none-of-it\n", DefinitionError, "none-of-it", ">>> FROM none-of-it"),
]


@pytest.mark.parametrize(("dockerfile", "kind", "message", "excerpt"), FAILURES, ids=str)
def test_a_failure_has_its_lines_and_leaves_a_record(
    here: Here, dockerfile: str, kind: type[BuildError], message: str, excerpt: str
) -> None:
    with pytest.raises(kind) as raised:
        here.build(dockerfile, "--pull=never", "-t", "failed")
    assert message in raised.value.message
    assert excerpt in raised.value.excerpt
    record = here.record()
    assert (record.outcome, record.image) == ("failed", "")
    assert message in record.message
    assert list(listed(here.worker.images)) == []


def test_a_cancelled_build_is_recorded_as_that(here: Here) -> None:
    (here.path / "Dockerfile").write_text(COPY)
    with Cancel() as cancel:
        cancel.set(15)
        with pytest.raises(Cancelled):
            build(here.request(), here.worker, here.told.append, cancel)
    assert here.record().outcome == "cancelled"


def test_a_build_without_layers_is_an_image_all_the_same(here: Here) -> None:
    image = here.build("FROM scratch\nLABEL a=b\n").image
    assert image.config.diff_ids == ()
    assert [item.empty_layer for item in image.config.history] == [True]


def test_history_stands_on_that_of_the_base(here: Here) -> None:
    base = here.build("FROM scratch\nCOPY a /a\nLABEL x=y\n", "-t", "base").image
    image = here.build("FROM base\nCOPY a /b\n", "--pull=never").image
    assert image.config.history[:2] == base.config.history
    assert image.config.diff_ids[:1] == base.config.diff_ids
    assert image.config.history[2].created_by == "COPY a /b # buildkit"


def test_a_base_whose_layers_are_gone_is_told(here: Here) -> None:
    config = ImageConfig(
        platform=Platform.host(),
        created="",
        author="",
        config=ContainerConfig(),
        diff_ids=(),
        history=(),
    )
    here.worker.images.add(config.encode(), [Reference.parse("empty")])
    assert here.build("FROM empty\n", "--pull=never").image.config.diff_ids == ()


def test_outputs_are_written_when_the_image_is_kept(here: Here, tmp_path: Path) -> None:
    result = here.build(COPY, "-o", f"type=oci,dest={tmp_path}/x.tar", "-o", f"{tmp_path}/tree")
    assert [one.output.kind for one in result.exported] == ["oci", "local"]
    assert result.exported[0].manifest is not None
    assert (tmp_path / "x.tar").exists()
    assert (tmp_path / "tree/a").read_text() == "A"


def test_warnings_of_lint_come_at_the_end(here: Here) -> None:
    here.build("FROM scratch AS Upper\nCOPY a /a\n")
    notes = [one.message for one in here.told if isinstance(one, Note)]
    assert notes[0] == " 1 warning found ('pybuild check' says more):"
    assert notes[1].startswith(" - StageNameCasing: ")


def test_an_argument_that_nobody_declares_is_warned_of(here: Here) -> None:
    result = here.build(COPY, "--build-arg", "NONE=1")
    (warning,) = [one.message for one in here.told if isinstance(one, Warned)]
    assert "NONE" in warning
    assert result.warnings == (warning,)


def test_a_step_that_must_not_come_from_the_cache_and_is_none_is_refused(here: Here) -> None:
    with pytest.raises(BuildError, match="no step of this build is called that"):
        here.build(COPY, "--no-cache-step", "RUN make")


@pytest.mark.parametrize(
    ("name", "warned"),
    [("tols", ["tools"]), ("TOOLS", []), ("stage-1", []), ("tools,none", [""])],
)
def test_a_stage_that_must_not_come_from_the_cache_and_is_none_is_warned_of(
    here: Here, name: str, warned: list[str]
) -> None:
    text = "FROM scratch AS tools\nCOPY a /a\nFROM tools\nCOPY a /b\n"
    result = here.build(text, "--no-cache-filter", name)
    stray = name.split(",")[-1]
    near = [f" (did you mean {one}?)" if one else "" for one in warned]
    assert list(result.warnings) == [
        f"--no-cache-filter {stray}: no stage is called that{one}" for one in near
    ]
