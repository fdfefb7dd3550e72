"""Which steps may be taken from the cache. Storing their results is not affected."""

from buildkit.llb.graph import Vertex
from runtime.values import NamedTuple


class CachePolicy(NamedTuple):
    """`disabled`: --no-cache, take nothing. `stages`: names given with --no-cache-filter.

    Stage names are compared without regard to case, as everywhere in a Dockerfile.
    """

    disabled: bool = False
    stages: frozenset[str] = frozenset()

    def refusal(self, vertex: Vertex) -> str:
        """Return why `vertex` must not be taken from the cache, empty when it may."""
        if self.disabled:
            return "--no-cache"
        if self.stages and vertex.stage.lower() in {stage.lower() for stage in self.stages}:
            return f"--no-cache-filter={vertex.stage}"
        return ""
