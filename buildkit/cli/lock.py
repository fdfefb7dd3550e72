"""`pybuild lock`: writes down what a Dockerfile's names mean now, beside the Dockerfile.

That is base images, the URLs of ADD, and refs of repositories. Takes the options of `build`.
Without --target all stages are looked at. Pins of other platforms that are still asked for stay,
so that one file serves several.
"""

from __future__ import annotations

import sys
from itertools import product

from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.options import open_root
from buildkit.definition import lowered_with, placed, resolver
from buildkit.exporter.destination import write_result
from buildkit.frontend.bases import BaseRequest, BaseUse
from buildkit.llb.op import GitOp, HttpOp, Op
from buildkit.lock import Lock, Pin, encode_lock, name_of, path_of, read_lock, source_of
from buildkit.main_context import find_dockerfile
from buildkit.oci.config import ResolvedImage
from buildkit.ops.remotes import Remotes
from buildkit.progress.escape import visible
from buildkit.request import BuildRequest
from buildkit.worker import Worker
from grammar.parser import parse
from grammar.source import Source


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`."""
    build_request.add_options(parser)
    build_request.add_context(parser, "lock")


def command(args: Namespace) -> int:
    """Write the lock file; say what changed in it."""
    request = build_request.request_of(args)
    dockerfile, source = find_dockerfile(request.context, request.dockerfile)
    path = path_of(dockerfile)
    old = read_lock(path) or Lock(path, {}, {})
    with open_root(args) as root, Worker(root) as worker:
        pins, sources = _pins(request, source, worker)
    names = {name.partition(" ")[0] for name in pins}
    kept = {name: pin for name, pin in old.images.items() if name.partition(" ")[0] in names}
    new = Lock(path, {**kept, **pins}, sources)
    write_result(path, encode_lock(new))
    if not args.quiet:
        sys.stdout.write("".join(f"{visible(line)}\n" for line in _changes(old, new)))
    return 0


def _pins(
    request: BuildRequest, source: Source, worker: Worker
) -> tuple[dict[str, Pin], dict[str, str]]:
    """Return what names of images, and what URLs and refs mean now."""
    found: dict[str, Pin] = {}
    sources: dict[str, str] = {}
    remotes = Remotes(worker.root, request.secrets, None)
    resolve = resolver(worker, request.pull)

    def noted(wanted: BaseRequest, use: BaseUse) -> ResolvedImage:
        image = resolve(wanted, use)
        found[name_of(wanted)] = Pin(
            image.config_digest, worker.images.manifest(image.config_digest)
        )
        return image

    try:
        dockerfile = parse(source)
        stages = range(len(dockerfile.stages))
        targets = [request.options.target] if request.options.target else map(str, stages)
        several = [request.single(one).options for one in request.platforms]
        for target, options in product(targets, several or [request.options]):
            lowered = lowered_with(dockerfile, options._replace(target=target), noted)
            for vertex in lowered.graph:
                name = source_of(vertex.op)
                if name and name not in sources:
                    sources[name] = _current(vertex.op, remotes)
    except Exception as error:
        told = placed(error, source)
        if told is error:
            raise
        raise told from error
    return found, sources


def _current(op: Op, remotes: Remotes) -> str:
    """Return the digest of a download, or the commit of a ref."""
    assert isinstance(op, HttpOp | GitOp)
    parts = remotes.identify(op)
    return str(parts["commit" if isinstance(op, GitOp) else "body"])


def _changes(old: Lock, new: Lock) -> list[str]:
    lines = []
    for name, pin in sorted(new.images.items()):
        before = old.images.get(name)
        if before is None:
            lines.append(f"{name} {pin.image}")
        elif before.image != pin.image:
            lines.append(f"{name} {pin.image} (was {before.image})")
    for name, text in sorted(new.sources.items()):
        was = old.sources.get(name, "")
        if was != text:
            lines.append(f"{name} {text}" + (f" (was {was})" if was else ""))
    gone = {*old.images, *old.sources} - {*new.images, *new.sources}
    lines += [f"{name} is no longer used" for name in sorted(gone)]
    return lines or [f"{new.path} is as it was"]
