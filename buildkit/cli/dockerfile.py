"""The Dockerfile that a command is about, and errors with the lines they are about.

In: what was asked for. Out: the context and the Dockerfile, or that parsed; inside the block, an
error about the Dockerfile gets its excerpt. What is on this machine is read where it lies, and
needs no store; what has to be fetched is put into the state root for the time of the block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.cli.arguments import Namespace
from buildkit.cli.options import open_root
from buildkit.definition import placed
from buildkit.errors import BuildError
from buildkit.main_context import Main, find_dockerfile, find_main, is_at_hand, is_local
from buildkit.request import BuildRequest
from buildkit.state.root import StateRoot
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile
from grammar.parser import parse
from runtime.values import NamedTuple


class Definition(NamedTuple):
    """A Dockerfile and its context; `root` is open where something had to be fetched."""

    main: Main
    root: StateRoot | None


@contextmanager
def definition_at(request: BuildRequest, args: Namespace) -> Iterator[Definition]:
    """Give what `request` means. Raises BuildError."""
    named = request.dockerfile is not None and is_local(request.context)
    if is_at_hand(request.context, request.dockerfile) or (
        named and is_at_hand(os.curdir, request.dockerfile)
    ):
        path, source = find_dockerfile(request.context, request.dockerfile)
        name = request.context
        yield Definition(
            Main(
                name,
                kept=True,
                dockerfile=path,
                source=source,
                context_name=name,
                dockerfile_name="",
            ),
            None,
        )
        return
    # Archives, downloads and repositories: for what is not here only.
    from buildkit.cli.interrupts import cancelling
    from buildkit.request import fetch_for

    with cancelling() as cancel, open_root(args) as root:
        fetch = fetch_for(request, root, cancel, None)
        yield Definition(find_main(request.context, request.dockerfile, fetch), root)


@contextmanager
def definition_of(request: BuildRequest, args: Namespace) -> Iterator[Dockerfile]:
    """Give the Dockerfile that `request` means. Raises BuildError."""
    with definition_at(request, args) as found:
        try:
            yield parse(found.main.source)
        except (GrammarError, BuildError) as error:
            raise placed(error, found.main.source) from error
