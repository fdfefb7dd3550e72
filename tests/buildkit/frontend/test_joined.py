"""Several platforms as one graph, and the names of their steps."""

import pytest

from buildkit.errors import DefinitionError
from buildkit.frontend.joined import joined
from buildkit.frontend.lower import Lowered
from buildkit.frontend.options import LowerOptions
from buildkit.oci.platforms import Platform
from tests.buildkit.frontend.plans import AMD64, lowered, parsed

ARM64, ARMV7 = Platform("linux", "arm64"), Platform("linux", "arm", "v7")
CROSS = """FROM --platform=$BUILDPLATFORM go AS build
COPY . /src
ARG TARGETARCH
RUN make $TARGETARCH
FROM base
COPY --from=build /out /
RUN true
"""


def several(text: str, *platforms: Platform) -> tuple[Lowered, ...]:
    options = LowerOptions(build_platform=AMD64, several=True)
    return tuple(lowered(parsed(text), options._replace(platform=one)) for one in platforms)


def names(found: Lowered) -> list[str]:
    return [step.label for step in found.steps]


def test_steps_that_are_the_same_are_there_once() -> None:
    whole = joined(several(CROSS, AMD64, ARM64))
    assert names(whole) == [
        "[linux/amd64 build 1/3] FROM docker.io/library/go:latest",
        "[linux/amd64 build 2/3] COPY . /src",
        "[linux/amd64 build 3/3] RUN make amd64",
        "[linux/amd64 stage-1 1/3] FROM docker.io/library/base:latest",
        "[linux/amd64 stage-1 2/3] COPY --from=build /out /",
        "[linux/amd64 stage-1 3/3] RUN true",
        "[linux/amd64->arm64 build 3/3] RUN make arm64",
        "[linux/arm64 stage-1 1/3] FROM docker.io/library/base:latest",
        "[linux/arm64 stage-1 2/3] COPY --from=build /out /",
        "[linux/arm64 stage-1 3/3] RUN true",
    ]
    assert [step.number for step in whole.steps] == list(range(1, 11))


def test_each_target_is_the_one_of_its_platform() -> None:
    found = several(CROSS, AMD64, ARM64)
    whole = joined(found)
    assert whole.target == (found[0].target, found[1].target)
    assert len(set(found[1].graph.only(found[1].target)) - set(found[0].graph)) == 4
    assert {vertex.id for vertex in whole.graph.only(whole.target)} == {
        vertex.id for one in found for vertex in one.graph
    }


def test_what_asks_for_the_targets_platform_is_named_for_it() -> None:
    text = (
        "FROM --platform=linux/amd64 go\nARG TARGETARCH\nARG TARGETVARIANT\nRUN one\n"
        "ARG TARGETPLATFORM\nRUN two"
    )
    (found,) = several(text, ARMV7)
    assert names(found)[1:] == [
        "[linux/amd64->arm/v7 2/3] RUN one",
        "[linux/amd64->arm/v7 3/3] RUN two",
    ]
    (same,) = several(text, AMD64)
    assert names(same)[1:] == ["[linux/amd64 2/3] RUN one", "[linux/amd64 3/3] RUN two"]


def test_a_stage_on_a_stage_has_its_platform() -> None:
    text = "FROM --platform=linux/amd64 go AS a\nRUN x\nFROM a\nRUN y"
    assert names(several(text, ARM64)[0])[-1] == "[linux/amd64 stage-1 1/1] RUN y"


def test_scratch_has_no_target_and_findings_are_told_once() -> None:
    text = "FROM --platform=linux/amd64 scratch\nENV A=$UNSET"
    whole = joined(several(text, AMD64, ARM64))
    assert whole.target == ()
    assert len(whole.graph) == 0
    assert len(whole.findings) == len(set(whole.findings)) == 1


def test_a_base_for_another_platform_is_an_error_among_several() -> None:
    options = LowerOptions(build_platform=AMD64, platform=ARM64)
    images = {"base": {"platform": "linux/amd64"}}
    assert [one.rule for one in lowered(parsed("FROM base"), options, images).findings]
    with pytest.raises(DefinitionError, match=r"base:latest: no match for platform linux/arm64: "):
        lowered(parsed("FROM base"), options._replace(several=True), images)
    assert lowered(parsed("FROM --platform=linux/amd64 base"), options._replace(several=True))
