"""What the user wants of one step besides its result: no part of its key.

In: comments like `# pybuild: retry=2` above an instruction. Out: a value on its vertex, which the
solver heeds.
"""

from runtime.values import NamedTuple


class Wishes(NamedTuple):
    """`no_cache`: never take it from the cache. `ttl`: nor when it was made more seconds ago.

    `retry`: how often a failure is tried again. `timeout`: seconds until it counts as failed.
    0 stands for none.
    """

    no_cache: bool = False
    ttl: int = 0
    retry: int = 0
    timeout: int = 0


NO_WISHES = Wishes()
