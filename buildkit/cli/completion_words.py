"""What can be completed on a command line: of every command, its options and what it is about.

In: the table of commands and the arguments that each declares. Out: a `Words` a command, which the
scripts for the shells are made of. A value is written as shells can tell it apart: the name of a
kind of thing (`KINDS`), or the words to choose from with `|` between, or nothing.
"""

from __future__ import annotations

import re
from importlib import import_module

from buildkit.cli.arguments import REMAINDER, SUPPRESS, Argument, Commands, Parser
from buildkit.cli.main import COMMANDS, TWO_WORDS
from buildkit.cli.options import parser_for
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

KINDS: Mapping[str, tuple[str, ...]] = {
    "container": ("ps", "-a", "--format", "{{.Names}}"),
    "running": ("ps", "--format", "{{.Names}}"),
    "image": ("images", "--format", "{{.Repository}}:{{.Tag}}"),
    "volume": ("volume", "ls", "-q"),
}
"""The arguments of pybuild that list the things of a kind. Beside these there are file and dir."""

_BY_METAVAR = {
    "FILE": "file",
    "PATH": "file",
    "DIR": "dir",
    "CONTEXT": "dir",
    "CONTAINER": "container",
    "CONTAINER[:ro]": "container",
    "IMAGE": "image",
    "CONTAINER|IMAGE": "container image",
    REMAINDER: "file",
}
_BY_COMMAND = {
    "cp": "container file",
    "images": "image",
    "index create": "image",
    "index inspect": "image",
    "inspect": "container image",
    "volume inspect": "volume",
    "volume rm": "volume",
}
"""What the places of a command are about where its own words leave it open."""

_RUNNING = ("attach", "exec", "kill", "pause", "stop", "top", "unpause")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")


class Option(NamedTuple):
    """`value`: None where it takes none, empty where nothing is known of it."""

    names: tuple[str, ...]
    value: str | None
    help: str


class Words(NamedTuple):
    """A command, by its one or two words. `places`: what its positional arguments are.

    `repeats`: of the last there may be several; `rest`: behind the places before the last comes
    another program's command line.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    places: tuple[str, ...]
    repeats: bool
    rest: bool


def words() -> Iterator[Words]:
    """Yield every command there is, under the name that it has."""
    for name, command in COMMANDS.items():
        parser = parser_for(name, command.summary)
        import_module(f"buildkit.cli.{command.module}").add_arguments(parser)
        second = next((step for step in parser.steps if isinstance(step, Commands)), None)
        if second is None:
            yield _words(name, command.summary, parser)
            continue
        for word, said, below in second.choices:
            yield _words(f"{name} {word}", str(said.get("help", "")), below)


def first_words() -> tuple[str, ...]:
    """Return the words that a command line may begin with."""
    return tuple(dict.fromkeys((*COMMANDS, *TWO_WORDS)))


def second_words(all_words: Iterable[Words]) -> Mapping[str, Mapping[str, str]]:
    """Return for each first word of two what may follow, and the name of the command meant."""
    found: dict[str, dict[str, str]] = {}
    for first, known in TWO_WORDS.items():
        found[first] = {second: _named(meant) for second, meant in known.items()}
    for one in all_words:
        first, space, second = one.name.partition(" ")
        if space:
            found.setdefault(first, {})[second] = one.name
    return found


def _named(meant: tuple[str, ...]) -> str:
    """Return the name of a command, which all is before its options."""
    return " ".join(word for word in meant[:2] if not word.startswith("-"))


def _words(name: str, summary: str, parser: Parser) -> Words:
    arguments = [step for step in parser.steps if isinstance(step, Argument)]
    options = {
        step.names: Option(step.names, _value(step, parser), step.help or "")
        for step in arguments
        if step.names[0].startswith("-") and step.help != SUPPRESS
    }
    places = [step for step in arguments if not step.names[0].startswith("-")]
    last = places[-1].nargs if places else None
    help_ = Option(("-h", "--help"), None, "tell the options")
    return Words(
        name,
        summary,
        (*options.values(), help_),
        tuple(_place(name, step) for step in places),
        last in ("*", "+", REMAINDER),
        last == REMAINDER,
    )


def _value(option: Argument, parser: Parser) -> str | None:
    if option.action not in ("store", "append") or option.nargs == "?":
        return None
    if any(name in parser.bare for name in option.names):
        return None
    return _choice(option.choices, option.metavar)


def _place(name: str, place: Argument) -> str:
    metavar = REMAINDER if place.nargs == REMAINDER else place.metavar
    found = _choice(place.choices, metavar) or _BY_COMMAND.get(name, "")
    return "running" if found == "container" and name in _RUNNING else found


def _choice(choices: Collection[str] | None, metavar: str | None) -> str:
    if choices:
        return "|".join(filter(None, choices))
    if metavar and "|" in metavar and "=" not in metavar:
        plain = [word for word in metavar.split("|") if _WORD.fullmatch(word)]
        if plain:
            return "|".join(plain)
    return _BY_METAVAR.get(metavar or "", "")
