"""Where heredocs begin: the words `<<EOF`, `<<-EOF`, `3<<'EOF'` of a line.

In: a logical line. Out: openers, in order. This is no shell parser, see docs/dockerfile.md, chapter
5: a word counts that looks like an opener, whatever surrounds it. Quoting here always goes by the
backslash, whatever the file's escape token.
"""

from __future__ import annotations

import re

from grammar.errors import DockerfileError
from grammar.words import SPACE
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from grammar.lines import LogicalLine

_OPENER = r"([0-9]*)<<(-?)\s*([^<]*)"
_INCOMPLETE = r"[0-9]*<<-?"


class Opener(NamedTuple):
    """An opener and where it stands in the line's text."""

    name: str
    expand: bool
    chomp: bool
    start: int
    end: int


def find_openers(line: LogicalLine) -> tuple[Opener, ...]:
    """Return the openers in `line`.

    Raises DockerfileError if a delimiter's quotes do not match. Where other quotes do not, there
    are no heredocs: nobody can say what is a word then.
    """
    pattern = re.compile(_OPENER)
    openers: list[Opener] = []
    for start, end, unclosed in _words(line.text):
        match = pattern.fullmatch(line.text, start, end)
        if unclosed and match is None:
            return ()
        if unclosed:
            kind = "single" if unclosed == "'" else "double"
            raise DockerfileError(
                f"unexpected end of statement while looking for matching {kind}-quote",
                span=line.span(start, end),
                hint="close the quotes around the heredoc's name",
            )
        if match is not None and (name := _unquoted(match[3])):
            expand = name.count("'") + name.count('"') == match[3].count("'") + match[3].count('"')
            openers.append(Opener(name, expand, match[2] == "-", start, end))
    return tuple(openers)


def _words(text: str) -> list[tuple[int, int, str]]:
    """Return start and end of each word, and the quote that was left open in it.

    Blanks behind a bare `<<` or `<<-` belong to the word, so that `<< EOF` is one.
    """
    incomplete = re.compile(_INCOMPLETE)
    words: list[tuple[int, int, str]] = []
    position, size, start = 0, len(text), -1
    quoted = ""
    waiting = False
    while position < size:
        char = text[position]
        if not quoted and char in SPACE:
            waiting = waiting or incomplete.fullmatch(text, max(start, 0), position) is not None
            if start >= 0 and not waiting:
                words.append((start, position, ""))
                start = -1
            position += 1
            continue
        waiting = False
        start = position if start < 0 else start
        if char == "\\" and quoted != "'":
            position += 1
        elif quoted:
            quoted = "" if char == quoted else quoted
        elif char in "'\"":
            quoted = char
        position += 1
    if start >= 0:
        words.append((start, size, quoted))
    return words


def _unquoted(text: str) -> str:
    """Return a delimiter without quotes and backslashes; `$` means nothing here."""
    parts: list[str] = []
    quoted = ""
    position, size = 0, len(text)
    while position < size:
        char = text[position]
        following = text[position + 1 : position + 2]
        position += 1
        if char == "\\" and quoted != "'":
            if quoted and following and following not in '"$\\':
                parts.append(char)
            parts.append(following)
            position += 1
        elif quoted:
            if char == quoted:
                quoted = ""
            else:
                parts.append(char)
        elif char in "'\"":
            quoted = char
        else:
            parts.append(char)
    return "".join(parts)
