"""Git repositories as trees, by way of the git program, which is told to trust nothing.

In: a repository, a ref, a subdirectory. Out: the commit that the ref names, and the files of a
commit: 0644 or 0755, directories 0755, all 0:0. Hardening (S25): git reads neither system nor user
configuration, speaks http(s) and ssh only, runs no hooks and no helper of the repository, and gets
operands behind `--`; refs that look like options are refused; a subdirectory is resolved inside
the checkout. Source: docs/dockerfile.md, 9.7; git-fetch(1), gitmodules(5).
"""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

from buildkit.context.descent import DIRECTORY
from buildkit.context.http import Credentials, no_credentials
from buildkit.context.paths import within
from buildkit.context.tree import Missing, Tree
from buildkit.errors import ContextError
from buildkit.state.removal import remove_tree
from grammar.urls import redacted
from runtime.values import NamedTuple

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:(?!//).+", re.DOTALL)
_SCHEMES = ("http://", "https://", "ssh://")
_TAIL = 2000

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "gc.auto=0",
    "http.followRedirects=initial",
    "init.defaultBranch=main",
    "protocol.allow=never",
    "protocol.http.allow=always",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)


class Repository(NamedTuple):
    """What is to be checked out. `ref` empty: the default branch; `checksum`: a commit's prefix."""

    remote: str
    ref: str
    subdir: str
    checksum: str
    keep_git_dir: bool
    submodules: bool


