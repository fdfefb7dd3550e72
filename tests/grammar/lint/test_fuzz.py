"""Whatever a Dockerfile holds, lint has an answer, and repairs keep what it means."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from grammar.errors import GrammarError
from grammar.instructions import Dockerfile, Env, Label
from grammar.lint.check import lint
from grammar.lint.commands import commands
from grammar.lint.fix import repair
from grammar.lint.rules.maintainer_deprecated import LABEL
from grammar.lint.selection import selection_for
from grammar.lint.walk import everything
from grammar.parser import parse
from grammar.source import Source
from grammar.words import expand
from tests.grammar.dockerfiles import files
from tests.scaling import assert_in_proportion

fuzzed = settings(
    max_examples=max(300, settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

LINES = (
    "FROM a:1 AS Base\n", "from --platform=$TARGETPLATFORM a as b\n", "ENV a b c\n", "env a=b\n",
    "LABEL 'a b\" c\n", "ENV a \"b\" c'd'\n", "EXPOSE 1:2/TCP 3/Udp $x\n", "ENV a $b\\ c\n",
    "MAINTAINER a \"b\" $c\\\n", "RUN a \\\n\n  b\n", "CMD ['a', 'b',]\n", "ENTRYPOINT [\"a\"\n",
    "COPY a b /c\n", "COPY ['a' b]\n", "RUN <<E\na\nb\nE\n", "RUN a | b && chown -R c /c\n",
    "# check=skip=all\n", "# Base is it\n", "ARG V=1 w\n", "WORKDIR a\n", "USER me\n", "\n",
    "RUN --mount=type=cache,target=/x y\n",
)  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    return st.one_of(
        files().map(lambda text: f"FROM a\n{text}"),
        st.lists(st.sampled_from(LINES), max_size=12).map(
            lambda lines: "FROM a\n" + "".join(lines)
        ),
    )


def parsed(text: str) -> Dockerfile | None:
    try:
        return parse(Source("Dockerfile", text))
    except GrammarError:
        return None


@fuzzed
@given(texts(), st.sampled_from(("all", "StageNameCasing", "x")))
def test_any_dockerfile_can_be_linted(text: str, rule: str) -> None:
    dockerfile = parsed(text)
    assume(dockerfile is not None)
    assert dockerfile is not None
    try:
        selection = selection_for(dockerfile)
    except GrammarError:
        return
    lines = len(dockerfile.source.lines())
    for finding in lint(dockerfile, selection):
        assert 1 <= finding.span.line <= finding.span.last_line <= lines
    assert not lint(dockerfile, selection_for(dockerfile, f"skip={rule}")) or rule != "all"


@fuzzed
@given(texts())
def test_a_repaired_file_means_the_same(text: str) -> None:
    before = parsed(text)
    assume(before is not None)
    assert before is not None
    try:
        findings = lint(before, selection_for(before))
    except GrammarError:
        return
    done = repair(text, findings)
    after = parsed(done.text)
    assert after is not None, done.text
    old, new = list(everything(before)), list(everything(after))
    assert len(old) == len(new)
    assert _pairs(before) == _pairs(after)
    left = lint(after, selection_for(after))
    assert len(left) <= len(findings)


def _pairs(dockerfile: Dockerfile) -> list[object]:
    """Return what ENV and LABEL set, but for the label that stands in for MAINTAINER."""
    env = {"b": "x 'y\" z", "V": ""}
    found: list[object] = []
    for instruction in everything(dockerfile):
        if isinstance(instruction, Env | Label):
            found += (
                [_value(word.text, env) for word in (pair.key, pair.value)]
                for pair in instruction.pairs
                if pair.key.text != LABEL
            )
    return found


def _value(word: str, env: dict[str, str]) -> str:
    try:
        return expand(word, env).text
    except GrammarError:
        return "an error"


HUGE = 60_000


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "RUN " + "a | " * (size // 4),
        lambda size: "RUN " + "'" * size,
        lambda size: "RUN " + '"' + '\\"' * (size // 2),
        lambda size: 'RUN "' + "a" * size,
        lambda size: "RUN " + "apt-get update;" * (size // 15),
        lambda size: "CMD [" + "'a'," * (size // 4),
        lambda size: "CMD [" + '"' * size,
        lambda size: "ENV a " + "b " * (size // 2),
        lambda size: "EXPOSE " + "1:2/TCP " * (size // 8),
        lambda size: "COPY " + "a " * (size // 2) + "/b",
        lambda size: "ARG a\n" * (size // 12),
        lambda size: "FROM a AS b\n" * (size // 24),
        lambda size: "ENV a=$a\n" * (size // 18),
        lambda size: "CMD a\n# check=skip=all\n" * (size // 96),
        lambda size: "RUN a \\\n" + "\n" * (size // 2),
        lambda size: "RUN <<E\n" + "a | b\n" * (size // 6) + "E",
        lambda size: "RUN " + "[" * size,
        lambda size: "MAINTAINER " + '"' * size,
    ],
    ids=lambda make: make(48)[:14].strip().replace("\n", " "),
)
def test_a_huge_file_is_linted_in_proportion(make: Callable[[int], str]) -> None:
    def run(size: int) -> None:
        dockerfile = parsed(f"FROM a\n{make(size)}\n")
        if dockerfile is not None:
            lint(dockerfile, selection_for(dockerfile))

    assert_in_proportion(run, HUGE)


@fuzzed
@given(st.text(alphabet="ab '\"\\\n|&;()<>#$`{}=-!", max_size=80))
def test_any_text_can_be_taken_apart_into_commands(text: str) -> None:
    for command in commands(text):
        assert command.words
