"""What the commands share of the command line: the parser's manner and where the store is.

In: parsed arguments and the environment. Out: a parser; a path; an open store.
"""

from __future__ import annotations

import os

from buildkit.cli.arguments import InvalidValueError, Parser
from buildkit.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.cli.arguments import Namespace
    from buildkit.state.root import StateRoot


LONGEST = 1e9
"""Seconds that are for ever: thirty years."""

_OPENED: list[StateRoot] = []
"""Kept to the end of the process, so that nobody closes their databases: see `release`."""


def parser_for(name: str, summary: str) -> Parser:
    """Return the parser of command `name`, with what every command takes."""
    parser = Parser(name, summary)
    parser.set_defaults(root=None)
    return parser


def switch(
    parser: Parser,
    *names: str,
    default: bool = False,
    help: str | None = None,  # noqa: A002 - argparse's word
) -> None:
    """Declare an option that is given or not, also as `OPTION=true` as Go's programs take it.

    `names`: the last is the long one. Not for commands that end in another's command line, for
    that would be taken for words of ours.
    """
    parser.add_argument(*names, type=truth, default=default, metavar="", help=help)
    for name in names:
        bare(parser, name, f"{names[-1]}=true")


def truth(text: str) -> bool:
    """Return what a word of Go's programs says. Raises InvalidValueError."""
    match text.lower():
        case "true" | "t" | "1":
            return True
        case "false" | "f" | "0":
            return False
        case _:
            raise InvalidValueError(f"{text!r} is neither true nor false")


def seconds(text: str) -> float:
    """Return a number of seconds, no more than the longest there is. Raises InvalidValueError."""
    try:
        found = float(text)
        if found >= 0 and found - found == 0:  # neither infinite nor no number
            return min(found, LONGEST)
    except ValueError:
        pass
    raise InvalidValueError(f"{text!r} is no number of seconds, as in 10 or 0.5")


def patience(text: str) -> float:
    """Return the seconds to wait for something: less than none is for ever, as with docker stop."""
    return LONGEST if text.startswith("-") and seconds(text[1:]) else seconds(text)


def bare(parser: Parser, option: str, meaning: str) -> None:
    """Let `option` stand without `=VALUE`, and never take the next word for its value."""
    parser.bare[option] = meaning


def state_path(root: str | None) -> str:
    """Return the absolute path of the state root: `root`, PYBUILD_ROOT, or the user's default.

    Raises UsageError when there is no place: not root, and neither XDG_DATA_HOME nor HOME set.
    """
    chosen = root or os.environ.get("PYBUILD_ROOT")
    if chosen:
        return os.path.abspath(chosen)
    if os.getuid() == 0:
        return "/var/lib/pybuild"
    data = os.environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return os.path.join(data, "pybuild")
    home = os.environ.get("HOME", "")
    if home.startswith("/"):
        return os.path.join(home, ".local/share/pybuild")
    raise UsageError(
        "no place for images and the cache: neither XDG_DATA_HOME nor HOME is set",
        hint="give one with --root DIR or PYBUILD_ROOT",
    )


def open_root(
    args: Namespace,
    *,
    shared: bool = False,
    mend: bool = False,
    beside: Sequence[str] = (),
) -> StateRoot:
    """Enter the builder's own namespaces and open the store that `args` mean.

    After this the process is uid 0 of its own user namespace when it was not root before, and
    mounts it makes are seen by nobody else (decision 6 of ARCHITECTURE.md). Must be called
    before any thread is started. With `shared` an ordinary user's process enters the namespace
    that containers share to reach each other, where there can be one, or that of the containers
    `beside`, names or IDs. `mend`: see StateRoot.open.
    """
    path = state_path(args.root)
    from runtime import rootless  # ctypes, 2 ms: only commands that touch the store

    namespace = None
    if beside and rootless.is_needed():
        from runtime import beside as neighbours  # for containers that share namespaces

        namespace = neighbours.user_namespace(f"{path}/containers", beside)
    if namespace is None and shared and rootless.is_needed():
        from runtime import commons  # for containers of ordinary users only

        namespace = commons.enter_point(f"{path}/network")
    if namespace is None:
        rootless.enter()
    else:
        rootless.join(namespace)
    from buildkit.state.root import StateRoot  # as above

    root = StateRoot.open(path, mend=mend)
    _OPENED.append(root)
    return root
