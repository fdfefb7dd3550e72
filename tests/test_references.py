"""What code, tests and pages refer to is there: pages, chapters, guarantees, modules, tests.

The project speaks of itself alone: every rule that a comment goes by is in `docs/` or in a public
document, and no text knows where a checkout lies.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.program import TOP

FOLDERS = ("buildkit", "grammar", "runtime", "tests", "fixtures", "benchmarks", "docs")
KINDS = (".py", ".lark", ".md", ".txt", ".toml", ".tsv")
PAGES = sorted(path for path in (TOP / "docs").glob("*.md")) + sorted(TOP.glob("*.md"))

_REFERENCE = re.compile(r"docs/([\w-]+)\.md")
_NUMBER = r"\d+(?:\.\d+)?(?: \([^)]*\))?"
_CHAPTERS = re.compile(
    rf"docs/dockerfile\.md, (?:chapters? )?({_NUMBER}(?:(?:,| and| to) {_NUMBER})*)"
)
_GUARANTEE = r"(?:rule \d|[SR]\d+)"
_GUARANTEES = re.compile(
    rf"(?:docs/security\.md,|[Gg]uarantees?) ({_GUARANTEE}(?:(?:,| and| to) {_GUARANTEE})*)"
)
_QUOTED = re.compile(r'docs/([\w-]+)\.md, "([^"]+)"')
_LINK = re.compile(r"\]\(([^)#\s]*)(#[\w-]+)?\)")
_PATH = re.compile(r"`((?:buildkit|grammar|runtime|tests|fixtures|benchmarks)/[\w./-]*)`")
_ELSEWHERE = re.compile(
    r"(?<![\w/])(?:dockerfile|security|cli)\.md(?![\w(])|engineering-facts|style\.md"
    r"|\b(?:security|reliability) guarantee",
    re.IGNORECASE,
)
"""Documents that are not the project's, or not called so."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield path and text of everything that people read."""
    for folder in FOLDERS:
        for directory, names, files in os.walk(TOP / folder):
            names[:] = [name for name in names if name != "__pycache__"]
            for name in files:
                path = Path(directory, name)
                if path.suffix in KINDS or name == "Dockerfile":
                    yield str(path.relative_to(TOP)), path.read_text("utf-8", "replace")
    for path in (*TOP.glob("*.md"), *TOP.glob("*.py"), *TOP.glob("*.toml")):
        yield path.name, path.read_text("utf-8")


def flat(text: str) -> str:
    """Return `text` on one line, comments without their marks."""
    return re.sub(r"\s*\n\s*(?:(?:#|//)\s)?\s*", " ", text)


def headings(page: str) -> list[str]:
    """Return the headings of `docs/<page>.md`."""
    return re.findall(r"^#+ (.+)$", (TOP / f"docs/{page}.md").read_text("utf-8"), re.MULTILINE)


TEXTS: Mapping[str, str] = dict(texts())
FLAT: Mapping[str, str] = {
    path: flat(text) for path, text in TEXTS.items() if path != "tests/test_references.py"
}


def test_a_page_that_is_referred_to_exists() -> None:
    found = {(path, page) for path, text in FLAT.items() for page in _REFERENCE.findall(text)}
    assert [one for one in found if not (TOP / f"docs/{one[1]}.md").exists()] == []
    assert len(found) > 50


def test_a_chapter_that_is_referred_to_exists() -> None:
    known = {
        match[1] for one in headings("dockerfile") if (match := re.match(r"(\d[\d.]*\d|\d)", one))
    }
    assert known >= {str(number) for number in range(1, 15)}
    found = {
        (path, number)
        for path, text in FLAT.items()
        for some in _CHAPTERS.findall(text)
        for number in re.findall(r"\d+(?:\.\d+)?", re.sub(r"\([^)]*\)", "", some))
    }
    assert [one for one in found if one[1] not in known] == []
    assert len(found) > 50


def test_a_guarantee_that_is_referred_to_exists() -> None:
    page = (TOP / "docs/security.md").read_text("utf-8")
    known = re.findall(r"^- \*\*([SR]\d+) ", page, re.MULTILINE)
    expected = [f"S{number}" for number in range(1, 32)] + [f"R{number}" for number in range(1, 13)]
    assert known == expected
    found = {
        (path, name)
        for path, text in FLAT.items()
        for some in _GUARANTEES.findall(text)
        for name in re.findall(r"[SR]\d+", some)
    }
    assert [one for one in found if one[1] not in known] == []
    assert len(found) > 50


def test_a_heading_that_is_referred_to_exists() -> None:
    found = {(path, *one) for path, text in FLAT.items() for one in _QUOTED.findall(text)}
    assert [one for one in found if one[2] not in headings(one[1])] == []
    assert found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, anchor in _LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            known = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            assert anchor[1:] in {_anchor(one) for one in known}, anchor


def _anchor(heading: str) -> str:
    """Return what a heading's anchor is called by those who show Markdown."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_tests_that_a_page_names_exist(page: Path) -> None:
    found = {path for path in _PATH.findall(page.read_text("utf-8")) if path == path.lower()}
    made = {"grammar/generated.py"}
    assert [path for path in sorted(found - made) if not (TOP / path).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (TOP / "docs/README.md").read_text("utf-8")
    pages = {path.name for path in (TOP / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


def test_nothing_refers_to_documents_of_elsewhere() -> None:
    found = [
        f"{path}: {match[0]}"
        for path, text in FLAT.items()
        for match in _ELSEWHERE.finditer(text)
        if not path.startswith("docs/")
    ]
    assert found == []


def test_no_text_knows_where_the_checkout_lies() -> None:
    # A checkout at the top of the file system may be called as things in Dockerfiles are.
    if len(TOP.parts) < 3:
        pytest.skip("too short a path to tell")
    assert [path for path, text in FLAT.items() if f"{TOP}/" in text] == []
