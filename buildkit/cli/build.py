"""`pybuild build`: a Dockerfile becomes an image.

Exit status: 0; 1 a step or the build failed; 2 the command line or the Dockerfile is at fault;
128+n when signal n ended it. The image's ID (its config digest) goes to standard output with
`--quiet`, progress to standard error.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, get_args

from buildkit.build import BuildRequest, build
from buildkit.cli.options import bare, open_root
from buildkit.cli.pulling import PULL_HELP, pull_policy
from buildkit.cli.values import context_of, parse_size, split_secret
from buildkit.errors import UsageError
from buildkit.exporter.attributes import parse_output
from buildkit.frontend.options import LowerOptions
from buildkit.llb.op import NetworkMode
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.table import MODES, display_for
from buildkit.solver.policy import CachePolicy
from buildkit.worker import Worker

_FOREIGN = {
    "--builder": "pybuild has no builder instances: it builds in its own process",
    "--cache-from": "this version keeps its cache in the state root only",
    "--cache-to": "this version keeps its cache in the state root only",
    "--ssh": "this version has no agent forwarding",
    "--sbom": "this version makes no attestations",
    "--provenance": "this version makes no attestations",
    "--attest": "this version makes no attestations",
}
"""Options that users of the peers type, and what to tell them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `build`; names and meaning are docker's."""
    parser.usage = "pybuild [build] [OPTIONS] CONTEXT"
    add_options(parser)
    add_call_options(parser)
    parser.add_argument("context", metavar="CONTEXT", help="a directory")


def add_call_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options for an answer about the Dockerfile in place of a build."""
    add = parser.add_argument
    add("--call", default="build", metavar="check|outline|targets", help="answer, do not build")
    add("--check", action="store_const", dest="call", const="check", help="lint, do not build")
    add("--format", choices=("text", "json", "sarif"), help="of an answer; sarif: of a check")
    add("--fix", action="store_true", help="with --check: repair what has one obvious repair")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that all commands share which read a Dockerfile as `build` does."""
    add = parser.add_argument
    add("-f", "--file", metavar="FILE", help="the Dockerfile (- for standard input)")
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name of the image")
    add("--target", default="", metavar="STAGE", help="build this stage")
    add("--build-arg", action="append", default=[], metavar="NAME[=VALUE]")
    add("--build-arg-file", action="append", default=[], metavar="FILE")
    add("--build-context", action="append", default=[], metavar="NAME=SOURCE")
    add("--label", action="append", default=[], metavar="NAME=VALUE")
    add("--platform", default="", metavar="OS/ARCH")
    add("--no-cache", action="store_true", help="take nothing from the cache")
    add("--no-cache-filter", action="append", default=[], metavar="STAGE")
    add("--locked", action="store_true", help="base images as the lock file has them")
    add("--no-cache-step", action="append", default=[], metavar="LINE|NAME")
    add(
        "--context-mode",
        default="disk",
        choices=("disk", "git"),
        help="git: files of the context are 0644 or 0755, as git has them, whatever the umask was",
    )
    add("-o", "--output", action="append", default=[], metavar="type=TYPE,dest=PATH")
    add("--push", action="store_true", help="push the image under its names: -o type=registry")
    add("--load", action="store_true", help="accepted: the image is always kept in the store")
    add("--progress", default="", choices=("", *MODES), metavar="|".join(MODES))
    add("-q", "--quiet", action="store_true", help="print the image's ID and nothing else")
    add("--iidfile", metavar="FILE", help="write the image's ID to FILE")
    add(
        "--secret", action="append", default=[], metavar="id=ID[,src=FILE|,env=NAME][,rebuild=true]"
    )
    add("--network", default="default", choices=get_args(NetworkMode), help="of RUN steps")
    add("--allow", action="append", default=[], metavar="network.host|security.insecure")
    add("--add-host", action="append", default=[], metavar="NAME:IP")
    add("--shm-size", default="", metavar="SIZE", help="of /dev/shm in RUN steps")
    add("--ulimit", action="append", default=[], metavar="NAME=SOFT[:HARD]")
    add("-j", "--jobs", type=int, default=0, metavar="N", help="steps that run at once")
    add("--pull", default="missing", metavar="always|missing|never|newer", help=PULL_HELP)
    bare(parser, "--pull", "--pull=always")
    for option in _FOREIGN:
        add(option, nargs="?", dest=option, help=argparse.SUPPRESS, default=None, const="")


