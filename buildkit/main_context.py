"""The main context of a build and the Dockerfile, from wherever they come.

In: what the command line says: a directory, `-`, the address of a repository or of an archive; and
for the Dockerfile a path, `-`, a URL, or nothing. Out: a directory of this machine and the text.
Source: docs/dockerfile.md, chapter 1; the two messages about standard input are docker's.
"""

from __future__ import annotations

import os
import select
import stat

from buildkit.errors import ContextError, DefinitionError, UsageError
from buildkit.frontend.options import NamedContext
from buildkit.frontend.origins import context_op
from buildkit.frontend.remote import is_git
from buildkit.llb.op import GitOp
from grammar.source import Source
from grammar.urls import redacted as shown
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from buildkit.context.local import LocalContext
    from buildkit.ops.secrets import SecretSource
    from buildkit.ops.ssh import Agents
    from buildkit.progress.cancel import Cancel

STDIN = "-"
NAMES = ("Dockerfile", "Containerfile", "dockerfile")
"""What a Dockerfile is called when nobody says so, in order of preference."""

_LIMIT = 16 << 20
_URL = ("http://", "https://")
_GITHUB = "github.com/"
_NONE = Source("", "")


class Main(NamedTuple):
    """The main context and its Dockerfile, at hand.

    `directory`: of the context. `kept`: it is the user's own, not one that was unpacked for this
    build, so it may have an ignore file. `dockerfile`: its path on this machine, None when only its
    text came. `context_name`, `dockerfile_name`: what records call them. `commit`: of a repository.
    """

    directory: str
    kept: bool
    dockerfile: str | None
    source: Source
    context_name: str
    dockerfile_name: str
    commit: str = ""


class Fetch(NamedTuple):
    """How to get what is not here. `aside` makes a new private directory.

    Credentials are among the `secrets`. `keep_git_dir`: a boolean as Go writes it.
    """

    aside: Callable[[], str]
    cancel: Cancel
    secrets: Mapping[str, SecretSource]
    agents: Agents | None
    keep_git_dir: str


def is_local(context: str) -> bool:
    """Say whether `context` is a directory of this machine, or can be nothing else."""
    if context == STDIN:
        return False
    if os.path.isdir(context):
        return True
    return not (is_git(context) or context.startswith((*_URL, _GITHUB)))


def is_at_hand(context: str, file: str | None) -> bool:
    """Say whether `find_main` needs no `Fetch`."""
    return is_local(context) and not (file or "").startswith((STDIN, *_URL))


def find_main(
    context: str, file: str | None, fetch: Fetch | None = None, cancel: Cancel | None = None
) -> Main:
    """Return the context and the Dockerfile. `fetch` may be None if they are at hand.

    `cancel` ends the wait for a Dockerfile that is a named pipe.

    Raises ContextError, DefinitionError, ImageError for a damaged archive, UsageError, Cancelled.
    """
    if context == STDIN and file == STDIN:
        raise UsageError("invalid argument: can't use stdin for both build context and dockerfile")
    if is_local(context):
        return _local(context, file, fetch, cancel)
    if fetch is None:
        raise UsageError(f"{shown(context)}: this command takes a directory")
    return _remote(context, file, fetch)


def find_dockerfile(context: str, file: str | None) -> tuple[str | None, Source]:
    """Return path and text of the Dockerfile alone; with a `file` there may be no context.

    Raises as `find_main`; UsageError for what is not at hand.
    """
    if file is not None and context != STDIN and not file.startswith(_URL):
        main = _named(_directory(context, context), file, None)
    else:
        main = find_main(context, file)
    return main.dockerfile, main.source


def _directory(path: str, name: str) -> Main:
    """Return a context whose Dockerfile is still to be found."""
    return Main(
        path, kept=True, dockerfile=None, source=_NONE, context_name=name, dockerfile_name=""
    )


def _local(context: str, file: str | None, fetch: Fetch | None, cancel: Cancel | None) -> Main:
    if not os.path.isdir(context):
        what = "is not a directory" if os.path.lexists(context) else "not found"
        raise ContextError(f'unable to prepare context: path "{context}" {what}')
    if not os.access(context, os.X_OK):  # else nothing is found in it
        raise ContextError(f'unable to prepare context: path "{context}": permission denied')
    main = _directory(context, os.path.abspath(context))
    if file is not None:
        return _named(main, file, fetch, cancel)
    for known in NAMES:
        path = os.path.join(context, known)
        if os.path.exists(path):
            source = _read(path, cancel)._replace(path=known)
            return main._replace(
                dockerfile=path, source=source, dockerfile_name=os.path.abspath(path)
            )
    raise _missing(context)


def _remote(context: str, file: str | None, fetch: Fetch) -> Main:
    """Bring the context here: into a directory, or, if it is no archive, as a Dockerfile."""
    directory = fetch.aside()
    text, commit = _filled(context, directory, fetch)
    name = shown(context)
    main = _directory(directory, name)._replace(kept=False, commit=commit)
    if text is not None:
        if file is not None:
            raise UsageError(
                "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"
                if context == STDIN
                else f"{name} is a Dockerfile and no context, and -f names another"
            )
        return main._replace(source=Source.decode(name, text), dockerfile_name=name)
    if file is not None and (file == STDIN or file.startswith(("/", *_URL))):
        return _named(main, file, fetch)
    return _inside(main, file)


