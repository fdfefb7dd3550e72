"""The little of Go's templates that --format understands."""

import pytest

from buildkit.cli.template import line_of, print_rows, render
from buildkit.errors import UsageError

DOCUMENT = {
    "Id": "sha256:1",
    "Size": 7,
    "Config": {"Env": ["A=b", "C=d"], "Cmd": None, "Labels": {"x.y": "z", "a": "b"}, "On": True},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "sha256:1"),
        ("{{ .Id }}", "sha256:1"),
        ("{{.Size}}:{{.Id}}", "7:sha256:1"),
        ("{{.Config.Env}}", "[A=b C=d]"),
        ("{{.Config.Cmd}}", "<nil>"),
        ("{{.Config.On}}", "true"),
        ("{{.Config.Labels}}", "map[a:b x.y:z]"),
        ('{{index .Config.Labels "x.y"}}', "z"),
        ('{{index .Config.Labels "none"}}', ""),
        ("{{index .Config.Env 1}}", "C=d"),
        ("{{json .Config.Env}}", '["A=b","C=d"]'),
        ("{{json .Config.Cmd}}", "null"),
        ("plain", "plain"),
        (r"a\tb\n", "a\tb\n"),
    ],
)
def test_a_template_is_rendered(template: str, text: str) -> None:
    assert render(template, DOCUMENT) == text


@pytest.mark.parametrize(
    "template",
    ["{{.Nothing}}", "{{.Id.More}}", "{{range .Config.Env}}", "{{index .Config.Env 9}}", "{{}}"],
)
def test_what_is_not_understood_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match=r"there is no|not supported|no such entry"):
        render(template, DOCUMENT)


def test_a_line_has_no_control_sequence_of_others() -> None:
    assert line_of(r"{{.A}}\t{{.A}}", {"A": "\x1b[2Jé"}, "{{.A}}") == "\\x1b[2Jé\t\\x1b[2Jé"
    with pytest.raises(UsageError, match=r"there is no \.B") as caught:
        line_of("{{.B}}", {"A": 1}, "{{.A}}")
    assert caught.value.hint == "as in '{{.A}}'"


HEADS = {"ID": "IMAGE ID", "Tag": "TAG"}


@pytest.mark.parametrize(
    ("template", "lines"),
    [
        ("{{.ID}}:{{.Tag}}", ["1:a", "22:b\\x1b"]),
        (r"{{.ID}}\t{{.Tag}}", ["1\ta", "22\tb\\x1b"]),
        (r"table {{.ID}}\t{{.Tag}}", ["IMAGE ID   TAG", "1          a", "22         b\\x1b"]),
        ("table {{.Tag}}", ["TAG", "a", "b\\x1b"]),
    ],
)
def test_rows_are_printed_by_a_template(
    template: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_rows(template, [{"ID": "1", "Tag": "a"}, {"ID": "22", "Tag": "b\x1b"}], HEADS)
    assert capsys.readouterr().out.splitlines() == lines


def test_a_template_with_an_unknown_field_is_an_error_also_without_rows() -> None:
    with pytest.raises(UsageError, match=r"there is no \.Size") as caught:
        print_rows("{{.Size}}", [], HEADS)
    assert caught.value.hint == "known are ID, Tag"
