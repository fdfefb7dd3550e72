"""What can be completed, as functions that bash and zsh both understand.

In: what there is to complete. Out: text. `_pybuild_command NAME` sets `options` (each with `=KIND`
where it takes a value, `_` for one of which nothing is known), `places` (kinds with commas between
where there are several), `repeats` and `rest` (how many places there are before another program's
command line); `_pybuild_second WORD` prints what may follow the first of two words, and
`_pybuild_listing KIND` sets `listing`, the arguments that list what there is.
"""

from __future__ import annotations

from buildkit.cli.completion_words import KINDS, Words, first_words, second_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def table(words: Sequence[Words]) -> str:
    """Return the functions."""
    second = second_words(words)
    lines = [
        f"_pybuild_first={_quoted('|'.join(first_words()))}",
        "",
        "_pybuild_second() {",
        "    case $1 in",
        *(
            f"        {first}) echo {_quoted('|'.join(known))} ;;"
            for first, known in second.items()
        ),
        "        *) return 1 ;;",
        "    esac",
        "}",
        "",
        "_pybuild_listing() {",
        "    case $1 in",
        *(
            f"        {kind}) listing=({' '.join(map(_quoted, of))}) ;;"
            for kind, of in KINDS.items()
        ),
        "        *) return 1 ;;",
        "    esac",
        "}",
        "",
        "_pybuild_command() {",
        "    case $1 in",
        *_commands(words, second),
        "        *) return 1 ;;",
        "    esac",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _commands(words: Sequence[Words], second: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the lines of each command, which two words may mean as well."""
    for one in words:
        pairs = [
            f"{first} {word}"
            for first, known in second.items()
            for word, meant in known.items()
            if meant == one.name
        ]
        places = [place.replace(" ", ",") or "_" for place in one.places]
        yield f"        {' | '.join(map(_quoted, dict.fromkeys((one.name, *pairs))))})"
        yield f"            options={_quoted(' '.join(_options(one)))}"
        yield f"            places={_quoted(' '.join(places))}"
        yield f"            repeats={_quoted('yes' if one.repeats else '')}"
        yield f"            rest={_quoted(str(len(places) - 1) if one.rest else '')}"
        yield "            ;;"


def _options(one: Words) -> Iterator[str]:
    for option in one.options:
        for name in option.names:
            yield name if option.value is None else f"{name}={option.value or '_'}"


def _quoted(text: str) -> str:
    """Return a word in single quotes, which have no exceptions but themselves."""
    return "'" + text.replace("'", "'\\''") + "'"
