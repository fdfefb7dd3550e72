"""What the user wants of one step besides its result: no part of its key.

In: comments like `# pybuild: retry=2` above an instruction. Out: a value on its vertex, which the
solver heeds, and the check of budgets.
"""

from __future__ import annotations

from runtime.values import NamedTuple


class Wishes(NamedTuple):
    """`no_cache`: never take it from the cache. `ttl`: nor when it was made more seconds ago.

    `retry`: how often a failure is tried again. `timeout`: seconds until it counts as failed.
    `max_layer_size`: bytes of its layer. 0 stands for none.
    """

    no_cache: bool = False
    ttl: int = 0
    retry: int = 0
    timeout: int = 0
    max_layer_size: int = 0


NO_WISHES = Wishes()
