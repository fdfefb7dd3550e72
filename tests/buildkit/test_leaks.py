"""Secrets in what a Dockerfile comes to."""

from pathlib import Path

import pytest

from buildkit.errors import BuildError
from buildkit.exporter.attributes import parse_output
from buildkit.leaks import hidden, search_definition, strings
from buildkit.ops.secrets import SecretSource
from tests.buildkit.frontend.plans import lowered, parsed

VALUE = "hunter2-supersecret"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"FROM scratch\nENV A={VALUE}\n", "the image's variable A"),
        (f"FROM scratch\nLABEL l={VALUE}\n", "the image's label l"),
        (f'FROM scratch\nCMD ["a", "{VALUE}"]\n', "the image's config"),
        (f"FROM scratch\nRUN a {VALUE}\n", "RUN, line 2 of the Dockerfile"),
        (f"FROM scratch\nWORKDIR /{VALUE}\n", "WORKDIR, line 2 of the Dockerfile"),
        (f"FROM scratch AS a\nARG X={VALUE}\nRUN a\n", "RUN, line 3 of the Dockerfile"),
        ("FROM scratch\nENV A=hunter2-super\nENV B=secret\nRUN a\n", ""),
    ],
)
def test_a_secret_is_found_wherever_it_would_be_kept(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "s").write_text(VALUE)
    sources = {"s": SecretSource(str(tmp_path / "s"), "")}
    if not place:
        search_definition(lowered(parsed(text)), sources)
        return
    with pytest.raises(BuildError) as caught:
        search_definition(lowered(parsed(text)), sources)
    assert str(caught.value) == f"secret s is in {place}"
    assert caught.value.lines is None


def test_a_secret_in_an_annotation_is_found(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(VALUE)
    sources = {"s": SecretSource(str(tmp_path / "s"), "")}
    for key in ("annotation.a.b", "annotation-index.a.b"):
        output = parse_output(f"type=oci,dest=x,{key}=x{VALUE}")
        with pytest.raises(BuildError, match=r"^secret s is in the annotation a\.b$"):
            search_definition(lowered(parsed("FROM scratch\n")), sources, [output])


def test_an_error_does_not_show_a_secret(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(f"{VALUE}\n")
    error = BuildError(f"no file {VALUE}", hint=f"is it {VALUE}?")
    error.excerpt = f"   1 | # {VALUE}\n   2 | >>> RUN x\n"
    told = hidden(error, {"s": SecretSource(str(tmp_path / "s"), "")})
    assert (told.message, told.hint) == ("no file ***", "is it ***?")
    assert told.excerpt == "   1 | # ***\n   2 | >>> RUN x\n"


def test_texts_are_found_however_deep_they_lie() -> None:
    value = ("a", (b"b", {"c": ("d", 1, None)}), frozenset({"e"}))
    assert sorted(strings(value)) == ["a", "b", "c", "d", "e"]