class Git:
    """Runs git in the private directory `home`. `agent`: path of an ssh agent's socket, or empty.

    `authorization`: what to say to a host over http, empty for nothing. `check` is called often and
    may raise to stop what runs.
    """

    def __init__(
        self,
        home: str,
        *,
        agent: str = "",
        authorization: Credentials = no_credentials,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._home = home
        self._check = check
        self._authorization = authorization
        self._environment = _environment(home, agent)

    def resolve(self, repository: Repository) -> str:
        """Return the commit that `repository` names now. Raises ContextError."""
        self._meet(repository)
        if _COMMIT.fullmatch(repository.ref):
            commit = repository.ref
        else:
            commit = self._look_up(repository)
        if not commit.startswith(repository.checksum):
            raise ContextError(
                f"expected checksum to match {repository.checksum}, got {commit}",
                hint=f"{redacted(repository.remote)} has moved, or another ref is meant",
            )
        return commit

    def check_out(self, repository: Repository, commit: str, directory: str) -> None:
        """Put the files of `commit` into the empty directory `directory`. Raises ContextError."""
        self._meet(repository)
        work = os.path.join(self._home, "work")
        remove_tree(work)
        os.mkdir(work, 0o755)
        self._run(["init", "--quiet", "--", work], None)
        self._run(["remote", "add", "--", "origin", repository.remote], work)
        self._fetch(repository, commit, work)
        self._run(["checkout", "--quiet", "--force", "--detach", commit, "--"], work)
        if repository.submodules and os.path.lexists(os.path.join(work, ".gitmodules")):
            update = ["submodule", "--quiet", "update", "--init", "--recursive", "--checkout"]
            self._run([*update, "--force", "--depth", "1"], work)
        if not repository.keep_git_dir:
            _remove_git_dirs(work)
        _move(repository, work, directory)
        remove_tree(work)

    def _meet(self, repository: Repository) -> None:
        """Check what `repository` says, and get ready to be asked who we are.

        By the environment, for everybody sees the arguments of a process; and for this host alone,
        not for those of submodules.
        """
        _check_names(repository)
        scheme, _, rest = repository.remote.partition("://")
        host = rest.partition("/")[0].rpartition("@")[2]
        value = self._authorization(host) if scheme in ("http", "https") else ""
        if value:
            self._environment |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{scheme}://{host}/.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: {value}",
            }

    def _look_up(self, repository: Repository) -> str:
        ref = repository.ref or "HEAD"
        names = [ref, f"{ref}^{{}}"]
        listed = self._run(["ls-remote", "--", repository.remote, *names], None)
        found = {
            name: commit
            for commit, _, name in (line.partition("\t") for line in listed.splitlines())
        }
        for name in (ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
            commit = found.get(f"{name}^{{}}") or found.get(name, "")
            if _COMMIT.fullmatch(commit):
                return commit
        raise ContextError(
            f"repository {redacted(repository.remote)} does not contain ref {ref}",
            hint="a branch, a tag, a full ref or a commit of 40 digits can be named",
        )

    def _fetch(self, repository: Repository, commit: str, work: str) -> None:
        """Fetch `commit`: alone if the server gives it, else with all that refs reach."""
        shallow = ["fetch", "--quiet", "--no-tags", "--depth", "1", "--", "origin"]
        try:
            self._run([*shallow, commit], work)
        except ContextError:
            everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
            if repository.ref.startswith("refs/"):
                everything.append(repository.ref)
            self._run(["fetch", "--quiet", "--no-tags", "--", "origin", *everything], work)

    def _run(self, arguments: Sequence[str], work: str | None) -> str:
        """Run git; return what it prints. Raises ContextError with the end of its errors."""
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        try:
            with subprocess.Popen(
                ["git", *settings, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=work or self._home,
                env=self._environment,
                umask=0o022,
                start_new_session=True,
            ) as process:
                out, err = self._wait(process)
        except FileNotFoundError:
            raise ContextError(
                "git is not installed", hint="sources that are repositories need it"
            ) from None
        if process.returncode:
            reason = err.decode("utf-8", "replace").strip()[-_TAIL:]
            raise ContextError(f"git {arguments[0]} failed: {_shown(reason)}")
        return out.decode("utf-8", "surrogateescape")

    def _wait(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Wait for the end of `process`; kill all of it when told to stop."""
        try:
            while True:
                self._check()
                try:
                    return process.communicate(timeout=0.1)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
            raise


def git_authorization(secrets: Mapping[str, bytes]) -> Credentials:
    """Return what the secrets `GIT_AUTH_HEADER[.host]`, `GIT_AUTH_TOKEN[.host]` say to hosts."""

    def authorization(host: str) -> str:
        for suffix in dict.fromkeys((f".{host}", f".{host.partition(':')[0]}", "")):
            header = secrets.get(f"GIT_AUTH_HEADER{suffix}")
            if header is not None:
                return header.decode("latin-1").strip()
            token = secrets.get(f"GIT_AUTH_TOKEN{suffix}")
            if token is not None:
                pair = b"x-access-token:" + token.strip()
                return f"basic {b64encode(pair).decode('ascii')}"
        return ""

    return authorization


def _environment(home: str, agent: str) -> dict[str, str]:
    """Return the environment of git: nothing of the user's but the way to the network."""
    kept = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.lower().endswith("_proxy")
    }
    environment |= {
        "HOME": home,
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "http:https:ssh",
        "GIT_ASKPASS": "/bin/false",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_SSH_COMMAND": "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS": "/bin/false",
    }
    if agent:
        environment["SSH_AUTH_SOCK"] = agent
    return environment


def _check_names(repository: Repository) -> None:
    """Refuse what git could take for something else."""
    remote, ref = repository.remote, repository.ref
    if not remote.startswith(_SCHEMES) and not _SCP.fullmatch(remote):
        raise ContextError(
            f"{redacted(remote)} cannot be fetched: only http, https and ssh are spoken",
            hint="as in https://host/repository.git#branch:directory",
        )
    host = remote.partition("://")[2] or remote.partition("@")[2]
    if host.startswith("-") or any(ord(char) < 33 or ord(char) == 127 for char in remote):
        raise ContextError(f"{redacted(remote)!r} is no address of a repository")
    if ref and (ref.startswith("-") or ".." in ref or not _REF.fullmatch(ref)):
        raise ContextError(f"{ref!r} is no name of a ref")


def _remove_git_dirs(work: str) -> None:
    """Remove `.git` of the checkout and of its submodules; no tracked file is called so."""
    for directory, names, files in os.walk(work):
        if ".git" in names:
            names.remove(".git")
            remove_tree(os.path.join(directory, ".git"))
        if ".git" in files:
            os.unlink(os.path.join(directory, ".git"))


def _move(repository: Repository, work: str, directory: str) -> None:
    """Move what is in the checkout, or in a subdirectory of it, to `directory`."""
    root = os.open(work, DIRECTORY)
    tree = Tree(root, redacted(repository.remote))
    try:
        place = tree.find(within(repository.subdir))
        source = os.dup(tree.open_directory(place.path))
    except (Missing, OSError):
        raise ContextError(
            f"{redacted(repository.remote)} has no directory {repository.subdir!r}"
        ) from None
    finally:
        tree.close()
        os.close(root)
    target = os.open(directory, DIRECTORY)
    try:
        for name in os.listdir(source):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    finally:
        os.close(source)
        os.close(target)


def _shown(text: str) -> str:
    """Return what git said, on one line and without passwords in URLs."""
    return "; ".join(part.strip() for part in redacted(text).splitlines() if part.strip())
