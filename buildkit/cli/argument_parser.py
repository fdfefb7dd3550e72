"""argparse itself, for what `argument_reader.py` leaves to it: mistakes, help, unusual arguments.

In: the declarations that were noted, and the arguments. Out: attributes; or a message or the help,
as argparse has them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

from buildkit.cli.arguments import (
    REMAINDER,
    SUPPRESS,
    UNSET,
    Argument,
    Commands,
    Defaults,
    InvalidValueError,
    Namespace,
    Parser,
)
from buildkit.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class _Formatter(argparse.HelpFormatter):
    """Writes the help: a switch has no value, though `=true` and `=false` are taken from it."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        text = super()._format_action_invocation(action)
        return ", ".join(action.option_strings) if action.metavar == "" else text


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all the others."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's message."""
        raise UsageError(message, hint=f"'{self.prog} --help' tells the options")

    def print_help(self, file: Any = None) -> None:  # noqa: ANN401 - argparse's own
        """Print the help. Raises OSError where argparse would say nothing."""
        (file or sys.stdout).write(self.format_help())

    def unknown(self, option: str) -> NoReturn:
        """Raise UsageError about an option that there is not."""
        from grammar.nearest import nearest  # needed for a mistake only

        close = nearest(option, self._option_string_actions, ignore_case=False)
        if close is None:
            self.error(f"unknown option {option}")
        raise UsageError(f"unknown option {option}", hint=f"did you mean {close}?")


def parse(declared: Parser, words: Sequence[str], found: Namespace) -> None:
    """Put into `found` what `words` say. Raises UsageError; SystemExit after help."""
    parser = argparse_parser(declared)
    _, rest = parser.parse_known_args(words, found)
    unknown = next((word for word in rest if word.startswith("-")), None)
    if unknown is not None:
        parser.unknown(unknown.partition("=")[0])
    if rest:
        _refuse(f"one argument too many: {rest[0]}", declared, words, parser)


def _refuse(message: str, declared: Parser, words: Sequence[str], parser: _Parser) -> NoReturn:
    """Raise UsageError; what was meant for an option whose value needs a `=` is told."""
    options = [step for step in declared.steps if isinstance(step, Argument)]
    values = {name: (step.metavar or "").split("|") for step in options for name in step.names}
    for word, after in pairwise(words):
        option = word.partition("=")[0]
        if declared.bare.get(option) == word and after in values[option]:
            raise UsageError(message, hint=f"did you mean {option}={after}?")
    parser.error(message)


def argparse_parser(declared: Parser) -> _Parser:
    """Return argparse's parser of a command with what was declared."""
    parser = _Parser(
        prog=f"pybuild {declared.name}",
        description=declared.summary,
        allow_abbrev=False,
        # argparse makes one for each option; without a width it imports shutil to ask for it.
        formatter_class=lambda prog: _Formatter(prog, width=98),
    )
    _declare(parser, declared)
    return parser


def _declare(parser: argparse.ArgumentParser, declared: Parser) -> None:
    parser.usage = declared.usage
    groups: dict[str, argparse._ArgumentGroup] = {}
    for step in declared.steps:
        match step:
            case Argument(group="", names=names):
                made = parser.add_argument(*names, **_options(step))
                # argparse would name it among what is missing, though there may be none of it.
                made.required = made.required and made.nargs != REMAINDER
            case Argument(group=title, names=names):
                if title not in groups:
                    groups[title] = parser.add_argument_group(title)
                groups[title].add_argument(*names, **_options(step))
            case Defaults(values=values):
                parser.set_defaults(**values)
            case Commands(dest=dest, metavar=metavar, choices=choices):
                kinds = parser.add_subparsers(dest=dest, metavar=metavar, required=True)
                for name, options, below in choices:
                    _declare(kinds.add_parser(name, **options), below)


def _options(argument: Argument) -> dict[str, Any]:
    """Return what argparse is told of an argument: what was said of it."""
    said = {
        "action": argument.action,
        "nargs": argument.nargs,
        "const": argument.const,
        "type": argument.type and _telling(argument.type),
        "choices": argument.choices,
        "dest": argument.dest if argument.names[0].startswith("-") else None,
        "metavar": argument.metavar,
        # argparse asks whether it is this very string.
        "help": argparse.SUPPRESS if argument.help == SUPPRESS else argument.help,
    }
    options = {word: value for word, value in said.items() if value is not None}
    if argument.default is not UNSET:
        suppressed = argument.default == SUPPRESS
        options["default"] = argparse.SUPPRESS if suppressed else argument.default
    return options


def _telling(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Return `convert` with errors whose text argparse tells as it is."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except InvalidValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    converted.__name__ = convert.__name__  # argparse shows it
    return converted
