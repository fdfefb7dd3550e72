"""What the command line gives to the steps of a build, beside what the Dockerfile says.

None of it is part of a cache key: not a secret's value, not an agent, not a limit.
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildkit.ops.secrets import SecretSource
    from buildkit.ops.ssh import Agents
    from runtime.spec import Resources


class Grants(NamedTuple):
    """`secrets` by ID; `agents` None: no ssh; `resources` None: no limits.

    `search`: new layers are searched for the values of secrets.
    """

    secrets: Mapping[str, SecretSource]
    agents: Agents | None = None
    resources: Resources | None = None
    search: bool = True