def command(args: argparse.Namespace) -> int:
    """Build; return the exit status."""
    request = request_of(args)
    if args.call != "build" or args.fix or args.format:
        from buildkit.cli.call import answer  # the rules and more: not for a build

        return answer(request, args)
    with Cancel() as cancel, _signals(cancel), open_root(args) as root, Worker(root) as worker:
        display = display_for("quiet" if args.quiet else args.progress or "auto")
        with display:
            result = build(request, worker, display.emit, cancel)
    if args.iidfile:
        _write_whole(args.iidfile, result.image)
    if args.quiet:
        sys.stdout.write(f"{result.image}\n")
    return 0


def request_of(args: argparse.Namespace) -> BuildRequest:
    """Return what the parsed arguments ask for. Raises UsageError."""
    for option, answer in _FOREIGN.items():
        if getattr(args, option, None) is not None:
            raise UsageError(f"{option} is not known here", hint=answer)
    if args.jobs < 0:
        raise UsageError("--jobs must not be negative")
    if args.push and not args.tag:
        raise UsageError("--push without a name", hint="give the image one with -t")
    host = Platform.host()
    names, contexts = context_of(args.build_context)
    return BuildRequest(
        context=args.context,
        dockerfile=args.file,
        tags=tuple(_reference(text) for text in args.tag),
        options=LowerOptions(
            build_platform=host,
            platform=_platform(args.platform),
            target=args.target,
            build_args=_build_args(args.build_arg, args.build_arg_file),
            labels=tuple(_pair("--label", text) for text in args.label),
            network=args.network,
            allow=frozenset(args.allow) | ({"network.host"} if args.network == "host" else set()),
            contexts=contexts,
            add_hosts=tuple(_host(text) for text in args.add_host),
            shm_size=parse_size("--shm-size", args.shm_size),
            ulimits=tuple(args.ulimit),
            source_date_epoch=_epoch(),
        ),
        context_sources=names,
        policy=CachePolicy(
            args.no_cache, frozenset(args.no_cache_filter), tuple(args.no_cache_step)
        ),
        outputs=tuple(map(parse_output, [*args.output, *["type=registry"] * args.push])),
        secrets=dict(split_secret(text) for text in args.secret),
        jobs=args.jobs or max(2, len(os.sched_getaffinity(0))),
        plain_modes=args.context_mode == "git",
        locked=args.locked,
        pull=pull_policy(args.pull),
    )


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise UsageError(f"invalid name {text!r}: {error}", hint="as in app or app:1.2") from error


def _platform(text: str) -> Platform | None:
    if not text:
        return None
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise UsageError(str(error), hint="as in linux/amd64") from error


def _build_args(texts: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return the build arguments; `NAME` alone takes the caller's variable, if there is one."""
    found: dict[str, str] = {}
    for file in files:
        try:
            with open(file, encoding="utf-8") as lines:
                entries = [line.strip() for line in lines]
        except OSError as error:
            raise UsageError(f"{file}: {(error.strerror or '').lower()}") from error
        found.update(_pair("--build-arg-file", line) for line in entries if line and line[0] != "#")
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid --build-arg {text!r}", hint="the form is NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or (not equals and option != "--label"):
        raise UsageError(f"invalid {option} {text!r}", hint="the form is NAME=VALUE")
    return name, value


def _host(text: str) -> tuple[str, str]:
    name, colon, address = text.partition(":")
    if not colon:
        name, colon, address = text.partition("=")
    if not colon or not name or not address:
        raise UsageError(f"invalid --add-host {text!r}", hint="the form is NAME:IP")
    return name, address.strip("[]")


def _epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH. Raises UsageError when it is no number of seconds."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise UsageError(
            f"invalid SOURCE_DATE_EPOCH {text!r}", hint="seconds since 1970, as digits"
        )
    return int(text)


@contextmanager
def _signals(cancel: Cancel) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP cancel the build; a second one does nothing new."""

    def stop(number: int, _frame: FrameType | None) -> None:
        cancel.set(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop) for number in numbers]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _write_whole(path: str, text: str) -> None:
    """Write `text` to `path`, which has it wholly or not at all."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        _fail(path, error)


def _fail(path: str, error: OSError) -> NoReturn:
    raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
