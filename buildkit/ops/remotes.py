"""ADD from elsewhere: downloads and repositories, looked up once in a build.

In: ops. Out: what their results depend on, and their files. Imported by builds that have such ops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from buildkit.context.git import git_authorization
from buildkit.context.http import Credentials, secret_credentials
from buildkit.llb.op import GitOp, HttpOp
from buildkit.ops import secrets
from buildkit.ops.git import Repositories
from buildkit.ops.http import Downloads
from buildkit.ops.secrets import SecretSource
from buildkit.state.root import StateRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.ops.ssh import Agents

_HTTP = "HTTP_AUTH_"
_GIT = "GIT_AUTH_"


class Remotes:
    """Sources of one build; any thread may use it.

    Credentials are the secrets with the names that BuildKit gives them (`HTTP_AUTH_TOKEN_host`).
    """

    def __init__(
        self, root: StateRoot, known: Mapping[str, SecretSource], agents: Agents | None
    ) -> None:
        self._root = root
        self._known = known
        self._agents = agents
        self._downloads = Downloads(root.path("contexts"), root.tmp, http_credentials(known))
        self._repositories: Repositories | None = None
        self._lock = threading.Lock()

    def identify(self, op: HttpOp | GitOp) -> Mapping[str, str | int]:
        """Return what the result of `op` depends on. Raises ContextError."""
        if isinstance(op, HttpOp):
            return self._downloads.identify(op)
        return self._git().identify(op)

    def write(self, op: HttpOp | GitOp, upper: str, check: Callable[[], object]) -> None:
        """Write the files of `op` into the empty directory `upper`."""
        if isinstance(op, HttpOp):
            self._downloads.write(op, upper, check)
        else:
            self._git().write(op, upper, check)

    def _git(self) -> Repositories:
        with self._lock:
            if self._repositories is None:
                agent = "" if self._agents is None else self._agents.socket()
                self._repositories = repositories(self._root.tmp, self._known, agent)
            return self._repositories


def http_credentials(known: Mapping[str, SecretSource]) -> Credentials:
    """Return the credentials by host that are among the secrets of a build."""
    return secret_credentials(_values(known, _HTTP))


def repositories(
    aside: Callable[[], str], known: Mapping[str, SecretSource], agent: str
) -> Repositories:
    """Return what fetches repositories, with the secrets of a build and an agent, or none."""
    return Repositories(aside, agent=agent, authorization=git_authorization(_values(known, _GIT)))


def _values(known: Mapping[str, SecretSource], prefix: str) -> dict[str, bytes]:
    return {
        name: secrets.read(name, source)
        for name, source in known.items()
        if name.startswith(prefix)
    }
