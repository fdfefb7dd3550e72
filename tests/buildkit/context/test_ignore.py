"""Ignore files: a table of what is hidden, the rules behind it, and that nothing is slow."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.context.glob import BadPattern
from buildkit.context.ignore import NO_RULE, Patterns
from buildkit.context.ignore_rule import compile_rule
from buildkit.errors import ContextError

# Lines of an ignore file (`|` between them), a path, is it hidden?
TABLE = """
foo                          foo               yes
foo                          foo/bar           yes
foo                          a/foo             no
foo                          foobar            no
/foo                         foo               yes
foo/                         foo               yes
./a/../b                     b                 yes
**/foo                       foo               yes
**/foo                       a/b/foo           yes
**/foo                       a/b/foo/c         yes
**/foo                       a/bfoo            no
**foo                        a/bfoo            yes
**/a/b                       x/a/b             yes
**/a/b                       a/b               yes
**/a/b                       xa/b              no
foo/**                       foo               no
foo/**                       foo/a/b           yes
**                           anything/at/all   yes
*                            a                 yes
*                            a/b               yes
*.log                        a.log             yes
*.log                        a/b.log           no
*.log                        .log              yes
**/*.log                     a/b.log           yes
**/*.log                     b.log             yes
a/*/c                        a/b/c             yes
a/*/c                        a/b/d/c           no
a/**/c                       a/c               yes
a/**/c                       a/b/d/c           yes
a/**/c                       ab/c              no
a/**/b/**/c                  a/x/b/y/z/c       yes
a/**/b/**/c                  a/x/y/z/c         no
a**b                         ab                yes
a**b                         axb               no
a**b                         ax/b              yes
a?c                          abc               yes
a?c                          a/c               no
[a-c]x                       bx                yes
[a-c]x                       dx                no
[^a-c]x                      dx                yes
[^a-c]x                      ax                no
a[^b]c                       a/c               yes
\\*                          *                 yes
\\*                          a                 no
a\\[b                        a[b               yes
docs|!docs/README.md         docs/README.md    no
docs|!docs/README.md         docs/other        yes
!docs/README.md|docs         docs/README.md    yes
*|!src                       src/a/b           no
*|!src                       doc               yes
a|!a/b|a/b/c                 a/b/c             yes
a|!a/b|a/b/c                 a/b/d             no
a|!a/b|a                     a/b               yes
*.md|!README*.md|README-x.md README.md         no
*.md|!README*.md|README-x.md README-x.md       yes
a*b*c                        aXbXbc            yes
a*b*c                        acb               no
*a*b                         xaxb              yes
.                            a                 no
/                            a                 no
../a                         a                 no
a+b(c)|x                     a+b(c)            yes
a.c                          abc               no
""".strip().splitlines()


@pytest.mark.parametrize("line", TABLE)
def test_a_path_is_hidden_or_not(line: str) -> None:
    rules, path, hidden = line.split()
    patterns = Patterns.parse(rules.replace("|", "\n").replace("\\\\", "\\").encode(), "ignore")
    assert patterns.excludes(path) == (hidden == "yes")


def test_comments_blanks_marks_and_returns_do_not_count() -> None:
    patterns = Patterns.parse(b"\xef\xbb\xbf# c\r\n\r\n  foo  \r\n #bar\n! baz\n", "ignore")
    assert [(rule.line, rule.text, rule.excludes) for rule in patterns.rules] == [
        (3, "foo", True),
        (4, "#bar", True),
        (5, "! baz", False),
    ]


def test_the_deciding_rule_is_told_with_its_line() -> None:
    patterns = Patterns.parse(b"# x\ndocs\n!docs/README.md\n", "ignore")
    rule = patterns.rule_for("docs/README.md")
    assert rule is not None
    assert (rule.line, rule.excludes) == (3, False)
    assert patterns.rule_for("src") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n!\n", 'ignore:2: illegal exclusion pattern: "!"'),
        ("!/\n", 'ignore:1: illegal exclusion pattern: "!"'),
        ("[a\n", "ignore:1: syntax error in pattern"),
        ("a\\\n", "ignore:1: syntax error in pattern"),
        ("[]a]\n", "ignore:1: syntax error in pattern"),
        ("[a-]\n", "ignore:1: syntax error in pattern"),
        ("x" * 70000, "ignore:1: line greater than max allowed size of 65535"),
    ],
)
def test_a_bad_line_is_named(text: str, message: str) -> None:
    with pytest.raises(ContextError) as caught:
        Patterns.parse(text.encode(), "ignore")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("rules", "directory", "walk"),
    [
        ("docs", "docs", False),
        ("docs|!docs/a/b", "docs", True),
        ("docs|!docs/a/b", "docs/a", True),
        ("docs|!docs/a/b", "docs/b", False),
        ("*|!src", "docs", False),
        ("*|!src/*/x", "src", True),
        ("*|!src/*/x", "src/y", True),
        ("*|!src/*/x", "src/y/z", False),
        ("*|!**/*.go", "docs", True),
        ("*|!a/**", "b", False),
        ("*|!a/**", "a", True),
        ("!docs/a|docs", "docs", False),
    ],
)
def test_a_hidden_directory_is_walked_only_for_an_exception(
    rules: str, directory: str, *, walk: bool
) -> None:
    patterns = Patterns.parse(rules.replace("|", "\n").encode(), "ignore")
    state = patterns.state_of(directory)
    assert patterns.hides(state)
    assert patterns.may_match_below(directory, state) == walk


_piece = st.sampled_from(["a", "b", "*", "**", "?", "/", "[ab]", "[^a]", ".", "\\*"])
_names = st.sampled_from(["a", "b", "ab", "ba", "*", ".a", "aab", "a.b"])
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)


def _slow_truth(rules: list[str], path: str) -> bool:
    """Say whether `path` is hidden, by asking each rule about each parent."""
    hidden = False
    parts = path.split("/")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    patterns = Patterns.of(rules)
    for rule, form in zip(patterns.rules, patterns.forms, strict=True):
        if any(form.matches(one) for one in above):
            hidden = rule.excludes
    return hidden


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(_piece, min_size=1, max_size=6).map("".join)), max_size=5
    ),
    st.lists(_paths, min_size=1, max_size=5),
)
def test_tables_walks_and_single_rules_agree(
    rules: list[tuple[bool, str]], paths: list[str]
) -> None:
    lines = [("!" if inverted else "") + text for inverted, text in rules]
    try:
        patterns = Patterns.of(lines)
    except ValueError:
        return
    for path in paths:
        hidden = _slow_truth(lines, path)
        assert patterns.excludes(path) == hidden
        above, state = "", NO_RULE
        for name in path.split("/"):
            if patterns.hides(state) and not hidden:
                assert patterns.may_match_below(above, state)
            above = f"{above}/{name}" if above else name
            state = patterns.step(state, above)
        assert patterns.hides(state) == hidden


@given(st.lists(_piece, min_size=1, max_size=7).map("".join), st.lists(_paths, min_size=1))
def test_the_fast_form_of_a_pattern_matches_what_the_automaton_does(
    pattern: str, paths: list[str]
) -> None:
    try:
        form = compile_rule(pattern)
    except BadPattern:
        return
    if form.kind == "suffix":
        return  # `**a` is any ending for moby, also within a name; only this form knows
    slow = form._replace(kind="slow", text=r"(?!)", depth=-1)
    for path in paths:
        assert form.matches(path) == slow.matches(path), (form, path)


def test_no_pattern_takes_exponential_time() -> None:
    names = ["a" * 200, "/".join(["a"] * 100), "a/" * 50 + "b" * 100]
    rules = [
        "*a" * 40 + "b",
        "**/a/" * 30 + "b",
        "*" * 50 + "c",
        "[^b]*" * 30 + "b",
        "a**" * 30 + "b",
    ]
    before = time.process_time()
    for rule, name in itertools.product(rules, names):
        Patterns.of([rule]).excludes(name)
    assert time.process_time() - before < 20
