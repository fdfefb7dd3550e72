"""The `pybuild` command: finds the command that is meant, runs it, turns errors into exit codes.

In: the arguments. Out: an exit status: 0; 1 a build or command failed; 2 usage or Dockerfile
error; 4 an export failed while the image is fine; 125 a fault of pybuild itself; 128+n ended by
signal n; `run` gives the status of what ran. No command word means build, as in
`pybuild -f Dockerfile -t app .`.

A command is a module of this package with `add_arguments(parser)` and `command(args) -> int`,
imported only when it is called: start-up time is a feature.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import gc
import os
import sys

from buildkit.cli.standard import mute_stdout, prepare
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from buildkit.cli.arguments import Namespace, Parser

VERSION = "0.1.0"


class Command(NamedTuple):
    """Where a command lives (a module of `buildkit.cli`) and what the overview says of it."""

    module: str
    summary: str


_RUNNING = ("run", "exec")
"""Commands whose status is that of a program: their own faults are 125, as docker has it."""

COMMANDS: Mapping[str, Command] = {
    "build": Command("build", "build an image from a Dockerfile (the default command)"),
    "run": Command("run", "run a command in a new container"),
    "create": Command("create", "make a container, and do not start it yet"),
    "exec": Command("exec", "run a further command in a container that runs"),
    "ps": Command("ps", "list containers"),
    "logs": Command("logs", "print what a container has written"),
    "attach": Command("attach", "take part in a container that runs"),
    "stop": Command("stop", "end containers by their stop signal, or kill them after a while"),
    "kill": Command("kill", "send the programs of containers a signal"),
    "start": Command("start", "run containers that have ended again"),
    "restart": Command("restart", "stop containers and start them again"),
    "pause": Command("pause", "let nothing in containers run for now"),
    "unpause": Command("unpause", "let paused containers go on"),
    "wait": Command("wait", "wait for containers to end, and print their exit codes"),
    "rm": Command("rm", "remove containers that have ended"),
    "rename": Command("rename", "give a container another name"),
    "container": Command("container", "remove all containers that do not run: container prune"),
    "cp": Command("cp", "copy files into a container or out of it"),
    "diff": Command("diff", "list what a container changed, or what two images differ in"),
    "commit": Command("commit", "make an image of what a container is now"),
    "export": Command("export", "write the file system of a container as a tar"),
    "port": Command("port", "list the published ports of a container"),
    "top": Command("top", "list the processes of a container"),
    "stats": Command("stats", "show what containers use"),
    "events": Command("events", "show what happens to containers"),
    "volume": Command("volume", "create, list, show and remove volumes"),
    "attest": Command("attest", "list or print what is attested about an image"),
    "base": Command("base", "make a base image from this machine or from Debian packages"),
    "images": Command("images", "list images"),
    "tag": Command("tag", "give an image a further name"),
    "rmi": Command("rmi", "remove image names, and images without any"),
    "inspect": Command("inspect", "show a container or an image's configuration as JSON"),
    "tree": Command("tree", "show the layers of an image, or the images made from it"),
    "size": Command("size", "say what makes an image large, and what could be saved"),
    "history": Command("history", "show how an image was made, layer by layer"),
    "save": Command("save", "write images to an archive"),
    "load": Command("load", "read images from an archive"),
    "pull": Command("pull", "fetch images from a registry"),
    "push": Command("push", "send an image to a registry"),
    "index": Command("index", "make an index of images for several platforms, or show one"),
    "login": Command("login", "keep name and password for a registry"),
    "logout": Command("logout", "forget name and password for a registry"),
    "check": Command("check", "lint a Dockerfile, and repair it with --fix"),
    "outline": Command("outline", "show what a target can be given: arguments, secrets, caches"),
    "targets": Command("targets", "list the stages of a Dockerfile"),
    "parse": Command("parse", "show a Dockerfile as its parser sees it"),
    "expand": Command("expand", "expand a word as a Dockerfile does"),
    "context": Command("context", "list what a build sees of its context, and say why"),
    "plan": Command("plan", "say what a build would do, step by step, without doing it"),
    "lock": Command("lock", "write down which images a Dockerfile's names mean, for --locked"),
    "explain": Command("explain", "say why steps of the last build ran: what is different"),
    "records": Command("records", "list builds, show their steps and print their logs"),
    "verify": Command("verify", "run some cached steps again and compare what they give"),
    "repro": Command("repro", "build twice under varied conditions and say what differs, and why"),
    "shell": Command("shell", "open a shell in a step of the last build, failed or cached"),
    "du": Command("du", "say what the store is full of, by type"),
    "prune": Command("prune", "remove what nothing uses"),
    "fsck": Command("fsck", "check the store, and repair it with --repair"),
    "doctor": Command("doctor", "say what this kernel and user can do, and why not"),
    "completion": Command("completion", "print what bash, zsh or fish need to complete commands"),
}

TWO_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "container": {
        "ls": ("ps",),
        "list": ("ps",),
        "prune": ("container", "prune"),
        "remove": ("rm",),
        "inspect": ("inspect", "--type", "container"),
        **{
            name: (name,)
            for name in (
                *("attach", "commit", "cp", "create", "diff", "exec", "export"),
                *("kill", "logs", "pause", "port", "ps", "rename", "restart", "rm", "run"),
                *("start", "stats", "stop", "top", "unpause", "wait"),
            )
        },
    },
    "image": {
        "ls": ("images",),
        "list": ("images",),
        "rm": ("rmi",),
        "remove": ("rmi",),
        "prune": ("prune", "--filter", "type=image"),
        "inspect": ("inspect", "--type", "image"),
        **{
            name: (name,)
            for name in (
                *("build", "diff", "history", "load", "pull", "push", "save", "size"),
                *("tag", "tree"),
            )
        },
    },
    "builder": {"build": ("build",), "prune": ("prune",)},
    "buildx": {"build": ("build",), "du": ("du",), "prune": ("prune",)},
    "system": {"df": ("du",), "events": ("events",), "info": ("doctor",)},
    "volume": {
        "list": ("volume", "ls"),
        "remove": ("volume", "rm"),
        **{name: ("volume", name) for name in ("create", "inspect", "ls", "prune", "rm")},
    },
}
"""docker's commands of two words, and what they are called here. Of one that is a command itself
there are no others."""

_ELSEWHERE = {
    "bake": "one build a command; 'pybuild targets' lists the stages of a Dockerfile",
    "bud": "it is 'pybuild build'",
    "compose": "there is none; 'pybuild run' starts one container",
    "from": "there are no working containers; 'pybuild create' makes a container of an image",
    "info": "'pybuild doctor' tells of the machine, 'pybuild du' of the store",
    "manifest": "'pybuild index create' and 'index inspect' are for images of several platforms",
    "network": "there are no networks to be made; 'pybuild run --network' has the choice",
    "search": "there is none; 'pybuild pull' takes an image by its name",
    "update": "there is none; limits are given to 'pybuild run'",
}
"""What docker and buildah users may look for, and what there is in its place."""

_HARMLESS = frozenset(
    {
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONHASHSEED",
        "PYTHONFAULTHANDLER",
        "PYTHONNODEBUGRANGES",
    }
)


def entry() -> None:
    """Run `pybuild` as a program: never returns.

    Leaves by `os._exit` after flushing, since tearing the interpreter down costs milliseconds and
    does nothing that the kernel does not.
    """
    os._exit(program())


def program() -> int:
    """Do all that the program does, to the flushing of what it has said; return its status."""
    gc.disable()
    _isolate()  # first: what starts over is to see which descriptors are closed
    prepare()
    # Who ignores it hands that on, and the kernel would keep no status of our children for us.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    try:
        status = main(sys.argv[1:])
    except BrokenPipeError:  # of the overview; commands are guarded
        status = 1
    except OSError as error:  # as above
        status = _told(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = status or 1
    except OSError as error:
        status = status or _told(error)
    try:
        sys.stderr.flush()
    except OSError:
        status = status or 1
    return status


def _told(error: OSError) -> int:
    """Tell why the overview, or the last of what was printed, did not get out."""
    from buildkit.cli.report import describe  # for this alone

    status, text = describe(error)
    sys.stderr.write(text)
    return status


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` (without the program's name) asks for; return the exit status."""
    root, rest = _leading_options(list(argv))
    if len(rest) > 1 and (meant := TWO_WORDS.get(rest[0], {}).get(rest[1])):
        rest = [*meant, *rest[2:]]
    if rest and rest[0] in ("-h", "--help", "help"):
        if len(rest) > 1 and rest[1] in COMMANDS:
            return _guarded(rest[1], ["--help"], root)
        sys.stdout.write(overview())
        return 0
    if rest and rest[0] in ("--version", "version"):
        sys.stdout.write(f"pybuild {VERSION}\n")
        return 0
    if not rest:
        sys.stderr.write(overview())
        return 2
    mistaken = _mistaken_second(rest) if rest[0] in TWO_WORDS else _mistaken_command(rest)
    if not mistaken and rest[0] in COMMANDS:
        return _guarded(rest[0], rest[1:], root)
    if mistaken:
        sys.stderr.write(mistaken)
        return 2
    return _guarded("build", rest, root)


