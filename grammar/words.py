"""Words: splitting at blanks, quotes and escapes, and what stands behind a `$`.

In: text as it was written, and an environment. Out: the expanded text and the names it used.
Document: docs/dockerfile.md, chapter 6. Work and output are linear in word and values; nesting and
size are limited, so that no Dockerfile can take time or memory from the builder.
"""

from __future__ import annotations

from grammar import globs
from grammar.errors import ExpansionError, quote
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from grammar.source import Span


MAX_DEPTH = 100
"""How deep `${a:-${b:-…}}` may nest."""

MAX_LENGTH = 1 << 20
"""Characters that variables may add to one word; execve takes no string above 128 KiB anyway."""

MAX_WORK = 1 << 26
"""Characters that all patterns of one word together may be compared with."""

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What Go's unicode.IsSpace takes for white space; `str.isspace` has four characters more."""

_SPECIAL_NAMES = frozenset("@*#?-$!0")
_END = ""
"""What `peek` gives behind the last character."""


class Expansion(NamedTuple):
    """An expanded word: `unset` are names that gave nothing for want of a value, `used` all."""

    text: str
    unset: frozenset[str]
    used: frozenset[str]


def expand(
    word: str, env: Mapping[str, str], escape: str = "\\", *, span: Span | None = None
) -> Expansion:
    """Return `word` with variables replaced and quotes and escapes removed.

    Raises ExpansionError, placed at `span` if that is given.
    """
    if _is_plain(word, escape):
        return Expansion(word, frozenset(), frozenset())
    return _Expander(word, env, escape).result(span)


def expand_words(
    word: str, env: Mapping[str, str], escape: str = "\\", *, span: Span | None = None
) -> tuple[str, ...]:
    """Return the words that `word` becomes: blanks split it, also those that a variable brings in.

    Blanks in quotes do not split. Empty words vanish. Raises ExpansionError.
    """
    expander = _Expander(word, env, escape)
    expander.result(span)
    return expander.words()


def expand_body(
    text: str, env: Mapping[str, str], escape: str = "\\", *, span: Span | None = None
) -> Expansion:
    """Return a heredoc's body expanded: quotes are data in it, the escape token still escapes."""
    if "$" not in text and escape not in text:
        return Expansion(text, frozenset(), frozenset())
    return _Expander(text, env, escape, quotes="").result(span)


def split(text: str, escape: str = "\\") -> tuple[str, ...]:
    """Return the words of `text`, with their quotes and escapes still in them.

    Blanks separate words unless they are quoted or escaped. A final escape token is dropped.
    """
    return tuple(text[start:end] for start, end in split_places(text, escape))


def split_places(text: str, escape: str = "\\") -> list[tuple[int, int]]:
    """Return where each word of `text` starts and ends."""
    places: list[tuple[int, int]] = []
    position, size = 0, len(text)
    while True:
        while position < size and text[position] in SPACE:
            position += 1
        if position == size:
            return places
        start = position
        position, end = _word_end(text, position, escape)
        if end > start:
            places.append((start, end))


def _word_end(text: str, position: int, escape: str) -> tuple[int, int]:
    """Return where to go on behind the word at `position`, and where the word itself ends."""
    size = len(text)
    quoted = ""
    while position < size:
        char = text[position]
        if char == escape and quoted != "'":
            if position + 1 == size:
                return size, position
            position += 2
            continue
        if quoted:
            if char == quoted:
                quoted = ""
        elif char in "'\"":
            quoted = char
        elif char in SPACE:
            break
        position += 1
    return position, position


def _is_plain(word: str, escape: str) -> bool:
    return "$" not in word and escape not in word and "'" not in word and '"' not in word


class _Piece(NamedTuple):
    """Part of a result. What is `raw` was quoted or escaped and is not split at blanks."""

    text: str
    raw: bool


