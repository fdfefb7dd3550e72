"""The outputs of a build with the annotations that are given apart from them.

In: outputs, and the values of `--annotation`. Out: the outputs that write manifests, with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.errors import UsageError
from buildkit.exporter.annotations import Annotation
from buildkit.exporter.attributes import Output
from buildkit.oci.platforms import Platform


def with_annotations(
    outputs: Sequence[Output], given: Sequence[Annotation], platforms: Sequence[Platform]
) -> tuple[Output, ...]:
    """Return the outputs that have a manifest with what `--annotation` gives besides.

    `platforms` of an index, none for one image: then all is the manifest's. Raises UsageError.
    """
    for one in (*given, *(one for output in outputs for one in output.annotated)):
        if not platforms and one.kind != "manifest":
            raise UsageError(
                f"annotation {one.kind}:{one.name}: only manifests have annotations here",
                hint="an index is made for several platforms",
            )
        if platforms and one.platform is not None and one.platform not in platforms:
            raise UsageError(f"annotation {one.name}: nothing is built for {one.platform}")
    return tuple(_with(output, given, several=bool(platforms)) for output in outputs)


def _with(output: Output, given: Sequence[Annotation], *, several: bool) -> Output:
    if output.kind not in ("oci", "registry", "image"):
        return output
    annotated = (*output.annotated, *given)
    if several:
        return output._replace(annotated=annotated)
    pairs = ((one.name, one.value) for one in annotated)
    return output._replace(annotations=(*output.annotations, *pairs), annotated=())
