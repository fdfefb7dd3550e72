"""Dockerfiles put together at random: they are lowered or refused, and nothing else happens."""

from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.errors import DefinitionError
from buildkit.frontend.lower import Lowered
from buildkit.frontend.options import LowerOptions, NamedContext
from buildkit.llb.op import CopyOp, CopySource
from grammar.errors import GrammarError
from grammar.parser import parse_instruction
from tests.buildkit.frontend.plans import AMD64, lowered, parsed

WORDS = st.one_of(
    st.sampled_from(
        ["a", "/b", "c/", ".", "..", "$A", "${B:-x}", "${A#*}", '"q q"', "'s'", "\\$", "$", "s0",
         "s1", "0", "1", "ctx", "80", "http://h/f", "git@h:r", "A=1", "[", "*", "<<E"]
    ),
    st.text(st.characters(exclude_characters="\n\r"), min_size=1, max_size=6),
)  # fmt: skip
FLAGS = st.sampled_from(
    ["", "", "", "", "", "--from=s0", "--from=1", "--from=ctx", "--from=img", "--link",
     "--parents", "--chmod=7$A", "--mount=type=cache,target=$A", "--mount=from=s1,target=/m",
     "--mount=type=secret,id=x",
     "--network=none", "--unpack", "--platform=$TARGETPLATFORM"]
)  # fmt: skip
KEYWORDS = st.sampled_from(
    ["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK CMD", "LABEL", "RUN",
     "ONBUILD COPY", "ONBUILD RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR", "ONBUILD ARG"]
)  # fmt: skip


def parses(line: str) -> bool:
    """Return whether `line` is an instruction: most that are put together at random are none."""
    try:
        parse_instruction(line)
    except GrammarError:
        return False
    return True


LINES = st.builds(
    lambda keyword, flag, words: " ".join([keyword, flag, *words]),
    KEYWORDS,
    FLAGS,
    st.lists(WORDS, min_size=1, max_size=4),
).filter(parses)
STARTS = st.sampled_from(
    ["FROM img", "FROM s0 AS s1", "FROM scratch", "FROM ctx AS s0", "FROM onbuild", "FROM $A AS s1"]
)
FILES = st.lists(st.one_of(STARTS, LINES, LINES, LINES), max_size=12)
OPTIONS = LowerOptions(
    build_platform=AMD64,
    build_args={"B": "given", "http_proxy": "p"},
    contexts={"ctx": NamedContext("local"), "s1": NamedContext("image", "other")},
)
IMAGES = {"onbuild": {"onbuild": ["ARG A=t", "COPY --from=img $A /t"], "env": ["A=base"]}}


@settings(deadline=None, max_examples=200)
@given(FILES)
def test_it_is_lowered_or_refused(lines: list[str]) -> None:
    text = "\n".join(["ARG A=img", "FROM img AS s0", *lines])
    try:
        result = lowered(parsed(text), OPTIONS, IMAGES)
    except GrammarError:
        return
    except DefinitionError as error:
        first, last = error.lines or (1, 1)
        assert 1 <= first <= last <= text.count("\n") + 1
        return
    check(result)


def check(result: Lowered) -> None:
    """Assert what holds for every graph and history."""
    vertices = {vertex.id: vertex for vertex in result.graph}
    assert result.target is None or result.target in vertices
    for vertex in result.graph.order():
        assert all(name is None or name in vertices for name in vertex.inputs)
        if isinstance(vertex.op, CopyOp):
            origins = [one.origin for one in vertex.op.sources if isinstance(one, CopySource)]
            assert all(0 < origin < len(vertex.inputs) for origin in origins)
            assert vertex.op.dest.startswith("/")
    assert all(item.vertex in vertices for item in result.history if item.vertex is not None)
    numbers = [step.number for step in result.steps]
    assert numbers == sorted(set(numbers))
