"""What a vertex of the build graph does, as values.

In: what the frontend made of one instruction, all words expanded, all paths still those of the
image. Out: a value that says everything the step depends on but its inputs; the inputs stand in
the vertex, and an op names them by their position there. Nothing here is a path of this machine.
Names follow BuildKit's LLB (solver/pb/ops.proto) where it has one.
"""

from __future__ import annotations

from runtime.accounts import number_of
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from buildkit.oci.digest import Digest


NetworkMode: TypeAlias = Literal["default", "none", "host"]
SecurityMode: TypeAlias = Literal["sandbox", "insecure"]
Sharing: TypeAlias = Literal["shared", "private", "locked"]


class ImageOp(NamedTuple):
    """The root file system of an image: `diff_ids` bottom-most first; `config`: its digest."""

    reference: str
    config: Digest
    diff_ids: tuple[Digest, ...]
    platform: str


class ContextOp(NamedTuple):
    """A build context: `context` for the main one, else the name given with --build-context."""

    name: str


class HttpOp(NamedTuple):
    """One downloaded file, 0600 and 0:0, named `filename`; `checksum` may be None."""

    url: str
    filename: str
    checksum: Digest | None


class GitOp(NamedTuple):
    """A checkout: `ref` and `subdir` may be empty; `checksum` is a commit id or its prefix."""

    remote: str
    ref: str
    subdir: str
    keep_git_dir: bool
    submodules: bool
    checksum: str


class CopySource(NamedTuple):
    """`path` (perhaps with wildcards) in the result of input number `origin` of the vertex."""

    origin: int
    path: str


class InlineFile(NamedTuple):
    """A heredoc of COPY or ADD: a file `name`, 0644 and 0:0, with `content`."""

    name: str
    content: str


class CopyOp(NamedTuple):
    """COPY or ADD onto input 0 (absent with `link`: see `Vertex.inputs`).

    `dest` is absolute and keeps its trailing slash, which decides whether it is a directory.
    `chown` is `user[:group]` as written, `chmod` octal or symbolic as written; empty: not given.
    `unpack`: "auto" unpacks local archives by their content (ADD), "always" (ADD --unpack) also
    downloads, "never" copies.
    `keep_owner`: owners of the source are kept (COPY --from a stage), else they become 0:0.
    """

    sources: tuple[CopySource | InlineFile, ...]
    dest: str
    chown: str
    chmod: str
    exclude: tuple[str, ...]
    parents: bool
    link: bool
    unpack: Literal["auto", "always", "never"]
    keep_owner: bool


def stands_alone(op: Op) -> bool:
    """Say whether `op` is a copy that needs nothing of what it stands on (`link`)."""
    return isinstance(op, CopyOp) and op.link and not needs_names(op.chown)


def needs_names(chown: str) -> bool:
    """Say whether `chown` can only be understood with the files of what the copy stands on."""
    user, group = owner_parts(chown)
    return number_of(user) is None or (group != "" and number_of(group) is None)


def owner_parts(chown: str) -> tuple[str, str]:
    """Return user and group of `user[:group]`, this empty where it is the user's own."""
    user, colon, group = chown.partition(":")
    return user or "0", group or "0" if colon else ""


class MkdirOp(NamedTuple):
    """WORKDIR: `path` with its parents, 0755, owned by `user` (as in USER; empty: 0:0)."""

    path: str
    user: str


class BindMount(NamedTuple):
    """`source` in the result of input `origin`, shown at `target`; writes are thrown away."""

    target: str
    origin: int
    source: str
    readonly: bool


class CacheMount(NamedTuple):
    """A directory that lasts; `origin` (None: empty) and `source` give its first content."""

    target: str
    id: str
    sharing: Sharing
    origin: int | None
    source: str
    mode: int
    uid: int
    gid: int
    readonly: bool


class TmpfsMount(NamedTuple):
    """An empty file system in memory; `size` in bytes, 0 for no limit."""

    target: str
    size: int


class SecretMount(NamedTuple):
    """A secret as file (`target` given), variable (`env` given), or both; never its value."""

    id: str
    target: str
    env: str
    mode: int
    uid: int
    gid: int
    required: bool


class SshMount(NamedTuple):
    """An agent socket at `target`."""

    id: str
    target: str
    mode: int
    uid: int
    gid: int
    required: bool


ExecMount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


class ExecOp(NamedTuple):
    """RUN on input 0.

    `args` is what is executed (SHELL included); `env` what the process sees, in order, without
    what `proxy` adds: that is set for the process but is no part of the key. `script`: the body of
    a heredoc that is itself the program (it begins with `#!`); then `args` names its mounted file.
    """

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: NetworkMode
    security: SecurityMode
    mounts: tuple[ExecMount, ...]
    platform: str
    hostname: str
    script: str | None = None
    proxy: tuple[tuple[str, str], ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: tuple[str, ...] = ()


Op: TypeAlias = ImageOp | ContextOp | HttpOp | GitOp | CopyOp | MkdirOp | ExecOp
