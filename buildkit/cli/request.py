"""The options that all commands share which read a Dockerfile as `build` does.

In: parsed arguments and the environment. Out: a `BuildRequest`, checked as far as it can be
without looking at a store. Names and meaning are docker's.
"""

from __future__ import annotations

import os

from buildkit.cli import foreign
from buildkit.cli.arguments import SUPPRESS, Namespace, Parser
from buildkit.cli.options import bare, switch
from buildkit.cli.pulling import PULL_HELP, pull_policy
from buildkit.cli.values import (
    SECRET_FORM,
    check_ulimits,
    context_of,
    epoch_of,
    host_of,
    network_of,
    pair_of,
    parse_size,
    platforms_of,
    resources_of,
    split_secret,
    tag_of,
)
from buildkit.errors import UsageError
from buildkit.exporter.attributes import STDOUT, Output, parse_output
from buildkit.frontend.options import NETWORK_HOST, SECURITY_INSECURE, LowerOptions
from buildkit.oci.platforms import Platform
from buildkit.progress.table import MODES
from buildkit.request import BuildRequest
from buildkit.solver.policy import CachePolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from buildkit.attestation.wanted import Wanted
    from buildkit.exporter.annotations import Annotation
    from buildkit.inventory.budget import Budget
    from buildkit.remotecache.attributes import CachePlace

_METADATA_PROVENANCE = "BUILDX_METADATA_PROVENANCE"
_PROGRESS = ("PYBUILD_PROGRESS", "BUILDKIT_PROGRESS")


def add_context(parser: Parser, name: str) -> None:
    """Declare the context of the command `name`; it is the last argument, and may be left out."""
    parser.usage = f"pybuild {name} [OPTIONS] [CONTEXT]"
    add = parser.add_argument
    add("context", nargs="?", default=".", metavar="CONTEXT", help="a directory (.), a URL, or -")


def add_call_options(parser: Parser) -> None:
    """Declare the options for an answer about the Dockerfile in place of a build."""
    add = parser.add_argument
    add("--call", default="build", metavar="check|outline|targets", help="answer, do not build")
    add("--check", action="store_const", dest="call", const="check", help="lint, do not build")
    add("--format", choices=("text", "json", "sarif"), help="of an answer; sarif: of a check")
    add("--fix", action="store_true", help="with --check: repair what has one obvious repair")


def add_options(parser: Parser) -> None:
    """Declare the options, all but the context itself."""
    _add_input(parser)
    _add_cache(parser)
    _add_output(parser)
    _add_steps(parser)
    foreign.add_options(parser)


def _add_input(parser: Parser) -> None:
    add = parser.add_argument
    add("-f", "--file", metavar="FILE", help="the Dockerfile: a path, a URL, or - (stdin)")
    add("--target", default="", metavar="STAGE", help="build this stage")
    add("--build-arg", action="append", default=[], metavar="NAME[=VALUE]", help="value of an ARG")
    add("--build-arg-file", action="append", default=[], metavar="FILE", help="lines NAME=VALUE")
    add(
        "--build-context",
        action="append",
        default=[],
        metavar="NAME=SOURCE",
        help="a further context: a directory, a URL, docker-image://REF, oci-layout://DIR",
    )
    add("--platform", action="append", default=[], metavar="OS/ARCH,…", help="what to build for")
    add("--pull", default="missing", metavar="always|missing|never|newer", help=PULL_HELP)
    bare(parser, "--pull", "--pull=always")
    add("--locked", action="store_true", help="base images as the lock file has them")
    add(
        "--context-mode",
        default="disk",
        choices=("disk", "git"),
        help="git: files of the context are 0644 or 0755, as git has them, whatever the umask was",
    )


def _add_cache(parser: Parser) -> None:
    add = parser.add_argument
    switch(parser, "--no-cache", help="take nothing from the cache")
    add("--no-cache-filter", action="append", default=[], metavar="STAGE", help="nor this stage")
    add("--no-cache-step", action="append", default=[], metavar="LINE|NAME", help="nor this step")
    add(
        "--cache-from",
        action="append",
        default=[],
        metavar="REF|type=TYPE,KEY=VALUE",
        help="take what another machine did: type=registry,ref=REF or type=local,src=DIR",
    )
    add(
        "--cache-to",
        action="append",
        default=[],
        metavar="type=TYPE,KEY=VALUE",
        help="write it down for others: type=registry|local|inline, mode=min|max, mounts=ID",
    )
    add("-j", "--jobs", type=int, default=0, metavar="N", help="steps that run at once")