class _Expander:
    """One pass over one word, from left to right; every method goes on at `position`."""

    def __init__(
        self, word: str, env: Mapping[str, str], escape: str, *, quotes: str = "'\""
    ) -> None:
        self.word = word
        self.env = env
        self.escape = escape
        self.quotes = quotes
        self.stops = frozenset({"$", escape, *quotes})
        self.quoted_stops = frozenset({"$", escape, '"'})
        self.position = 0
        self.depth = 0
        self.room = MAX_LENGTH
        self.work = MAX_WORK
        self.unset: list[str] = []
        self.used: list[str] = []
        self.pieces: list[_Piece] = []

    def result(self, span: Span | None) -> Expansion:
        """Expand the whole word."""
        try:
            self.pieces = self.until(_END, keep_escapes=False)
        except ExpansionError as error:
            message = f"failed to process {quote(_shortened(self.word))}: {error.message}"
            raise ExpansionError(message, span=span, hint=error.hint) from None
        text = "".join(piece.text for piece in self.pieces)
        return Expansion(text, frozenset(self.unset), frozenset(self.used))

    def words(self) -> tuple[str, ...]:
        """Return the result's words."""
        words: list[str] = []
        word: list[str] = []
        for piece in self.pieces:
            if piece.raw:
                word.append(piece.text)
                continue
            for char in piece.text:
                if char not in SPACE:
                    word.append(char)
                elif word:
                    words.append("".join(word))
                    word = []
        words.append("".join(word))
        return tuple(word for word in words if word)

    def peek(self) -> str:
        """Return the next character, or "" at the end."""
        return self.word[self.position : self.position + 1]

    def take(self) -> str:
        """Return the next character and step over it."""
        char = self.peek()
        self.position += 1
        return char

    def until(self, stop: str, *, keep_escapes: bool) -> list[_Piece]:
        """Expand up to the character `stop` and step over it.

        With `keep_escapes`, for patterns, an escape token stays and only shields what follows it.
        """
        pieces: list[_Piece] = []
        while char := self.peek():
            if char == stop:
                self.position += 1
                return pieces
            if char == "$":
                pieces.append(_Piece(self.dollar(), raw=False))
            elif char in self.quotes:
                self.position += 1
                text = self.single_quoted() if char == "'" else self.double_quoted(keep_escapes)
                pieces.append(_Piece(text, raw=True))
            elif char == self.escape:
                self.position += 1
                kept = self.escape if keep_escapes else ""
                pieces.append(_Piece(kept + self.take(), raw=True))
            else:
                pieces.append(_Piece(self.plain(self.stops | {stop}), raw=False))
        if stop != _END:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def plain(self, stops: frozenset[str]) -> str:
        """Return what comes before the next character that means something."""
        start = position = self.position
        word, size = self.word, len(self.word)
        while position < size and word[position] not in stops:
            position += 1
        self.position = position
        return word[start:position]

    def single_quoted(self) -> str:
        """Return what stands before the closing quote, as it is."""
        end = self.word.find("'", self.position)
        if end < 0:
            self.position = len(self.word)
            raise ExpansionError(
                "unexpected end of statement while looking for matching single-quote"
            )
        text = self.word[self.position : end]
        self.position = end + 1
        return text

    def double_quoted(self, keep_escapes: bool) -> str:  # noqa: FBT001 - passed through from `until`
        """Return what stands before the closing quote, expanded."""
        parts: list[str] = []
        shielded = ('"', "$", self.escape)
        while char := self.take():
            if char == '"':
                return "".join(parts)
            if char == "$":
                self.position -= 1
                parts.append(self.dollar())
            elif char != self.escape:
                self.position -= 1
                parts.append(self.plain(self.quoted_stops))
            elif self.peek() in shielded:
                parts.append((char if keep_escapes else "") + self.take())
            elif self.peek():
                parts.append(char * 2 if keep_escapes else char)
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    def dollar(self) -> str:
        """Expand the variable whose `$` comes next."""
        self.position += 1
        if self.peek() != "{":
            name = self.name()
            return self.grown(self.value(name)) if name else "$"
        self.position += 1
        if self.depth == MAX_DEPTH:
            raise ExpansionError(f"variables nest deeper than {MAX_DEPTH} levels")
        self.depth += 1
        text = self.braced()
        self.depth -= 1
        return self.grown(text)

    def grown(self, text: str) -> str:
        """Return `text`, having made sure that the whole stays in bounds."""
        self.room -= len(text)
        if self.room < 0:
            raise ExpansionError(f"expands to more than {MAX_LENGTH} characters")
        return text

    def name(self) -> str:
        """Return the name that comes next; "" if none does."""
        start = position = self.position
        word, size = self.word, len(self.word)
        if position < size and word[position].isdecimal():
            while position < size and word[position].isdecimal():
                position += 1
        elif position < size and word[position] in _SPECIAL_NAMES:
            position += 1
        else:
            while position < size and (
                word[position] == "_" or word[position].isalpha() or word[position].isdecimal()
            ):
                position += 1
        self.position = position
        return word[start:position]

    def lookup(self, name: str) -> str | None:
        """Return a variable's value, None if it has none."""
        self.used.append(name)
        return self.env.get(name)

    def value(self, name: str) -> str:
        """Return a variable's value; for want of one, "" and a note of it."""
        value = self.lookup(name)
        if value is None:
            self.unset.append(name)
            return ""
        return value

    def braced(self) -> str:
        """Expand what stands behind `${`, up to its `}`."""
        following = self.peek()
        if not following:
            raise ExpansionError("syntax error: missing '}'")
        if following in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        name = self.name()
        modifier = self.take()
        if modifier == "}":
            return self.value(name)
        if modifier == "/":
            return self.replaced(name)
        colon = modifier == ":"
        if colon:
            modifier = self.take()
        if not modifier or (not colon and modifier not in "+-?#%"):
            raise self.unsupported(modifier, colon=colon)
        word = self.argument("}", keep_escapes=modifier in "#%")
        if modifier not in "+-?#%" or (colon and modifier in "#%"):
            raise self.unsupported(modifier, colon=colon)
        if modifier in "#%":
            return globs.trim(self.matched(name, word), word, modifier)
        return self.chosen(name, modifier, word, colon=colon)

    def unsupported(self, modifier: str, *, colon: bool) -> ExpansionError:
        """Return the error for a modifier that there is not."""
        if not modifier:
            return ExpansionError("syntax error: missing '}'")
        text = f":{modifier}" if colon else modifier
        return ExpansionError(f"unsupported modifier ({text}) in substitution")

    def chosen(self, name: str, modifier: str, word: str, *, colon: bool) -> str:
        """Return what `${name-word}`, `+` or `?` give; with `colon`, an empty value is none."""
        value = self.lookup(name)
        missing = value is None or (colon and not value)
        if modifier == "+":
            return "" if missing else word
        if not missing:
            return value or ""
        if modifier == "-":
            return word
        state = "unset" if value is None else "empty"
        raise ExpansionError(f"{name}: {word or f'is not allowed to be {state}'}")

    def replaced(self, name: str) -> str:
        """Expand `${name/pattern/replacement}`, or `//`; the first slash is behind us."""
        every = self.peek() == "/"
        if every:
            self.position += 1
        pattern = self.argument("/", keep_escapes=True)
        replacement = self.argument("}", keep_escapes=True)
        value = self.matched(name, pattern)
        return globs.replace(value, pattern, replacement, every=every, room=self.room)

    def matched(self, name: str, pattern: str) -> str:
        """Return the value to match with `pattern`, unless that would take too long."""
        value = self.value(name)
        self.work -= len(value) * (len(pattern) if "?" in pattern else 1)
        if self.work < 0:
            raise ExpansionError("patterns that take too long in substitution")
        return value

    def argument(self, stop: str, *, keep_escapes: bool) -> str:
        """Expand a word within braces, up to `stop`."""
        try:
            pieces = self.until(stop, keep_escapes=keep_escapes)
        except ExpansionError as error:
            if self.position < len(self.word) or error.message.startswith("variables nest"):
                raise
            missing = "'}'" if stop == "}" else "'/' in ${}"
            raise ExpansionError(f"syntax error: missing {missing}") from None
        return "".join(piece.text for piece in pieces)


def _shortened(word: str) -> str:
    return word if len(word) <= 200 else f"{word[:200]}…"
