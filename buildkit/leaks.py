"""Secrets in what a Dockerfile came to, found before anything of it is run or written down.

In: the graph and the config of an image, the annotations it gets, the secrets of the build. Out:
BuildError, naming the place and the ID of the secret, never its value. A variable or a label would
be in the image for good, and also in keys, records and logs (guarantee S26).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from buildkit.errors import BuildError
from buildkit.exporter.attributes import Output
from buildkit.frontend.lower import Lowered
from buildkit.llb.op import ExecOp, ImageOp, Op
from buildkit.ops.leaks import HINT, values_of
from buildkit.ops.secret_forms import Search
from buildkit.ops.secrets import SecretSource


def search_definition(
    lowered: Lowered, sources: Mapping[str, SecretSource], outputs: Iterable[Output] = ()
) -> None:
    """Raise BuildError when a secret is in a step, in the image's config, or in an annotation."""
    search = Search(values_of(sources))
    if not search:
        return
    for place, text in chain(_texts(lowered), _annotations(outputs)):
        found = search.once(text.encode("utf-8", "surrogateescape"))
        if found is not None:
            # Not as `lines`: the excerpt might show it.
            raise BuildError(f"secret {found} is in {place}", hint=HINT)


def _texts(lowered: Lowered) -> Iterator[tuple[str, str]]:
    """Yield every text that would be kept, with the name of its place."""
    for vertex in lowered.graph:
        if isinstance(vertex.op, ImageOp):
            continue
        word = vertex.label.partition("] ")[2].partition(" ")[0] or "a step"
        place = f"{word}, line {vertex.lines[0]} of the Dockerfile" if vertex.lines else word
        for text in strings((vertex.label, _kept(vertex.op))):
            yield place, text
    for one in lowered.config.env:
        yield f"the image's variable {one.partition('=')[0]}", one
    for name, value in lowered.config.labels:
        yield f"the image's label {name}", f"{name}={value}"
    rest = lowered.config._replace(env=(), labels=())
    for text in strings((rest, lowered.author)):
        yield "the image's config", text
    for item in lowered.history:
        yield "the image's history", item.created_by


def _annotations(outputs: Iterable[Output]) -> Iterator[tuple[str, str]]:
    for output in outputs:
        pairs = [*output.annotations, *((one.name, one.value) for one in output.annotated)]
        for name, value in pairs:
            yield f"the annotation {name}", f"{name}={value}"


def hidden(error: BuildError, sources: Mapping[str, SecretSource]) -> BuildError:
    """Take the values of secrets out of what an error tells, and return it.

    The excerpt of a Dockerfile may have one in a comment, or where it was not understood.
    """
    from buildkit.attestation.mask import masked  # for what fails only

    values = list(values_of(sources).values())
    error.message, error.hint, error.excerpt = masked(
        (error.message, error.hint, error.excerpt), values
    )
    return error


def _kept(op: Op) -> Op:
    """Return `op` without what reaches neither image nor key."""
    return op._replace(proxy=()) if isinstance(op, ExecOp) else op


def strings(value: object) -> Iterator[str]:
    """Yield the texts in a value, however deep they lie."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "surrogateescape")
    elif isinstance(value, Mapping):
        yield from strings(tuple(value.items()))
    elif isinstance(value, tuple | frozenset):
        for one in value:
            yield from strings(one)
