"""ADD of a repository: a commit's files.

In: a `GitOp`. Out: for its key the commit, not the branch that led to it; for its layer the files.
Source: docs/dockerfile.md, 9.7 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildkit.context.git import Git, Repository
from buildkit.context.http import no_credentials
from buildkit.llb.op import GitOp


class Repositories:
    """The repositories of one build; a ref is looked up once.

    `aside`: makes a new private directory. `agent`: path of an ssh agent's socket, or empty.
    `authorization`: what to say to a host over http.
    """

    def __init__(
        self,
        aside: Callable[[], str],
        *,
        agent: str = "",
        authorization: Callable[[str], str] = no_credentials,
    ) -> None:
        self._aside = aside
        self._agent = agent
        self._authorization = authorization
        self._commits: dict[GitOp, str] = {}

    def identify(
        self, op: GitOp, check: Callable[[], object] = lambda: None
    ) -> Mapping[str, str | int]:
        """Return what the result of `op` depends on, for its key. Raises ContextError."""
        return {"commit": self._commit(op, check)}

    def write(self, op: GitOp, upper: str, check: Callable[[], object] = lambda: None) -> None:
        """Put the files into the empty directory `upper`. Raises ContextError."""
        commit = self._commit(op, check)
        self._git(check).check_out(_repository(op), commit, upper)

    def _commit(self, op: GitOp, check: Callable[[], object]) -> str:
        known = self._commits.get(op)
        if known is None:
            known = self._commits[op] = self._git(check).resolve(_repository(op))
        return known

    def _git(self, check: Callable[[], object]) -> Git:
        return Git(self._aside(), agent=self._agent, authorization=self._authorization, check=check)


def _repository(op: GitOp) -> Repository:
    return Repository(
        remote=op.remote,
        ref=op.ref,
        subdir=op.subdir,
        checksum=op.checksum,
        keep_git_dir=op.keep_git_dir,
        submodules=op.submodules,
    )
