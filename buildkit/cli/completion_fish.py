"""The completion of pybuild in fish.

In: what there is to complete. Out: a script of `complete` commands. Source: fish's manual,
"Writing your own completions".
"""

from __future__ import annotations

from buildkit.cli.completion_words import KINDS, first_words, second_words
from buildkit.cli.main import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildkit.cli.completion_words import Option, Words

_FUNCTIONS = r"""# fish completion for pybuild: pybuild completion fish | source

# Print the words after the program's name and --root that are complete.
function __pybuild_words
    set -l words (commandline -opc)[2..-1]
    while set -q words[1]
        switch $words[1]
            case --root
                set -e words[1..2]
            case '--root=*'
                set -e words[1]
            case '*'
                break
        end
    end
    string join -- \n $words
end

# Whether no command is named yet, or a first word of two alone, or a command whole.
function __pybuild_first
    test (count (__pybuild_words)) -eq 0
end

function __pybuild_second
    set -l words (__pybuild_words)
    test "$words" = $argv[1]
end

function __pybuild_at
    set -l words (__pybuild_words)
    for name in $argv
        set -l wanted (string split ' ' -- $name)
        if test "$words[1..$(count $wanted)]" = $name
            return 0
        end
    end
    return 1
end

# Whether build is meant because no command is named.
function __pybuild_unnamed
    set -l words (__pybuild_words)
    string match -q -- '-*' "$words[1]"
end

function __pybuild_list
    set -l root
    set -l words (commandline -opc)
    for index in (seq 2 (math (count $words) - 1))
        if test $words[$index] = --root
            set root --root $words[(math $index + 1)]
        end
    end
    $words[1] $root $argv 2>/dev/null </dev/null | string match -v '*<none>*'
end

complete -c pybuild -f
"""


def script(words: Sequence[Words]) -> str:
    """Return the script."""
    return _FUNCTIONS + "\n".join(_lines(words)) + "\n"


def _lines(words: Sequence[Words]) -> Iterator[str]:
    for name in first_words():
        summary = COMMANDS[name].summary if name in COMMANDS else "docker's other name of commands"
        yield _line("__pybuild_first", f"-a {name}", summary)
    second = second_words(words)
    summaries = {one.name: one.summary for one in words}
    for first, known in second.items():
        for word, meant in known.items():
            yield _line(f"__pybuild_second {first}", f"-a {word}", summaries.get(meant, ""))
    for one in words:
        pairs = [f"{a} {b}" for a, known in second.items() for b in known if known[b] == one.name]
        names = dict.fromkeys((one.name, *pairs))
        condition = f"__pybuild_at {' '.join(map(_quoted, names))}"
        if one.name == "build":
            condition += "; or __pybuild_unnamed"
        may_be_first = "; or __pybuild_first" if one.name == "build" else ""
        for option in one.options:
            yield _line(condition + may_be_first, _option(option), option.help)
        for kind in dict.fromkeys(" ".join(one.places).split()):
            yield _line(condition, _things(kind), "")


def _line(condition: str, what: str, summary: str) -> str:
    told = f" -d {_quoted(summary)}" if summary else ""
    return f"complete -c pybuild -n {_quoted(condition)} {what}{told}"


def _option(option: Option) -> str:
    words = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    if option.value is not None:
        words.append("-r" if option.value == "file" else "-x")
        words += [_things(option.value)] if option.value else []
    return " ".join(words)


def _things(kind: str) -> str:
    if kind == "file":
        return "-F"
    if kind == "dir":
        return "-a '(__fish_complete_directories (commandline -ct))'"
    if kind in KINDS:
        listing = " ".join(map(_escaped, KINDS[kind]))
        return f"-a {_quoted(f'(__pybuild_list {listing})')}"
    return f"-a {_quoted(kind.replace('|', ' '))}"


def _escaped(word: str) -> str:
    """Return a word as fish takes it, within quotes, too: braces are its own."""
    return word.replace("{", "\\{").replace("}", "\\}")


def _quoted(text: str) -> str:
    """Return a word in single quotes, in which the backslash and these stand for others."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
