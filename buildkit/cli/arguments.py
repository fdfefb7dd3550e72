"""What commands declare of their arguments, in the words of `argparse.ArgumentParser`.

In: declarations. Out: values that say what was declared: `argument_reader.py` reads arguments by
them, and `argument_parser.py` tells argparse.
Source: https://docs.python.org/3/library/argparse.html
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Literal, TypeAlias

    Action: TypeAlias = Literal["store", "store_true", "store_const", "append"]
    Number: TypeAlias = Literal["?", "*", "+", "..."] | int | None
    Step: TypeAlias = "Argument | Defaults | Commands"

REMAINDER: Literal["..."] = "..."
SUPPRESS = "==SUPPRESS=="
UNSET = object()
"""Where no default is declared; None is one."""


class InvalidValueError(ValueError):
    """What the `type` of an argument raises if its own words are to be told."""


class Namespace:
    """What the arguments say, as attributes."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as argparse.Namespace
            ...

        def __setattr__(self, name: str, value: object) -> None: ...


class Argument(NamedTuple):
    """An option, or a positional argument. `group`: its heading in the help, or empty."""

    group: str
    names: tuple[str, ...]
    action: Action
    nargs: Number
    const: object
    default: object
    type: Callable[[str], object] | None
    choices: Collection[str] | None
    dest: str
    metavar: str | None
    help: str | None


class Defaults(NamedTuple):
    """What attributes are where nothing else is said."""

    values: Mapping[str, object]


class Group:
    """Options with a heading of their own in the help; `steps`: where they are noted."""

    def __init__(self, title: str, steps: list[Step]) -> None:
        self._title = title
        self._steps = steps

    def add_argument(
        self,
        *names: str,
        action: Action = "store",
        nargs: Number = None,
        const: object = None,
        default: object = UNSET,
        type: Callable[[str], object] | None = None,  # noqa: A002 - argparse's words
        choices: Collection[str] | None = None,
        dest: str = "",
        metavar: str | None = None,
        help: str | None = None,  # noqa: A002
    ) -> None:
        """Declare an option, or a positional argument, as argparse would have it."""
        if not dest:
            for name in names:
                if name.startswith("--"):
                    break
            else:
                name = names[0]
            dest = name.lstrip("-").replace("-", "_") if name[0] == "-" else name
        of_help = (dest, metavar, help)
        self._steps.append(
            Argument(self._title, names, action, nargs, const, default, type, choices, *of_help)
        )


class Parser:
    """The arguments of a command, or of a second word of it.

    `steps`: what was declared, in that order. `bare`: what words mean that stand without the value
    that they can have.
    """

    def __init__(self, name: str = "", summary: str = "") -> None:
        self.name = name
        self.summary = summary
        self.usage: str | None = None
        self.bare: dict[str, str] = {}
        self.steps: list[Step] = []
        self.add_argument = Group("", self.steps).add_argument
        # Also behind a second word, which must not undo what was found before it.
        root = "where images and the cache are kept"
        self.add_argument("--root", metavar="DIR", default=SUPPRESS, help=root)

    def add_argument_group(self, title: str) -> Group:
        """Return where the options under a heading are declared."""
        return Group(title, self.steps)

    def add_subparsers(self, *, dest: str, metavar: str) -> Commands:
        """Return where second words are declared, of which one must be given."""
        commands = Commands(dest, metavar, [])
        self.steps.append(commands)
        return commands

    def set_defaults(self, **values: object) -> None:
        """Say what attributes are by default, whatever was declared of them before."""
        self.steps.append(Defaults(values))


class Commands(NamedTuple):
    """Second words: each with what argparse is told of it, and with its arguments."""

    dest: str
    metavar: str
    choices: list[tuple[str, Mapping[str, Any], Parser]]

    def add_parser(self, name: str, **options: Any) -> Parser:  # noqa: ANN401 - argparse's own
        """Return where the arguments of the word `name` are declared."""
        parser = Parser()
        self.choices.append((name, options, parser))
        return parser
