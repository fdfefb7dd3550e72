"""The ports of a Dockerfile's EXPOSE instructions, for the rules about how they are written."""

from __future__ import annotations

from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile, Expose
from grammar.lint.walk import walk
from grammar.source import Word


def ports_of(dockerfile: Dockerfile) -> Iterator[tuple[Expose, Word, str]]:
    """Yield each port, expanded, with its instruction and the word it comes from.

    A word with variables that the file does not set is left out.
    """
    for seen in walk(dockerfile):
        expose = seen.instruction
        if not isinstance(expose, Expose):
            continue
        for word in expose.ports:
            try:
                expansion = words.expand(word.text, seen.env, dockerfile.escape)
                ports = words.expand_words(word.text, seen.env, dockerfile.escape)
            except GrammarError:
                continue
            if expansion.used <= seen.env.keys():
                for port in ports:
                    yield expose, word, port
