"""`--metadata-file`: what came out, as JSON with docker's keys, which scripts know.

In: the request and the result. Out: text. Source: docker buildx build, --metadata-file.
"""

from __future__ import annotations

import json
import os

from buildkit.build import BuildResult
from buildkit.request import BuildRequest


def metadata(request: BuildRequest, result: BuildResult) -> str:
    """Return the document. The manifest is that of the first output which has one.

    Without any, `containerimage.digest` is the image's ID, as with docker's own image store.
    """
    image = result.image
    document: dict[str, object] = {}
    if result.provenance is not None:
        document["buildx.build.provenance"] = result.provenance
    document["buildx.build.ref"] = result.record
    if os.environ.get("BUILDX_METADATA_WARNINGS", "") in ("1", "true"):
        document["buildx.build.warnings"] = [
            {"short": text, "vertex": ""} for text in result.warnings
        ]
    if result.index_written is None:
        document["containerimage.config.digest"] = image.digest
    written = next((one.manifest for one in result.exported if one.manifest is not None), None)
    if result.index_written is not None:
        described = written or result.index_written
        document["containerimage.descriptor"] = described.document()
        document["containerimage.digest"] = described.digest
    elif written is None:
        document["containerimage.digest"] = image.digest
    else:
        described = written._replace(platform=image.config.platform)
        document["containerimage.descriptor"] = described.document()
        document["containerimage.digest"] = written.digest
    names = [*request.tags, *(name for output in request.outputs for name in output.names)]
    if names:
        document["image.name"] = ",".join(dict.fromkeys(map(str, names)))
    return json.dumps(document, indent=2) + "\n"
