"""Words of one instruction, with their variables replaced.

In: words as written, and the environment before the instruction. Out: text. What is wrong becomes
a DefinitionError at the instruction; a variable that nothing defines becomes a finding.
Document: docs/dockerfile.md, chapter 6.
"""

from __future__ import annotations

from contextlib import contextmanager

from buildkit.errors import DefinitionError
from buildkit.frontend.findings import Finding, undefined_variable
from grammar import words
from grammar.errors import GrammarError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grammar.source import Span, Word


NOT_EXPORTED = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))
"""Arguments that are read by the builder and never become variables."""


def lines_of(span: Span) -> tuple[int, int]:
    """Return the first and last line of `span`."""
    return span.line, span.last_line


@contextmanager
def at(span: Span) -> Iterator[None]:
    """Place errors of the grammar, raised within, at the lines of `span`."""
    try:
        yield
    except GrammarError as error:
        raise DefinitionError(error.message, lines=lines_of(span), hint=error.hint or "") from error


class Expander:
    """Expands the words of the instruction at `span`.

    `declared` are names that may well be unset (ARG without a value); findings go to `findings`.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        escape: str,
        *,
        declared: Mapping[str, str | None],
        span: Span,
        findings: list[Finding],
    ) -> None:
        self.span = span
        self._env = env
        self._escape = escape
        self._special = frozenset(("$", "'", '"', escape))
        self._declared = declared
        self._findings = findings

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line of the instruction."""
        return lines_of(self.span)

    def error(self, message: str, *, hint: str = "") -> DefinitionError:
        """Return an error about the instruction."""
        return DefinitionError(message, lines=self.lines, hint=hint)

    def text(self, word: str) -> str:
        """Return `word` expanded, quotes and escapes removed."""
        if not self._special.intersection(word):
            return word
        with at(self.span):
            expansion = words.expand(word, self._env, self._escape)
        self._note(expansion.unset)
        return expansion.text

    def optional(self, word: Word | None) -> str:
        """Return the expanded `word`, or nothing where it was not given."""
        return "" if word is None else self.text(word.text)

    def several(self, word: str) -> tuple[str, ...]:
        """Return the words that `word` becomes; blanks in variables split."""
        with at(self.span):
            self._note(words.expand(word, self._env, self._escape).unset)
            return words.expand_words(word, self._env, self._escape)

    def body(self, text: str) -> str:
        """Return a heredoc's body expanded; quotes are data in it."""
        with at(self.span):
            expansion = words.expand_body(text, self._env, self._escape)
        self._note(expansion.unset)
        return expansion.text

    def path(self, text: str) -> str:
        """Return `text`, which is to be a path. Raises DefinitionError if it cannot be one."""
        if "\0" in text:
            raise self.error(f"{quote(text)} cannot be a path: it has a NUL character")
        return text

    def file_name(self, name: str) -> str:
        """Return the name of a heredoc that becomes a file. Raises DefinitionError if it cannot."""
        if "/" in name or "\0" in name or name in (".", ".."):
            raise self.error(f"heredoc name {quote(name)} cannot be a file's name")
        return name

    def shown(self, text: str) -> str:
        """Return `text` expanded for a step's name; as it is when that is impossible."""
        try:
            return words.expand(text, self._env, self._escape).text
        except GrammarError:
            return text

    def _note(self, unset: frozenset[str]) -> None:
        for name in sorted(unset):
            if name not in self._declared and name not in NOT_EXPORTED:
                self._findings.append(undefined_variable(name, self._env, self.span))
