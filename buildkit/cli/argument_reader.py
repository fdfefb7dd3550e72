"""What a command is given, mostly read without argparse.

In: declarations (`arguments.py`), and words. Out: the attributes that argparse would give.
To import argparse and to declare a hundred options to it takes 4 ms, a tenth of `run IMAGE true`,
so what is plainly right is read here. All else is left to argparse itself, which is told then what
was declared (`argument_parser.py`): mistakes, `--help`, `--`, what looks like a negative number,
second words, and what versions of Python disagree about.
Source: argparse.py of Python 3.11 to 3.13.
"""

from __future__ import annotations

import sys

from buildkit.cli.arguments import REMAINDER, SUPPRESS, UNSET, Argument, Defaults, Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildkit.cli.arguments import Parser, Step


def read(declared: Parser, words: Sequence[str]) -> Namespace:
    """Return what `words` say. Raises UsageError; SystemExit after the help was printed."""
    written = [declared.bare.get(word, word) for word in words]
    found = Namespace()
    try:
        found.__dict__.update(_Reader(declared.steps).read(written))
    except _UnclearError:
        _speak_english()
        from buildkit.cli import argument_parser  # argparse, when needed

        argument_parser.parse(declared, written, found)
    return found


def _speak_english() -> None:
    """Spare argparse the search for translations of its messages, which takes 2 ms.

    There are none for the rest of what pybuild says, so that its messages are in one language.
    """
    module = type(sys)  # as `types` has it
    untranslated = module("gettext")
    untranslated.gettext = lambda text: text  # type: ignore[attr-defined]
    untranslated.ngettext = (  # type: ignore[attr-defined]
        lambda one, many, number: one if number == 1 else many
    )
    sys.modules.setdefault("gettext", untranslated)


class _UnclearError(Exception):
    """It takes argparse to say what is meant, or what is wrong."""


class _Reader:
    """What the arguments of one command say where it is plain; else methods raise _UnclearError.

    A positional argument shares its attribute with no other.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._values: dict[str, object] = {}
        self._options: dict[str, Argument] = {}
        self._positionals: list[Argument] = []
        later: dict[str, object] = {}
        for step in steps:
            if isinstance(step, Argument):
                self._declare(step, later)
            elif isinstance(step, Defaults):
                later.update(step.values)
                self._values.update(one for one in step.values.items() if one[0] in self._values)
            else:
                raise _UnclearError
        self._values = {**later, **self._values}

    def _declare(self, argument: Argument, later: Mapping[str, object]) -> None:
        default = argument.default
        if argument.dest not in self._values:  # of several for one attribute the first counts
            if default is UNSET:
                implied = False if argument.action == "store_true" else None
                self._values[argument.dest] = later.get(argument.dest, implied)
            elif default != SUPPRESS:
                self._values[argument.dest] = default
        if argument.type is not None and isinstance(default, str):
            raise _UnclearError  # it is converted where nothing else is given
        if argument.names[0][0] == "-":
            for name in argument.names:
                self._options[name] = argument
        else:
            self._positionals.append(argument)

    def read(self, words: Sequence[str]) -> Mapping[str, object]:
        """Return the attributes."""
        if "--" in words:
            raise _UnclearError
        # Behind the first positional argument of `run` and its like nothing is an option.
        whole = bool(self._positionals) and self._positionals[-1].nargs == REMAINDER
        given: Sequence[str] = ()
        at, end = 0, len(words)
        while at < end:
            if _is_option(words[at]):
                at = self._option(words, at)
            elif given:
                raise _UnclearError  # parted by options; what is whose is another in each Python
            else:
                start = at
                while at < end and (whole or not _is_option(words[at])):
                    at += 1
                given = words[start:at]
        self._share(given)
        return self._values

    def _option(self, words: Sequence[str], at: int) -> int:
        """Take the option at `at` and its value; return the place behind them."""
        word = words[at]
        text: str | None = None
        argument = self._options.get(word)
        if argument is None:
            name, _, text = word.partition("=")
            argument = self._options.get(name)
            if argument is None:
                argument, text = self._joined(word)
            elif not _has_value(argument):
                raise _UnclearError
        if not _has_value(argument):
            self._set(argument)
            return at + 1
        if text is None and at + 1 < len(words) and not _is_option(words[at + 1]):
            at += 1
            text = words[at]
        if text is not None:
            self._keep(argument, _converted(argument, text))
        elif argument.nargs == "?" and _stays(argument):
            self._keep(argument, argument.const)
        else:
            raise _UnclearError
        return at + 1

    def _joined(self, word: str) -> tuple[Argument, str | None]:
        """Take all short options of `word` but the last; return that and its value, if any."""
        name, text = word[:2], word[2:]
        while True:
            argument = self._options.get(name)
            if argument is None or text.startswith("="):
                raise _UnclearError
            if _has_value(argument) or not text:
                return argument, text or None
            self._set(argument)
            name, text = f"-{text[0]}", text[1:]

    def _set(self, argument: Argument) -> None:
        self._values[argument.dest] = argument.action == "store_true" or argument.const

    def _keep(self, argument: Argument, value: object) -> None:
        if argument.action == "append":
            before = self._values.get(argument.dest)
            value = [*before, value] if isinstance(before, list) else [value]
        self._values[argument.dest] = value

    def _share(self, given: Sequence[str]) -> None:
        """Give each positional argument its words: the first ones as many as they can take."""
        spare = len(given) - sum(map(_least, self._positionals))
        if spare < 0:
            raise _UnclearError
        at = 0
        for argument in self._positionals:
            number = _least(argument) + min(spare, _more(argument))
            spare -= number - _least(argument)
            self._place(argument, given[at : at + number])
            at += number
        if spare:
            raise _UnclearError

    def _place(self, argument: Argument, words: Sequence[str]) -> None:
        if not words and argument.nargs in ("?", "*"):
            if argument.choices:
                raise _UnclearError  # does the default have to be one of them? Versions differ
            if argument.nargs == "*" and self._values.get(argument.dest) is None:
                self._values[argument.dest] = []
            return
        if argument.nargs != REMAINDER and any(map(_is_option, words)):
            raise _UnclearError
        values = [_converted(argument, word) for word in words]
        self._values[argument.dest] = values[0] if argument.nargs in (None, "?") else values


def _is_option(word: str) -> bool:
    """Whether it looks like one; what looks like a negative number does as well."""
    return word.startswith("-") and word != "-"


def _has_value(argument: Argument) -> bool:
    return argument.action in ("store", "append")


def _stays(argument: Argument) -> bool:
    """Whether what stands for an option without a value is neither converted nor compared."""
    return not argument.choices and not (argument.type and isinstance(argument.const, str))


def _converted(argument: Argument, text: str) -> object:
    value: object = text
    if argument.type is not None:
        try:
            value = argument.type(text)
        except (TypeError, ValueError):
            raise _UnclearError from None
    if argument.choices is not None and value not in argument.choices:
        raise _UnclearError
    return value


def _least(argument: Argument) -> int:
    if isinstance(argument.nargs, int):
        return argument.nargs
    return 1 if argument.nargs in (None, "+") else 0


def _more(argument: Argument) -> int:
    """How many words it can take beyond those that it needs."""
    if argument.nargs == "?":
        return 1
    return sys.maxsize if argument.nargs in ("*", "+", REMAINDER) else 0