def _add_output(parser: Parser) -> None:
    add = parser.add_argument
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name of the image")
    add("--label", action="append", default=[], metavar="NAME=VALUE", help="label of the image")
    add("--annotation", action="append", default=[], metavar="NAME=VALUE", help="of its manifest")
    add("-o", "--output", action="append", default=[], metavar="type=TYPE,dest=PATH")
    switch(parser, "--push", help="push the image under its names: -o type=registry")
    switch(parser, "--load", help="accepted: the image is always kept in the store")
    add("--progress", default="", metavar="|".join(MODES), help="how to show what is done")
    add("-q", "--quiet", action="store_true", help="print the image's ID and nothing else")
    add("--iidfile", metavar="FILE", help="write the image's ID to FILE")
    add("--metadata-file", metavar="FILE", help="write digests and names to FILE, as JSON")
    add("--sbom", action="append", default=[], metavar="true|false", help="list its packages")
    add("--provenance", action="append", default=[], metavar="true|false|mode=min|max")
    add("--attest", action="append", default=[], metavar="type=sbom|provenance[,KEY=VALUE]")
    add("--max-layer-size", default="", metavar="SIZE", help="fail if a new layer is larger")
    add("--max-growth", default="", metavar="SIZE|PERCENT%", help="fail if the image grew more")
    add("--growth-from", default="", metavar="IMAGE", help="since this image, not that of -t")
    epoch = "no time in the image is later (SOURCE_DATE_EPOCH)"
    add("--source-date-epoch", "--timestamp", metavar="SECONDS", help=epoch)
    switch(parser, "--rewrite-timestamp", help="accepted: with an epoch that is done anyway")


def _add_steps(parser: Parser) -> None:
    add = parser.add_argument
    add("--secret", action="append", default=[], metavar=SECRET_FORM, help="for RUN --mount")
    switch(parser, "--no-secret-search", help="build even where a secret got into the image")
    add("--ssh", action="append", default=[], metavar="ID[=SOCKET|KEY]", help="agent for steps")
    add("--network", default="default", metavar="default|none|host", help="of RUN steps")
    add("--allow", action="append", default=[], metavar=f"{NETWORK_HOST}|{SECURITY_INSECURE}")
    add("--add-host", action="append", default=[], metavar="NAME:IP", help="or NAME:host-gateway")
    add("--shm-size", default="", metavar="SIZE", help="of /dev/shm in RUN steps")
    add("--ulimit", action="append", default=[], metavar="NAME=SOFT[:HARD]", help="of RUN steps")
    add("-m", "--memory", default="", metavar="SIZE", help="limit of each RUN step")
    add("--memory-swap", default="", metavar="SIZE", help="limit of memory and swap; -1: none")
    add("--cpus", default="", metavar="N", help="limit of processor time of each RUN step")
    add("--cpuset-cpus", default="", metavar="LIST", help="processors for RUN steps")
    add("--pids-limit", default="", metavar="N", help="limit of processes of each RUN step")
    add("--resource", action="append", default=[], metavar="NAME=VALUE", help=SUPPRESS)
    add("--cpu-period", default="", help=SUPPRESS)
    add("--cpu-quota", default="", help=SUPPRESS)


def notes_of(args: Namespace) -> list[str]:
    """Return what the user should know about options that do nothing here."""
    notes = foreign.notes(args)
    several = sum(text.count(",") + 1 for text in args.platform) > 1
    if (
        not several
        and args.annotation
        and not any("type=oci" in text for text in args.output)
        and not args.push
    ):
        notes.append("--annotation: the local store keeps no manifest; outputs have annotations")
    return notes


def request_of(args: Namespace) -> BuildRequest:
    """Return what the parsed arguments ask for. Raises UsageError."""
    foreign.refuse(args)
    if args.jobs < 0:
        raise UsageError("--jobs must not be negative")
    if args.push and not args.tag:
        raise UsageError("--push without a name", hint="give the image one with -t")
    args.progress = _progress(args)
    check_ulimits(args.ulimit)
    sources, contexts = context_of(args.build_context)
    outputs = [*args.output, *["type=registry"] * args.push]
    build_args = _build_args(args.build_arg, args.build_arg_file)
    platforms = platforms_of(args.platform)
    platform = platforms[0] if platforms else None
    if len(platforms) < 2 and not _is_true(build_args.get("BUILDKIT_MULTI_PLATFORM", "")):
        platforms = ()
    else:
        platforms = platforms or (Platform.host(),)
    annotations = _annotations(args.annotation)
    parsed = _outputs(outputs, annotations, platforms)
    if platforms and not all(output.store for output in parsed):
        raise UsageError("store=false is for one platform", hint="an index is always kept")
    return BuildRequest(
        context=args.context,
        dockerfile=args.file,
        tags=tuple(map(tag_of, args.tag)),
        options=LowerOptions(
            build_platform=Platform.host(),
            platform=platform,
            target=args.target,
            build_args=build_args,
            labels=tuple(pair_of("--label", text, bare=True) for text in args.label),
            network=network_of(args.network),
            allow=foreign.entitlements(args.allow)
            | ({NETWORK_HOST} if args.network == "host" else set()),
            contexts=contexts,
            add_hosts=tuple(map(host_of, args.add_host)),
            shm_size=parse_size("--shm-size", args.shm_size),
            ulimits=tuple(args.ulimit),
            source_date_epoch=epoch_of(args.source_date_epoch),
        ),
        context_sources=sources,
        policy=CachePolicy(
            args.no_cache,
            frozenset(name for text in args.no_cache_filter for name in text.split(",") if name),
            tuple(args.no_cache_step),
        ),
        outputs=parsed,
        secrets=dict(map(split_secret, args.secret)),
        ssh=_ssh(args.ssh),
        jobs=args.jobs or max(2, len(os.sched_getaffinity(0))),
        resources=resources_of(args),
        plain_modes=args.context_mode == "git",
        locked=args.locked,
        pull=pull_policy(args.pull),
        cache_from=_caches(args.cache_from, "from"),
        cache_to=_caches(args.cache_to, "to") + _inline_cache(build_args),
        attest=_attestations(args),
        search_secrets=not args.no_secret_search,
        budget=_budget(args),
        platforms=platforms,
        annotations=annotations,
    )