def _filled(context: str, directory: str, fetch: Fetch) -> tuple[bytes | None, str]:
    """Fill `directory` with the context; return the bytes of what is no archive instead.

    Also the commit of a repository, empty for anything else.
    """
    check = fetch.cancel.check
    if is_git(context) or not context.startswith((STDIN, *_URL)):
        from buildkit.ops.remotes import repositories  # for such contexts only

        op = context_op("context", NamedContext("git", context), keeps_git=fetch.keep_git_dir)
        assert isinstance(op, GitOp)
        # As docker does: the user's agent may open the user's own context.
        agent = os.environ.get("SSH_AUTH_SOCK", "")
        if fetch.agents is not None:
            agent = fetch.agents.socket() or agent
        found = repositories(fetch.aside, fetch.secrets, agent)
        found.write(op, directory, check)
        return None, str(found.identify(op)["commit"])
    from buildkit.ops.remote_context import fetch_context, unpack_stream  # for these two only

    if context == STDIN:
        stream = _Input(fetch.cancel)
        return unpack_stream(stream, directory, name="the context", check=check), ""
    from buildkit.ops.remotes import http_credentials

    body = os.path.join(fetch.aside(), "body")
    credentials = http_credentials(fetch.secrets)
    return fetch_context(context, directory, body, credentials=credentials, check=check), ""


def _named(main: Main, file: str, fetch: Fetch | None, cancel: Cancel | None = None) -> Main:
    """Return `main` with the Dockerfile `file`, which lies outside of the context."""
    if file == STDIN:
        source = Source.decode(STDIN, _whole(_Input(None if fetch is None else fetch.cancel)))
        return main._replace(source=source, dockerfile_name=STDIN)
    if file.startswith(_URL):
        if fetch is None:
            raise UsageError(f"-f {shown(file)}: this command takes a path")
        source = Source.decode(shown(file), _downloaded(file, fetch))
        return main._replace(source=source, dockerfile_name=shown(file))
    source = _read(file, cancel, _meant(main.directory, file))
    return main._replace(dockerfile=file, source=source, dockerfile_name=os.path.abspath(file))


def _meant(context: str, file: str) -> str:
    """Return a hint for a `file` that is not there: the path that was meant, or nothing."""
    if os.path.lexists(file):
        return ""
    inside = os.path.join(context, file)
    if not os.path.isabs(file) and os.path.isfile(inside):
        return f"-f is seen from the working directory: did you mean {inside}?"
    from grammar.nearest import nearest  # for a mistake only

    directory, name = os.path.split(file)
    try:
        beside = os.listdir(directory or ".")
    except OSError:
        return ""
    near = nearest(name, sorted(beside))
    return f"did you mean {os.path.join(directory, near)}?" if near else ""


def _inside(main: Main, file: str | None) -> Main:
    """Return `main` with the Dockerfile that lies in a context which came from elsewhere."""
    from buildkit.context.local import LocalContext  # the build will need it, a check does not

    context = LocalContext.open(main.directory, ignore=False)
    try:
        for name in NAMES if file is None else (file,):
            data = _file_of(context, name)
            if data is not None:
                source = Source.decode(name, data)
                return main._replace(source=source, dockerfile_name=name)
    finally:
        context.close()
    raise _missing(main.context_name, file or NAMES[0])


def _file_of(context: LocalContext, name: str) -> bytes | None:
    try:
        return context.read(name)
    except OSError:
        return None


def _downloaded(url: str, fetch: Fetch) -> bytes:
    from buildkit.context.http import download  # for a Dockerfile elsewhere only
    from buildkit.ops.remotes import http_credentials

    path = os.path.join(fetch.aside(), "body")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "rb") as file:
        credentials = http_credentials(fetch.secrets)
        download(url, fd, credentials=credentials, check=fetch.cancel.check)
        file.seek(0)
        return _bounded(file.read(_LIMIT + 1), shown(url))


def _read(path: str, cancel: Cancel | None, hint: str = "") -> Source:
    try:
        if cancel is not None and stat.S_ISFIFO(os.stat(path).st_mode):
            data = _piped(path, cancel)
        else:
            with open(path, "rb") as file:
                data = file.read(_LIMIT + 1)
        return Source.decode(path, _bounded(data, path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"failed to read dockerfile: open {path}: {reason}"
        raise DefinitionError(message, hint=hint) from error


def _piped(path: str, cancel: Cancel) -> bytes:
    """Read a named pipe: a signal ends the wait for whoever is to write there."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _whole(_Input(cancel, fd), path)
    finally:
        os.close(fd)


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > _LIMIT:
        raise DefinitionError(f"failed to read dockerfile: {name} is larger than 16 MiB")
    return data


def _missing(where: str, name: str = NAMES[0]) -> DefinitionError:
    return DefinitionError(
        f"failed to read dockerfile: open {name}: no such file or directory",
        hint=f"there is none in {where}; name one with -f",
    )


class _Input:
    """Standard input or a pipe, read until the end or until the build is to stop."""

    def __init__(self, cancel: Cancel | None, fd: int = 0) -> None:
        self._cancel = cancel
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        """See `buildkit.content.streams.Reader`."""
        if self._cancel is not None:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.register(self._cancel.fileno(), select.POLLIN)
            poll.poll()
            self._cancel.check()
        return os.read(self._fd, size)


def _whole(reader: _Input, name: str = STDIN) -> bytes:
    data = bytearray()
    while len(data) <= _LIMIT and (part := reader.read(1 << 16)):
        data += part
    return _bounded(bytes(data), name)
