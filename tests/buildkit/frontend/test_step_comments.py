import pytest

from buildkit.frontend.step_comments import wishes_of
from buildkit.llb.wishes import NO_WISHES, Wishes
from grammar.source import Span, Word

SPAN = Span("Dockerfile", 1, 0, 1, 1)


def words(*texts: str) -> list[Word]:
    return [Word(text, SPAN) for text in texts]


@pytest.mark.parametrize(
    ("comments", "wishes"),
    [
        (["pybuild: no-cache"], Wishes(no_cache=True)),
        (["pybuild: ttl=24h"], Wishes(ttl=86_400)),
        (["pybuild: max-layer-size=50m"], Wishes(max_layer_size=50 << 20)),
        (["pybuild: retry=2, timeout=10m"], Wishes(retry=2, timeout=600)),
        (["pybuild: retry=2", "why this is so", "pybuild:timeout=90"], Wishes(retry=2, timeout=90)),
        (["installs pybuild: no-cache"], NO_WISHES),
        ([], NO_WISHES),
    ],
)
def test_comments_become_wishes(comments: list[str], wishes: Wishes) -> None:
    assert wishes_of(words(*comments)) == (wishes, [])


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("nocache", "no such wish (did you mean no-cache?)"),
        ("ttl=soon", "not a span of time: 'soon', as in 30s, 1h30m or 7d"),
        ("ttl=0", "ttl must be more than 0"),
        ("max-layer-size=big", "not a size: 'big'"),
        ("retry=many", "retry takes a number from 1 to 10"),
        ("retry", "the form is no-cache, ttl=24h, retry=2, timeout=10m or max-layer-size=50m"),
    ],
)
def test_what_is_not_understood_is_told(word: str, problem: str) -> None:
    told = f"'# pybuild: {word}' has no effect: {problem}"
    assert wishes_of(words(f"pybuild: {word}")) == (NO_WISHES, [told])