def overview() -> str:
    """Return the text of `pybuild --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return (
        "usage: pybuild [--root DIR] [build] [OPTIONS] [CONTEXT]\n"
        "       pybuild [--root DIR] COMMAND [OPTIONS] ...\n\n"
        "Builds Dockerfiles into OCI images and runs them: one command, no daemon.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\n"
        "options:\n"
        "  --root DIR  where images and the cache are kept (PYBUILD_ROOT; else\n"
        "              /var/lib/pybuild as root, $XDG_DATA_HOME/pybuild otherwise)\n"
        "  --version   print the version\n\n"
        "'pybuild COMMAND --help' tells the options of a command.\n"
    )


def _leading_options(argv: list[str]) -> tuple[str | None, list[str]]:
    """Take `--root DIR` from in front of the command word."""
    if argv and argv[0] == "--root" and len(argv) > 1:
        return argv[1], argv[2:]
    if argv and argv[0].startswith("--root="):
        return argv[0][7:], argv[1:]
    return None, argv


def _mistaken_second(rest: Sequence[str]) -> str:
    """Return a message when the second word of two is none, and the first is no directory."""
    first, second = rest[0], (*rest, "")[1]
    known = TWO_WORDS[first]
    if first in COMMANDS:
        if second in known or second.startswith("-"):
            return ""
    elif os.path.lexists(first):
        return ""
    hint = f"{first} goes on with {', '.join(sorted(known))}; 'pybuild --help' lists all commands"
    if not second or second.startswith("-"):
        return f"ERROR: {first!r} alone is no command\nhint: {hint}\n"
    if second in COMMANDS:
        hint = f"'pybuild {second}': {COMMANDS[second].summary}"
    return f"ERROR: no command is called {f'{first} {second}'!r}\nhint: {hint}\n"


def _mistaken_command(rest: Sequence[str]) -> str:
    """Return a message when the first word of `rest` looks like a command and is no directory."""
    word = rest[0]
    if word in COMMANDS or word.startswith("-") or "/" in word or ":" in word:
        return ""
    if os.path.lexists(word):
        return ""
    if word in _ELSEWHERE:
        hint = _ELSEWHERE[word]
    else:
        from difflib import get_close_matches  # needed for a mistake only

        close = get_close_matches(word, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else "'pybuild --help' lists the commands"
    return f"ERROR: no command and no build context is called {word!r}\nhint: {hint}\n"


def _guarded(name: str, argv: Sequence[str], root: str | None) -> int:
    """Run command `name`; whatever goes wrong becomes a message and a status."""
    try:
        # `importlib` is half a millisecond more.
        __import__(path := f"buildkit.cli.{COMMANDS[name].module}")
        module = sys.modules[path]
        return _run(name, module.add_arguments, module.command, argv, root)
    except SystemExit as left:  # argparse: 0 after --help, 2 for usage
        return left.code if isinstance(left.code, int) else 2
    except BrokenPipeError:
        mute_stdout()
        return 1
    except BaseException as error:  # noqa: BLE001 - the one place that turns any error into text
        return _reported(error, run=name in _RUNNING)


def _reported(error: BaseException, *, run: bool) -> int:
    """Say what went wrong; return the status."""
    try:
        from buildkit.cli.report import describe  # for errors alone
    except OSError:
        # Not one file more may be open.
        what = str(error)
        if isinstance(error, OSError) and error.strerror and error.filename:
            what = f"{error.filename}: {error.strerror.lower()}"
        sys.stderr.write(f"ERROR: {what}\nhint: raise the limit of open files (ulimit -n)\n")
        return 125 if run else 1
    status, text = describe(error, run=run)
    sys.stderr.write(text)
    return status


def _run(
    name: str,
    add_arguments: Callable[[Parser], None],
    command: Callable[[Namespace], int],
    argv: Sequence[str],
    root: str | None,
) -> int:
    from buildkit.cli.argument_reader import read  # what every command needs
    from buildkit.cli.options import parser_for

    parser = parser_for(name, COMMANDS[name].summary)
    add_arguments(parser)
    args = read(parser, argv)
    args.root = args.root or root
    return command(args)


def _isolate() -> None:
    """Start over without PYTHON* variables and with UTF-8 names when the environment differs.

    A `PYTHONPATH` with an empty entry would import modules from the build context, and a locale
    that is not UTF-8 would give file names other bytes than the Dockerfile has (guarantee S31).
    Costs nothing in the usual case, where there is nothing to undo.
    """
    foreign = [
        name
        for name in os.environ
        # What has an underscore there changes no import, and images with a Python have it set.
        if name.startswith("PYTHON") and name[6:7] != "_" and name not in _HARMLESS
    ]
    if not foreign and sys.getfilesystemencoding() == "utf-8":
        return
    if sys.flags.ignore_environment and sys.flags.utf8_mode:
        return
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = (
        f"import sys; sys.path.append({package!r}); from buildkit.cli.entry import entry; entry()"
    )
    python = sys.executable
    os.execv(python, [python, "-E", "-P", "-X", "utf8", "-c", program, *sys.argv[1:]])


if __name__ == "__main__":
    entry()
