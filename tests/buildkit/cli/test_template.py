"""The little of Go's templates that --format understands."""

import pytest

from buildkit.cli.template import render

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
