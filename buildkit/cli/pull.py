"""`pybuild pull`: images from a registry into the store.

The ID of each image goes to standard output, progress to standard error. Exit status: 0; 1 an image
could not be had; 2 the command line is at fault; 128+n when signal n ended it.
"""

from __future__ import annotations

import re
import sys

from buildkit.archive.remote import PullPolicy, obtain
from buildkit.cli.interrupts import cancelling
from buildkit.cli.options import open_root
from buildkit.cli.pulling import pull_policy
from buildkit.errors import UsageError
from buildkit.progress.events import Emit, Warned
from buildkit.progress.table import MODES, display_for
from buildkit.worker import Worker
from runtime.typed import get_args

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace, Parser
    from buildkit.oci.digest import Digest
    from buildkit.oci.reference import Reference
    from buildkit.progress.cancel import Cancel
    from buildkit.registry.client import Access

_REMARK = r"sha256-[0-9a-f]{64}(?:\.|$)"
"""Tags that stand in for a list of referrers, and those of cosign."""


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    from buildkit.cli.access import add_access  # the registry client: these commands alone

    add = parser.add_argument
    parser.usage = "pybuild pull [OPTIONS] IMAGE..."
    add("--platform", default="", metavar="OS/ARCH|all", help="of the image (this machine's)")
    add("--all-platforms", action="store_true", help="all images of an index, under one name")
    add("-a", "--all-tags", action="store_true", help="all that the repository has")
    add("--attestations", action="store_true", help="keep the SBOM and the provenance as well")
    add("--policy", default="always", metavar="|".join(get_args(PullPolicy)), help="when to ask")
    add("-q", "--quiet", action="store_true", help="print the ID and nothing else")
    add("--progress", default="", choices=("", *MODES), metavar="|".join(MODES))
    add_access(parser)
    add("image", nargs="+", metavar="IMAGE")


def command(args: Namespace) -> int:
    """Pull; return the exit status."""
    from buildkit.cli.access import access_of, platform_of, references_of, repository_of

    whole = args.all_platforms or args.platform == "all"
    if whole and args.platform not in ("", "all"):
        raise UsageError("all platforms go without one of them")
    policy = pull_policy(args.policy, "--policy")
    if args.attestations and policy == "never":
        raise UsageError("--attestations are at a registry, which --policy=never does not ask")
    if args.all_tags and policy == "never":
        raise UsageError("--all-tags are at a registry, which --policy=never does not ask")
    references = references_of(args.image)
    repositories = tuple(map(repository_of, args.image)) if args.all_tags else ()
    platform = platform_of("" if whole else args.platform)
    access = access_of(args)
    lines = []
    mode = "quiet" if args.quiet else args.progress or "auto"
    with (
        cancelling() as cancel,
        open_root(args) as root,
        Worker(root) as worker,
        display_for(mode) as display,
    ):
        if args.all_tags:
            references = tuple(
                one._replace(tag=tag)
                for one in repositories
                for tag in _tags(one, access, display.emit, cancel)
            )
        for reference in references:
            if whole:
                found = _all(reference, policy, worker, access, display.emit, cancel)
            else:
                found = obtain(
                    str(reference), platform, policy, worker, display.emit, cancel, access
                ).config_digest
            if args.attestations:
                _attestations(reference, found, worker, access, display.emit, cancel)
            lines.append(f"{found}\n")
    sys.stdout.writelines(lines)
    return 0


def _tags(repository: Reference, access: Access, emit: Emit, cancel: Cancel) -> tuple[str, ...]:
    """Return the tags of a repository, but for those that hold remarks about images."""
    from buildkit.registry.client import Registry

    with Registry(cancel, access, emit=emit) as registry:
        found = tuple(registry.home(repository).tags())
    return tuple(tag for tag in found if not re.match(_REMARK, tag))


def _all(
    reference: Reference,
    policy: PullPolicy,
    worker: Worker,
    access: Access,
    emit: Emit,
    cancel: Cancel,
) -> Digest:
    """Pull the images for all platforms; return the digest of their index."""
    from buildkit.archive.remote_index import obtain_all
    from buildkit.registry.client import Registry

    with Registry(cancel, access, emit=emit) as registry:
        return obtain_all(reference, policy, worker, registry, emit)


def _attestations(
    reference: Reference,
    found: Digest,
    worker: Worker,
    access: Access,
    emit: Emit,
    cancel: Cancel,
) -> None:
    """Keep what the registry has about an image, or about all images of an index."""
    from buildkit.archive.pulled_statements import pull_statements
    from buildkit.registry.client import Registry

    images = {}
    if worker.images.is_index(found):
        images = {part.entry.digest: part.image for part in worker.images.parts(found)}
    elif (manifest := worker.images.manifest(found)) is not None:
        images = {manifest: found}
    if not images:
        emit(Warned(f"{reference.familiar} was made here: no registry is asked about it"))
        return
    with Registry(cancel, access, emit=emit) as registry:
        pull_statements(registry, reference, images, worker, emit)