def _outputs(
    texts: Sequence[str], annotations: tuple[Annotation, ...], platforms: Sequence[Platform]
) -> tuple[Output, ...]:
    """Return the outputs, with the annotations of `--annotation` where they have a place."""
    found = tuple(map(parse_output, texts))
    if annotations or any(output.annotated for output in found):
        from buildkit.exporter.annotated import with_annotations  # for these only

        found = with_annotations(found, annotations, platforms)
    if sum(output.dest == STDOUT for output in found) > 1:
        raise UsageError(
            "multiple outputs configured to write to stdout", hint="name a file for the others"
        )
    files = [os.path.abspath(output.dest) for output in found if _replaces(output)]
    directories = {os.path.abspath(output.dest) for output in found if output.kind == "local"}
    for number, path in enumerate(files):
        if path in files[:number] or path in directories:
            raise UsageError(f"multiple outputs configured to write to {path}")
    for output in found:
        if platforms and output.kind == "docker" and output.dest:
            raise UsageError(
                "output type docker does not support exporting manifest lists",
                hint="use type=oci for several platforms",
            )
    return found


def _replaces(output: Output) -> bool:
    """Say whether an output takes the place of a file."""
    one = output.dest not in ("", STDOUT) and output.kind != "local"
    return one and (os.path.isfile(output.dest) or not os.path.exists(output.dest))


def _annotations(texts: Sequence[str]) -> tuple[Annotation, ...]:
    if not texts:
        return ()
    from buildkit.exporter.annotations import parse_annotation  # for this option only

    return tuple(one for text in texts for one in parse_annotation(text))


def _budget(args: Namespace) -> Budget | None:
    """Return how large the image may be, None where that is all the same."""
    if not (args.max_layer_size or args.max_growth or args.growth_from):
        return None
    from buildkit.cli.budgets import budget_of  # for these options only

    return budget_of(args.max_layer_size, args.max_growth, args.growth_from)


def _attestations(args: Namespace) -> Wanted | None:
    """Return what is to be said about the image; `--metadata-file` may want its provenance, too."""
    detail = os.environ.get(_METADATA_PROVENANCE, "") if args.metadata_file else ""
    if not (args.attest or args.sbom or args.provenance or detail):
        return None
    from buildkit.cli.attestations import parse_wanted, with_metadata  # for these options only

    wanted = parse_wanted(args.attest, args.sbom, args.provenance)
    return with_metadata(wanted, _METADATA_PROVENANCE, detail) if args.metadata_file else wanted


def _caches(texts: Sequence[str], direction: Literal["from", "to"]) -> tuple[CachePlace, ...]:
    if not texts:
        return ()
    from buildkit.remotecache.attributes import parse_cache  # for these options only

    return tuple(parse_cache(text, direction) for text in texts)


def _inline_cache(build_args: Mapping[str, str]) -> tuple[CachePlace, ...]:
    """Return the cache that the build argument of Moby BuildKit asks for."""
    if not _is_true(build_args.get("BUILDKIT_INLINE_CACHE", "")):
        return ()
    return _caches(["type=inline"], "to")


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "t", "true")


def _progress(args: Namespace) -> str:
    """Return how to show progress: the option, else the environment, else `auto`."""
    places = [("--progress", args.progress)]
    places += [(name, os.environ.get(name, "")) for name in _PROGRESS]
    for place, mode in places:
        if mode and mode not in MODES:
            raise UsageError(
                f"{place}: no progress display is called {mode!r}",
                hint=f"there are: {', '.join(MODES)}",
            )
        if mode:
            return str(mode)
    return "auto"


def _build_args(texts: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return the build arguments; `NAME` alone takes the caller's variable, if there is one."""
    found: dict[str, str] = {}
    for file in files:
        try:
            with open(file, encoding="utf-8") as lines:
                entries = [line.strip() for line in lines]
        except OSError as error:
            raise UsageError(f"{file}: {(error.strerror or '').lower()}") from error
        found.update(
            pair_of("--build-arg-file", line) for line in entries if line and line[0] != "#"
        )
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid --build-arg {text!r}", hint="the form is NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _ssh(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not texts:
        return {}
    from buildkit.ops.ssh import parse_ssh  # sockets and threads: for this option only

    return dict(map(parse_ssh, texts))
