"""Shell text taken apart, as far as lint needs it: simple commands and what joins them.

In: the text of a RUN. Out: `Command` values in order. This is no shell: words lose their quotes,
variables stay, here-documents and `case` are not understood. It never fails, and takes time in
proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.instructions import Run, ShellForm
from grammar.lint.walk import Seen
from runtime.values import NamedTuple

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\f\v]+|\\\n)"
    r"|(?P<operator>&&|\|\||\|&|;;|[;&|()\n])"
    r"|(?P<redirection>[0-9]*(?:>&|<&|>>|<<<|<<-?|<>|>\||[<>]))"
    r"|'(?P<single>[^']*)'"
    r'|"(?P<double>(?:\\.|[^"\\])*+)"'
    r"|\\(?P<escaped>.)"
    r"|(?P<plain>[^\s'\"\\;&|()<>]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_OPENING = frozenset(("{", "}", "!", "if", "then", "else", "elif", "fi", "do", "done", "while"))
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_PREFIXES = frozenset(("sudo", "exec", "command", "env", "time", "nice"))


class Command(NamedTuple):
    """A simple command. `before` is the operator in front of it, empty for the first one."""

    words: tuple[str, ...]
    before: str

    @property
    def name(self) -> str:
        """The program, without its directory."""
        return self.words[0].rpartition("/")[2]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows the program and is no option."""
        return tuple(word for word in self.words[1:] if not word.startswith("-"))

    def has(self, *options: str) -> bool:
        """Say whether one of `options` is there; a short one may stand among others: `-qy`."""
        return any(
            word == option
            or (len(option) == 2 and option[1] in word and re.fullmatch(r"-[A-Za-z]+", word))
            for word in self.words[1:]
            for option in options
        )


def script_of(run: Run) -> str:
    """Return the shell text that a RUN is; empty for the exec form and for other languages."""
    if not isinstance(run.command, ShellForm):
        return ""
    script = run.script()
    if script is None:
        return run.command.text
    body = script.body()
    if not body.startswith("#!"):
        return body
    return body.partition("\n")[2] if is_shell(body.partition("\n")[0]) else ""


def is_shell(line: str) -> bool:
    """Say whether a `#!` line, or a command, means a shell."""
    return re.search(r"(?:^|[/\s!])(?:ba|da|a|k|z)?sh(?:\s|$)", line) is not None


def commands_of(seen: Seen) -> tuple[Command, ...]:
    """Return the commands of an instruction that is a RUN in a shell; nothing for others."""
    run = seen.instruction
    if not isinstance(run, Run) or not seen.is_posix:
        return ()
    return tuple(commands(script_of(run)))


def commands(text: str) -> Iterator[Command]:
    """Yield the simple commands in `text`."""
    before = ""
    words: list[str] = []
    for kind, value in _words(text):
        if kind == "word":
            words.append(value)
            continue
        if (command := _command(words, before)) is not None:
            yield command
            before = value
        elif value != "\n" or not before:
            before = value
        words = []
    if (command := _command(words, before)) is not None:
        yield command


def _command(words: list[str], before: str) -> Command | None:
    """Return the command that `words` are, without keywords, assignments and the like."""
    start = 0
    while start < len(words) and (
        words[start] in _OPENING or words[start] in _PREFIXES or _ASSIGNMENT.fullmatch(words[start])
    ):
        start += 1
    return Command(tuple(words[start:]), before) if start < len(words) else None


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield words and operators; comments, redirections and their targets are left out."""
    parts: list[str] = []
    inside = skips = comment = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        value = match[kind]
        if comment:
            comment = value != "\n"
            if comment:
                continue
        if kind in ("blank", "operator", "redirection"):
            if inside and not skips:
                yield "word", "".join(parts)
            skips = kind == "redirection" or (skips and kind == "blank" and not inside)
            parts, inside = [], False
            if kind == "operator":
                yield "operator", value
        elif kind == "plain" and value.startswith("#") and not inside:
            comment = True
        else:
            parts.append(value)
            inside = True
    if inside and not skips:
        yield "word", "".join(parts)
