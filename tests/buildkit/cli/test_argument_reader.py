"""Whether the arguments of commands are what argparse would make of them."""

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from random import Random

import pytest

from buildkit.cli import argument_reader, arguments
from buildkit.cli.argument_parser import argparse_parser
from buildkit.cli.argument_reader import read
from buildkit.cli.arguments import REMAINDER, SUPPRESS, Argument, Namespace, Parser
from buildkit.cli.main import COMMANDS
from buildkit.cli.options import parser_for
from buildkit.errors import UsageError

TWO_WORDED = {"base", "container", "context", "index", "volume"}
"""Commands with second words: argparse reads them."""

LINES = 400
"""For each command; each takes argparse up to 1 ms."""

VALUES = ("", "x", "a=b", "=", "80:80", "a b", "1", "2.5", "1e3", "0x1", "true", "-", "ls", "no")
ODD = ("--", "-1", "-1.5", "-1x", "-x y", "--junk", "--junk=1", "-Z", "-=", "--=", "---", "-h")


def declared(command: str) -> Parser:
    parser = parser_for(command, "what it does")
    import_module(f"buildkit.cli.{COMMANDS[command].module}").add_arguments(parser)
    return parser


def plainly(parser: Parser, words: Sequence[str]) -> Mapping[str, object] | None:
    """Return what is read without argparse, if it is."""
    try:
        return argument_reader._Reader(parser.steps).read(
            [parser.bare.get(word, word) for word in words]
        )
    except argument_reader._UnclearError:
        return None


def by_argparse(real: argparse.ArgumentParser, words: Sequence[str]) -> Mapping[str, object] | str:
    """Return what argparse makes of `words`, which it must take in whole, or its complaint."""
    found = Namespace()
    try:
        _, rest = real.parse_known_args(words, found)
    except UsageError as error:
        return error.message
    return f"too much: {rest}" if rest else vars(found)


class Lines:
    """Makes command lines for what a command has declared."""

    def __init__(self, parser: Parser, seed: str) -> None:
        self.random = Random(seed)
        steps = [step for step in parser.steps if isinstance(step, Argument)]
        self.options = [step for step in steps if step.names[0].startswith("-")]
        self.positionals = [step for step in steps if step not in self.options]
        self.names = [name for step in self.options for name in step.names]

    def line(self) -> list[str]:
        number = self.random.choice((0, 1, 1, 2, 3, 5))
        words = [word for _ in range(number) for word in self.option()]
        for step in self.positionals:
            words += self.words_of(step)
        if self.random.random() < 0.2:
            words = [*words, *self.option()]
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2))):
            words.insert(self.random.randrange(len(words) + 1), self.odd())
        return words

    def option(self) -> list[str]:
        step = self.random.choice(self.options)
        name = self.random.choice(step.names)
        if step.action not in ("store", "append"):
            return [self.joined(name)]
        value = self.value(step)
        ways = [[name, value], [f"{name}={value}"]]
        if not name.startswith("--"):
            ways += [[f"{name}{value}"], [self.joined(name), value]]
        return self.random.choice([*ways, [name]] if step.nargs else ways)

    def joined(self, name: str) -> str:
        """Put some short options without a value before another."""
        if name.startswith("--"):
            return name
        short = [
            name[1]
            for step in self.options
            for name in step.names
            if step.action == "store_true" and name[1] != "-"
        ]
        before = self.random.choices(short, k=self.random.randrange(3)) if short else []
        return f"-{''.join(before)}{name[1:]}"

    def value(self, step: Argument) -> str:
        if step.choices and self.random.random() < 0.9:
            return self.random.choice(list(step.choices))
        if step.type is not None and self.random.random() < 0.9:
            return self.random.choice(("0", "1", "17"))
        return self.random.choice(VALUES)

    def words_of(self, step: Argument) -> list[str]:
        number = {None: 1, "?": self.random.randrange(2), "+": 1 + self.random.randrange(2)}
        words = [self.value(step) for _ in range(number.get(step.nargs, self.random.randrange(3)))]
        if step.nargs == REMAINDER and words:
            return [*words, *self.random.choices((*self.names, *VALUES, *ODD[1:]), k=2)]
        return words

    def odd(self) -> str:
        name = self.random.choice(self.names)
        return self.random.choice((*ODD, *VALUES, name, name[:-1], f"{name}x", f"{name}=x"))


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - TWO_WORDED))
def test_what_is_read_without_argparse_is_what_argparse_reads(command: str) -> None:
    parser = declared(command)
    real = argparse_parser(parser)
    lines = Lines(parser, command)
    read = 0
    for _ in range(LINES):
        words = lines.line()
        found = plainly(parser, words)
        if found is not None:
            read += 1
            written = [parser.bare.get(word, word) for word in words]
            assert found == by_argparse(real, written), words
    assert read > LINES / 8


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("run image", {"image": "image", "command": []}),
        ("run --rm -itp 80:80 image sh -c -- x", None),
        ("run --rm -itp 80:80 i sh -c x", {"tty": True, "publish": ["80:80"], "image": "i"}),
        ("run -p8080:80 -p=1:2 -p 3 i -p 4", {"publish": ["8080:80", "1:2", "3"], "image": "i"}),
        ("run i --rm --no such", {"rm": False, "command": ["--rm", "--no", "such"]}),
        ("run -e A=B=C --env=D= -eE=F=G i", {"env": ["A=B=C", "D=", "E=F=G"]}),
        ("run --sig-proxy=0 --net none -c 2 i", {"sig_proxy": False, "network": "none"}),
        ("run --sig-proxy --rm i", {"sig_proxy": True, "rm": True}),
        ("run --cpus 1.5 --root r i", {"cpus": 1.5, "root": "r"}),
        ("run --name a --name b i", {"name": "b", "root": None}),
        ("run --memory-swap -1 i", None),
        ("run -it=1 i", None),
        ("run -ip=1 i", None),
        ("run --pull perhaps i", None),
        ("run --rm", None),
        ("run -t -h", None),
        ("build . -q", {"context": ".", "quiet": True, "call": "build"}),
        ("build --no-cache --pull .", {"no_cache": True, "pull": "always", "context": "."}),
        ("build --no-cache=f --push=1", {"no_cache": False, "push": True, "context": "."}),
        ("build --no-cache=x .", None),
        ("build -j two .", None),
        ("build -f - -", {"file": "-", "context": "-"}),
        ("build -D --check .", {"debug": True, "call": "check"}),
        ("build a b", None),
        ("check .", {"call": "check"}),
        ("push one -q two", None),
        ("push -q one two", {"image": "one", "destination": "two"}),
        ("history -H i", {"human": True, "image": "i"}),
        ("history --human=false i", {"human": False, "image": "i"}),
        ("commit -p c", {"pause": True, "container": "c"}),
        ("attach --sig-proxy c", {"sig_proxy": True, "containers": ["c"]}),
        ("top c", {"container": "c"}),
        ("restart -t 5 a b", {"time": 5.0, "containers": ["a", "b"]}),
        ("rm -f", {"force": True, "containers": []}),
    ],
)
def test_what_is_plain_is_read_without_argparse(
    line: str, found: Mapping[str, object] | None
) -> None:
    command, *words = line.split()
    plain = plainly(declared(command), words)
    if found is None or plain is None:
        assert plain == found
    else:
        assert plain | found == plain


