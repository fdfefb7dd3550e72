"""A request for a build, and what it needs before its Dockerfile can be read.

In: what the user asked for, and what the machine has. Out: the context and the Dockerfile, at hand
for the time of a block, what goes to the steps, and a way to base images. Shared by `build` and by
`plan`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from buildkit.contexts import BuildContexts
from buildkit.definition import check_policy, lowered_with, resolver
from buildkit.main_context import Fetch, Main, find_main, is_at_hand
from buildkit.ops.grants import Grants
from buildkit.records.record import build_identity
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildkit.archive.remote import PullPolicy
    from buildkit.attestation.wanted import Wanted
    from buildkit.exporter.annotations import Annotation
    from buildkit.exporter.attributes import Output
    from buildkit.frontend.lower import Lowered
    from buildkit.frontend.options import LowerOptions
    from buildkit.inventory.budget import Budget
    from buildkit.oci.platforms import Platform
    from buildkit.oci.reference import Reference
    from buildkit.ops.secrets import SecretSource
    from buildkit.ops.ssh import Agents
    from buildkit.progress.cancel import Cancel
    from buildkit.progress.events import Emit
    from buildkit.remotecache.attributes import CachePlace
    from buildkit.remotecache.load import Shared
    from buildkit.solver.policy import CachePolicy
    from buildkit.state.root import StateRoot
    from buildkit.worker import Worker
    from grammar.instructions import Dockerfile
    from runtime.spec import Resources

KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"


class BuildRequest(NamedTuple):
    """What the user asked for. `dockerfile` None: the context's; `context_sources`: directories.

    `ssh`: paths of a socket or of keys by ID. `resources` None: no limits. `plain_modes`: files of
    contexts are 0755 or 0644, as git has them. `locked`: base images are those of the lock file.
    `pull`: when a registry is asked for a base image. `cache_from`, `cache_to`: shared caches.
    `attest`: documents about the image that are to lie beside it. `search_secrets`: fail where the
    value of a secret is in a new layer or in the config. `platforms`: what an index is made for,
    empty for one image and no index; `annotations` are for the index in the store. `budget`: how
    large a layer may be and how much the image may grow.
    """

    context: str
    dockerfile: str | None
    tags: tuple[Reference, ...]
    options: LowerOptions
    context_sources: Mapping[str, str]
    policy: CachePolicy
    outputs: tuple[Output, ...]
    secrets: Mapping[str, SecretSource]
    ssh: Mapping[str, tuple[str, ...]]
    jobs: int
    resources: Resources | None = None
    plain_modes: bool = False
    locked: bool = False
    pull: PullPolicy = "missing"
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    attest: Wanted | None = None
    search_secrets: bool = True
    budget: Budget | None = None
    platforms: tuple[Platform, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def single(self, platform: Platform) -> BuildRequest:
        """Return the request for one of several platforms."""
        return self._replace(options=self.options._replace(platform=platform, several=True))

    @property
    def platform_text(self) -> str:
        """What is built for, as records have it."""
        return ",".join(map(str, self.platforms or (self.options.target_platform,)))


class Ready(NamedTuple):
    """What is there when the Dockerfile is to be read."""

    main: Main
    contexts: BuildContexts
    grants: Grants


def fetch_for(
    request: BuildRequest, root: StateRoot, cancel: Cancel, agents: Agents | None
) -> Fetch:
    """Return how to get a context or Dockerfile that is not on this machine."""
    keep = request.options.build_args.get(KEEP_GIT_DIR, "0")
    return Fetch(root.tmp, cancel, request.secrets, agents, keep)


@contextmanager
def ready(request: BuildRequest, worker: Worker, cancel: Cancel) -> Iterator[Ready]:
    """Have context and Dockerfile at hand for the time of a block. Raises BuildError."""
    with ExitStack() as stack:
        agents = None
        if request.ssh:
            from buildkit.ops.ssh import Agents  # sockets and threads: for --ssh only

            agents = Agents(request.ssh, worker.root.tmp)
            stack.callback(agents.close)
        fetch = None
        if not is_at_hand(request.context, request.dockerfile):
            fetch = fetch_for(request, worker.root, cancel, agents)
        main = find_main(request.context, request.dockerfile, fetch, cancel)
        contexts = BuildContexts(
            worker.root, main, request.context_sources, plain_modes=request.plain_modes
        )
        stack.callback(contexts.close)
        grants = Grants(request.secrets, agents, request.resources, request.search_secrets)
        yield Ready(main, contexts, grants)


def graph_for(
    request: BuildRequest,
    dockerfile: Dockerfile,
    main: Main,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
    shared: Shared | None = None,
) -> Lowered:
    """Return the graph of what is asked for, with the pins of the lock file if they count.

    Layers of bases that are not here are fetched when they are needed if there is `shared`.
    """
    pull = None if shared is None else shared.pull
    resolve = resolver(worker, request.pull, emit, cancel, pull)
    if request.locked:
        from buildkit.lock import lock_of, locked, pinned  # for this option only

        lock = lock_of(main.dockerfile)
        resolve = locked(resolve, lock, worker.images)
        lowered = pinned(lowered_with(dockerfile, request.options, resolve), lock)
    else:
        lowered = lowered_with(dockerfile, request.options, resolve)
    return check_policy(request.policy, lowered, dockerfile)


def graphs_for(
    request: BuildRequest,
    dockerfile: Dockerfile,
    main: Main,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
    shared: Shared | None = None,
) -> tuple[Lowered, ...]:
    """Return the graph for each platform that is asked for."""
    requests = [request.single(platform) for platform in request.platforms] or [request]
    return tuple(graph_for(one, dockerfile, main, worker, emit, cancel, shared) for one in requests)


def whole_of(several: Sequence[Lowered]) -> Lowered:
    """Return the graph of all platforms."""
    if len(several) == 1:
        return several[0]
    from buildkit.frontend.joined import joined  # for several platforms only

    return joined(several)


def sharing_for(
    request: BuildRequest, worker: Worker, emit: Emit, cancel: Cancel
) -> AbstractContextManager[Shared | None]:
    """Have the caches of --cache-from at hand for the time of a block, None without any."""
    if not request.cache_from:
        return nullcontext()
    from buildkit.remotecache.load import sharing  # threads, compression: for this option only

    platforms = request.platforms or (request.options.target_platform,)
    return sharing(request.cache_from, worker.root, platforms, emit, cancel)


def identity_of(request: BuildRequest, main: Main) -> str:
    """Return what the records of this and of other builds of the same thing have in common."""
    return build_identity(
        main.dockerfile_name, main.context_name, request.options.target, request.platform_text
    )
