"""ADD from elsewhere: downloads and repositories, looked up once in a build.

In: ops. Out: what their results depend on, and their files. Imported by builds that have such ops.
"""

from collections.abc import Callable, Mapping

from buildkit.context.http import secret_credentials
from buildkit.llb.op import GitOp, HttpOp
from buildkit.ops import secrets
from buildkit.ops.git import Repositories
from buildkit.ops.http import Downloads
from buildkit.ops.secrets import SecretSource
from buildkit.state.root import StateRoot

_AUTHORIZATION = ("HTTP_AUTH_", "GIT_AUTH_")


class Remotes:
    """Sources of one build; any thread may use it.

    Credentials are the secrets with the names that BuildKit gives them (`HTTP_AUTH_TOKEN_host`).
    """

    def __init__(self, root: StateRoot, known: Mapping[str, SecretSource]) -> None:
        values = {
            name: secrets.read(name, source)
            for name, source in known.items()
            if name.startswith(_AUTHORIZATION)
        }
        self._downloads = Downloads(root.path("contexts"), root.tmp, secret_credentials(values))
        self._repositories = Repositories(root.tmp)

    def identify(self, op: HttpOp | GitOp) -> Mapping[str, str | int]:
        """Return what the result of `op` depends on. Raises ContextError."""
        if isinstance(op, HttpOp):
            return self._downloads.identify(op)
        return self._repositories.identify(op)

    def write(self, op: HttpOp | GitOp, upper: str, check: Callable[[], object]) -> None:
        """Write the files of `op` into the empty directory `upper`."""
        if isinstance(op, HttpOp):
            self._downloads.write(op, upper, check)
        else:
            self._repositories.write(op, upper, check)
