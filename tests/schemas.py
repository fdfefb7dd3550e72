"""JSON schemas of the OCI documents, for what we write.

Written after the text of image-spec 1.1 (descriptor.md, manifest.md, image-index.md, config.md,
image-layout.md) and narrower than its own schemas where we promise more: sha256 digests, times as
RFC 3339 has them, a media type on everything. The subset of image-layout that skopeo and others
need is part of it: `index.json` has a media type.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TEXT_MAP = {"type": "object", "additionalProperties": _TEXT}
_EMPTY_MAP = {"type": "object", "additionalProperties": {"type": "object", "maxProperties": 0}}
_DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_SIZE = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_MEDIA_TYPE = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$",
}
_TIME = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$",
}
_PLATFORM = {
    "type": "object",
    "required": ["architecture", "os"],
    "properties": {
        "architecture": _TEXT,
        "os": _TEXT,
        "variant": _TEXT,
        "os.version": _TEXT,
        "os.features": _TEXTS,
    },
    "additionalProperties": False,
}


def _descriptor(media_type: Mapping[str, object] = _MEDIA_TYPE) -> dict[str, object]:
    return {
        "type": "object",
        "required": ["mediaType", "digest", "size"],
        "properties": {
            "mediaType": media_type,
            "digest": _DIGEST,
            "size": _SIZE,
            "urls": _TEXTS,
            "annotations": _TEXT_MAP,
            "data": _TEXT,
            "artifactType": _MEDIA_TYPE,
            "platform": _PLATFORM,
        },
        "additionalProperties": False,
    }


_LAYER = _descriptor(
    {"pattern": r"^application/vnd\.oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?$", "type": "string"}
)
_CONFIG = _descriptor({"const": "application/vnd.oci.image.config.v1+json"})
_MANIFEST = _descriptor({"const": "application/vnd.oci.image.manifest.v1+json"})

MANIFEST = {
    "type": "object",
    "required": ["schemaVersion", "mediaType", "config", "layers"],
    "properties": {
        "schemaVersion": {"const": 2},
        "mediaType": {"const": "application/vnd.oci.image.manifest.v1+json"},
        "config": _CONFIG,
        "layers": {"type": "array", "items": _LAYER},
        "annotations": _TEXT_MAP,
    },
    "additionalProperties": False,
}
INDEX = {
    "type": "object",
    "required": ["schemaVersion", "mediaType", "manifests"],
    "properties": {
        "schemaVersion": {"const": 2},
        "mediaType": {"const": "application/vnd.oci.image.index.v1+json"},
        "manifests": {"type": "array", "minItems": 1, "items": _MANIFEST},
        "annotations": _TEXT_MAP,
    },
    "additionalProperties": False,
}
LAYOUT = {
    "type": "object",
    "required": ["imageLayoutVersion"],
    "properties": {"imageLayoutVersion": {"const": "1.0.0"}},
    "additionalProperties": False,
}
CONFIG = {
    "type": "object",
    "required": ["created", "architecture", "os", "config", "rootfs", "history"],
    "properties": {
        "created": _TIME,
        "author": _TEXT,
        **_PLATFORM["properties"],  # type: ignore[dict-item]
        "config": {
            "type": "object",
            "properties": {
                "User": _TEXT,
                "ExposedPorts": {
                    **_EMPTY_MAP,
                    "propertyNames": {"pattern": "^[0-9]+/(tcp|udp|sctp)$"},
                },
                "Env": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}},
                "Entrypoint": _TEXTS,
                "Cmd": _TEXTS,
                "Volumes": _EMPTY_MAP,
                "WorkingDir": {"type": "string", "pattern": "^(/|$)"},
                "Labels": _TEXT_MAP,
                "StopSignal": _TEXT,
                # Not OCI's: what Docker's config has besides, and Dockerfiles can say.
                "ArgsEscaped": {"type": "boolean"},
                "Healthcheck": {"type": "object"},
                "OnBuild": _TEXTS,
                "Shell": _TEXTS,
            },
            "additionalProperties": False,
        },
        "rootfs": {
            "type": "object",
            "required": ["type", "diff_ids"],
            "properties": {"type": {"const": "layers"}, "diff_ids": {"items": _DIGEST}},
            "additionalProperties": False,
        },
        "history": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "created": _TIME,
                    "author": _TEXT,
                    "created_by": _TEXT,
                    "comment": _TEXT,
                    "empty_layer": {"type": "boolean"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def check(document: Any, schema: Mapping[str, Any]) -> None:
    """Raise jsonschema.ValidationError, with the path into it, when a document is not valid."""
    jsonschema.Draft202012Validator(schema).validate(document)
