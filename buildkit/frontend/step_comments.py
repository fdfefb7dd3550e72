"""Comments that steer one step: `# pybuild: no-cache ttl=24h retry=2 timeout=10m`.

In: the comment lines directly above an instruction. Out: `Wishes`, and what could not be
understood, to be told as a warning: to other builders these are comments, so they are never an
error. Several may stand in one line, with spaces or commas between them, or in several lines.
"""

from __future__ import annotations

from buildkit.llb.wishes import Wishes
from buildkit.sizes import parse_size
from grammar.nearest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from grammar.source import Word


MARK = "pybuild:"
RETRIES = 10

_NAMES = ("no-cache", "ttl", "retry", "timeout", "max-layer-size")


def wishes_of(comments: Iterable[Word]) -> tuple[Wishes, Sequence[str]]:
    """Return what `comments` ask for, and a sentence for each word that asks for nothing known."""
    wishes = Wishes()
    problems = []
    for comment in comments:
        text = comment.text.strip()
        if not text.startswith(MARK):
            continue
        for word in text.removeprefix(MARK).replace(",", " ").split():
            try:
                wishes = _with(wishes, word)
            except ValueError as error:
                problems.append(f"'# {MARK} {word}' has no effect: {error}")
    return wishes, problems


def _with(wishes: Wishes, word: str) -> Wishes:
    """Return `wishes` with one more. Raises ValueError."""
    name, equals, value = word.partition("=")
    if name == "no-cache" and not equals:
        return wishes._replace(no_cache=True)
    if name in ("ttl", "timeout") and equals:
        # Its patterns cost half a millisecond, and few Dockerfiles have such a comment.
        from buildkit.durations import parse_duration

        seconds = parse_duration(value)
        if not seconds:
            raise ValueError(f"{name} must be more than 0")
        return wishes._replace(**{name: seconds})  # type: ignore[arg-type]
    if name == "retry" and equals:
        if not (value.isascii() and value.isdigit()) or not 0 < int(value[:4]) <= RETRIES:
            raise ValueError(f"retry takes a number from 1 to {RETRIES}")
        return wishes._replace(retry=int(value))
    if name == "max-layer-size" and equals:
        size = parse_size(value)
        if not size:
            raise ValueError(f"{name} must be more than 0")
        return wishes._replace(max_layer_size=size)
    if name in _NAMES:
        raise ValueError(
            "the form is no-cache, ttl=24h, retry=2, timeout=10m or max-layer-size=50m"
        )
    raise ValueError(f"no such wish{did_you_mean(name, _NAMES)}")
