"""What the user sees of a step."""

import pytest

from buildkit.frontend.step_names import StepNames, command_text
from tests.buildkit.frontend.plans import lowered, parsed


def test_numbers_are_as_wide_as_the_last() -> None:
    names = StepNames("build", 10)
    assert names.next("RUN a") == "[build  1/10] RUN a"
    assert names.next("RUN a", trigger=True) == "[build  2/10] ONBUILD RUN a"


def test_a_password_in_a_url_is_masked() -> None:
    assert StepNames("", 1).next("ADD http://u:p@h/x ssh://git@h/r /") == (
        "[1/1] ADD http://***@h/x ssh://git@h/r /"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN a", "RUN a"),
        ("RUN $A ${A}x $AB $B", "RUN 1 1x $AB $B"),
        ("RUN '$A' \"$A\" \"'$A'\"", "RUN '$A' \"1\" \"'1'\""),
        ("RUN \\$A \\\\$A", "RUN \\$A \\\\1"),
        ("RUN ${A:-x} ${A%1} $1 $$", "RUN ${A:-x} ${A%1} $1 $$"),
        ("RUN it's $A", "RUN it's 1"),
        ("RUN echo $TOKEN ${TOKEN}", "RUN echo **** ****"),
    ],
)
def test_a_command_shows_the_variables_that_have_a_value(text: str, shown: str) -> None:
    assert command_text(text, {"A": "1", "TOKEN": "no"}, "\\", ("TOKEN",)) == shown


def test_another_escape_token_escapes() -> None:
    assert command_text("RUN `$A \\$A", {"A": "1"}, "`") == "RUN `$A \\1"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("FROM a\nRUN x", ["[1/2] FROM a", "[2/2] RUN x"], id="alone"),
        pytest.param(
            "FROM a\nRUN --mount=type=cache,target=/c x",
            ["[stage-0 1/2] FROM a", "[stage-0 2/2] RUN --mount=type=cache,target=/c x"],
            id="a mount from nothing counts as a name",
        ),
        pytest.param(
            "FROM a\nCOPY --from=b / /",
            ["[stage-0 1/2] FROM a", "FROM b", "[stage-0 2/2] COPY --from=b / /"],
            id="so does an image",
        ),
        pytest.param(
            "FROM a AS x\nFROM x\nrun \\\n  y $PATH",
            ["[x 1/1] FROM a", "[stage-1 1/1] RUN   y %s"],
            id="a stage on a stage pulls nothing",
        ),
    ],
)
def test_steps_are_named_as_buildkit_names_them(text: str, names: list[str]) -> None:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    shown = [
        step.label.replace("docker.io/library/", "").replace(":latest", "").replace(path, "%s")
        for step in lowered(parsed(text)).steps
    ]
    assert shown == names


def test_steps_are_counted_in_the_order_of_the_file() -> None:
    text = "FROM a AS x\nRUN 1\nFROM b\nRUN 2\nCOPY --from=x / /"
    assert [step.number for step in lowered(parsed(text)).steps] == [1, 2, 3, 4, 5]
