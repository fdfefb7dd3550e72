"""Asking for images, and what lowering takes and leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from buildkit.errors import DefinitionError
from buildkit.frontend.bases import BaseRequest, NeedsBases
from buildkit.frontend.lower import Lowered, base_references, lower
from buildkit.frontend.options import LowerOptions
from buildkit.oci.platforms import Platform
from tests.buildkit.frontend.plans import AMD64, image, lowered, parsed

ARM64 = Platform("linux", "arm64")
OPTIONS = LowerOptions(build_platform=AMD64)
UNLOADED = (
    "asyncio", "dataclasses", "inspect", "lark", "logging", "networkx.generators", "pathlib",
    "shutil", "subprocess", "tempfile", "urllib.parse",
)  # fmt: skip


def request(name: str, platform: Platform = AMD64) -> BaseRequest:
    return BaseRequest(f"docker.io/library/{name}:latest", platform)


def test_all_images_of_the_target_are_asked_for_at_once() -> None:
    dockerfile = parsed(
        "FROM unused\nFROM --platform=linux/arm64 tools AS tools\nFROM scratch AS empty\n"
        "FROM app\nCOPY --from=tools / /\nCOPY --from=empty / /\n"
        "RUN --mount=from=mounted,target=/m x"
    )
    wanted = {request("tools", ARM64), request("app"), request("mounted")}
    result = lower(dockerfile, OPTIONS, {})
    assert isinstance(result, NeedsBases)
    assert set(result.requests) == base_references(dockerfile, OPTIONS) == wanted
    assert result.requests[request("mounted")].lines == (7, 7)


def test_triggers_ask_for_more_once_their_image_is_known() -> None:
    dockerfile = parsed("FROM parent")
    parent = image("docker.io/library/parent:latest", AMD64, {"onbuild": ["COPY --from=more / /"]})
    known = {request("parent"): parent}
    result = lower(dockerfile, OPTIONS, known)
    assert isinstance(result, NeedsBases)
    assert list(result.requests) == [request("more")]
    known[request("more")] = image("docker.io/library/more:latest", AMD64, {})
    assert isinstance(lower(dockerfile, OPTIONS, known), Lowered)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FROM alpine AS build\nFROM biuld", "did you mean build?"),
        ("FROM scratch\nCOPY --from=alpnie / /", "did you mean alpine?"),
        ("FROM something.example/else", ""),
    ],
)
def test_an_image_comes_with_what_may_have_been_meant(text: str, hint: str) -> None:
    result = lower(parsed(text), OPTIONS, {})
    assert isinstance(result, NeedsBases)
    assert [use.hint for use in result.requests.values()][-1] == hint


def test_the_same_dockerfile_gives_the_same_graph() -> None:
    text = "FROM alpine\nRUN a\nCOPY a b /c/\nFROM alpine\nCOPY --from=0 / /"
    first, second = lowered(parsed(text)), lowered(parsed(text))
    assert [vertex.id for vertex in first.graph] == [vertex.id for vertex in second.graph]
    assert first.history == second.history


def test_what_lines_a_step_stands_on_is_no_part_of_it() -> None:
    one = lowered(parsed("FROM alpine\nRUN a\n"))
    other = lowered(parsed("# comment\nFROM alpine AS x\n\nRUN \\\n# more\na\n"))
    assert one.target == other.target


@pytest.mark.parametrize(
    "other",
    [
        "FROM alpine\nRUN b",
        "FROM alpine\nENV A=1\nRUN a",
        "FROM alpine\nARG A=1\nRUN a",
        "FROM alpine\nUSER u\nRUN a",
        "FROM alpine\nRUN --network=none a",
        "FROM debian\nRUN a",
    ],
)
def test_what_a_step_sees_is_part_of_it(other: str) -> None:
    assert lowered(parsed("FROM alpine\nRUN a")).target != lowered(parsed(other)).target


def test_an_argument_matters_only_to_steps_behind_it() -> None:
    one = lowered(parsed("FROM alpine\nRUN a\nARG A=1\nCOPY a /a"))
    other = lowered(parsed("FROM alpine\nRUN a\nCOPY a /a"))
    assert one.target == other.target


def test_a_build_argument_that_nobody_declares_reaches_nothing() -> None:
    given = LowerOptions(build_platform=AMD64, build_args={"SECRET": "x"})
    text = "FROM alpine\nRUN a $SECRET\nENV B=${SECRET:-none}"
    result = lowered(parsed(text), given)
    assert result.config.env[-1] == "B=none"
    assert "x" not in {value for _, value in result.graph[result.target or ""].op.env}  # type: ignore[union-attr]
    assert result.warnings == ("[Warning] One or more build-args [SECRET] were not consumed",)


@pytest.mark.parametrize(
    ("options", "epoch"),
    [
        (OPTIONS, 5),
        (OPTIONS._replace(source_date_epoch=6), 6),
        (OPTIONS._replace(source_date_epoch=6, build_args={"SOURCE_DATE_EPOCH": "7"}), 7),
        (OPTIONS._replace(build_args={"SOURCE_DATE_EPOCH": ""}), None),
    ],
)
def test_the_nearest_epoch_counts(options: LowerOptions, epoch: int | None) -> None:
    result = lowered(parsed("ARG SOURCE_DATE_EPOCH=5\nFROM alpine"), options)
    assert result.epoch == epoch


def test_a_stage_can_be_asked_for_by_name_in_any_case_and_by_number() -> None:
    dockerfile = parsed("FROM scratch AS One\nENV A=1\nFROM scratch")
    for target in ("one", "ONE", "0"):
        result = lowered(dockerfile, OPTIONS._replace(target=target))
        assert result.config.env[-1] == "A=1"


def test_a_long_chain_of_stages_is_no_deep_recursion() -> None:
    stages = [f"FROM s{number - 1} AS s{number}\nENV A=1" for number in range(1, 3000)]
    copies = [
        f"FROM scratch AS c{number}\nCOPY --from=c{number - 1} / /" for number in range(1, 3000)
    ]
    text = "\n".join(
        [
            "FROM scratch AS s0",
            *stages,
            "FROM scratch AS c0",
            *copies,
            "FROM s2999",
            "COPY --from=c2999 / /",
        ]
    )
    assert lowered(parsed(text)).target is not None


def test_the_last_stage_of_a_name_is_meant() -> None:
    text = "FROM scratch AS a\nENV A=1\nFROM scratch AS a\nENV A=2\nFROM a"
    assert lowered(parsed(text)).config.env[-1] == "A=2"


def test_a_cycle_through_triggers_is_found() -> None:
    text = "FROM scratch AS base\nONBUILD COPY --from=child / /\nFROM base AS child"
    with pytest.raises(DefinitionError, match="circular dependency detected on stage: child"):
        lowered(parsed(text))


def test_importing_the_frontend_loads_little() -> None:
    program = (
        "import sys, buildkit.frontend.lower\n"
        f"print([name for name in {UNLOADED} if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"