def by_kind(parser: Parser) -> None:
    """Declare what no command has, or none as it is here."""
    add = parser.add_argument
    add("--kind", default="a")
    parser.set_defaults(kind="b", other=1, late=2)
    add("--late")
    add("--late-too", dest="late", default=3)
    add("--first", dest="one", action="store_const", const=0)
    add("--second", dest="one", action="store_const", const="")
    add("--hidden", default=SUPPRESS)
    add("--none", action="append")
    add("--maybe", nargs="?", const="c", default="d")
    add("--number", type=int, action="append", default=[7])
    add("pair", nargs=2, type=int)
    add("some", nargs="+")
    add("last", nargs="?", default="z")


@pytest.mark.parametrize("line", ["1 2 3", "1 2 3 4", "1 2 3 4 5", "1 2", "1 x 3", "1 2 3 -- 4"])
@pytest.mark.parametrize(
    "options",
    [
        "",
        "--first",
        "--first --second",
        "--hidden=",
        "--none 1 --none=2",
        "--maybe --first",
        "--maybe=1",
        "--number 1 --number 2",
    ],
)
def test_declarations_mean_what_they_mean_to_argparse(line: str, options: str) -> None:
    parser = Parser("x")
    by_kind(parser)
    words = [*options.split(), *line.split()]
    found, expected = plainly(parser, words), by_argparse(argparse_parser(parser), words)
    if found is None:
        assert isinstance(expected, str) or "--" in words
    else:
        assert found == expected


def test_a_default_that_argparse_would_convert_is_left_to_it() -> None:
    parser = Parser("x")
    parser.add_argument("--number", type=int, default="3")
    assert plainly(parser, []) is None
    assert read(parser, []).number == 3


def refuse(text: str) -> str:
    raise arguments.InvalidValueError(f"{text} is not for us")


def test_the_words_of_a_type_are_told_or_its_name() -> None:
    parser = Parser("x")
    parser.add_argument("--own", type=refuse)
    parser.add_argument("--whole", type=int)
    with pytest.raises(UsageError, match="argument --own: y is not for us"):
        read(parser, ["--own=y"])
    with pytest.raises(UsageError, match="argument --whole: invalid int value: 'y'"):
        read(parser, ["--whole", "y"])


def test_what_may_be_left_out_is_not_told_as_missing() -> None:
    with pytest.raises(UsageError, match=r"are required: IMAGE$"):
        read(declared("run"), [])


def test_what_is_said_of_help_and_of_the_rest_is_argparse_s_own() -> None:
    assert (arguments.REMAINDER, arguments.SUPPRESS) == (argparse.REMAINDER, argparse.SUPPRESS)


def test_second_words_are_read_by_argparse() -> None:
    found = read(declared("volume"), ["--root", "r", "create", "-l", "a=b", "v"])
    assert (found.action, found.label, found.name, found.root) == ("create", ["a=b"], "v", "r")
