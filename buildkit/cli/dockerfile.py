"""The Dockerfile that a command is about, and errors with the lines they are about.

In: what was asked for. Out: the parsed file; inside the block, an error about the Dockerfile gets
its excerpt.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.definition import placed
from buildkit.errors import BuildError
from buildkit.main_context import find_dockerfile
from buildkit.request import BuildRequest
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile
from grammar.parser import parse


@contextmanager
def definition_of(request: BuildRequest) -> Iterator[Dockerfile]:
    """Give the Dockerfile that `request` means. Raises BuildError."""
    _, source = find_dockerfile(request.context, request.dockerfile)
    try:
        yield parse(source)
    except (GrammarError, BuildError) as error:
        raise placed(error, source) from error
