"""`--attest`, `--sbom`, `--provenance`: which attestations are asked for.

In: the texts of the options. Out: `Wanted`, None when there is nothing to be made. Source: docker
buildx build, --attest; what is known there and not done here is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from buildkit.attestation.sbom import check_library
from buildkit.attestation.statement import AttestationKind
from buildkit.attestation.wanted import Detail, Wanted
from buildkit.errors import UsageError
from buildkit.exporter.attributes import split_fields

_TRUE = frozenset({"1", "t", "true"})
_MODES = "mode=max tells the steps, the Dockerfile and build arguments, too; mode=min does not"
_FALSE = frozenset({"0", "f", "false", "disabled"})
_KINDS = ("sbom", "provenance")
_REFUSED = {
    "inline-only": "attestations are never written into the image itself",
    "reproducible": "pybuild repro finds out whether a build is",
    "filename": "attestation-prefix= of the output says where it lies",
    "capture-usage": "'pybuild records show' tells what steps used",
}


def parse_wanted(
    attest: Sequence[str], sbom: Sequence[str], provenance: Sequence[str]
) -> Wanted | None:
    """Return what the options ask for and refuse; of several about one kind the last counts.

    Raises UsageError.
    """
    wanted = Wanted()
    for text in attest:
        fields = _fields("--attest", text)
        kind = fields.pop("type", "")
        if kind not in _KINDS:
            raise UsageError(
                f"--attest {text}: no attestation is of type {kind!r}",
                hint="as in type=sbom or type=provenance,mode=max",
            )
        wanted = _READERS[kind](wanted, f"--attest {text}", fields)
    for option, kind, texts in (
        ("--sbom", "sbom", sbom),
        ("--provenance", "provenance", provenance),
    ):
        for text in texts:
            fields = _short(text) or _fields(option, text)
            wanted = _READERS[kind](wanted, f"{option}={text}", fields)
    if wanted.sbom:
        check_library()
    return wanted if wanted.sbom or wanted.provenance or wanted.refused else None


def with_metadata(wanted: Wanted | None, variable: str, text: str) -> Wanted | None:
    """Return `wanted` with a provenance for the metadata file, as the variable says.

    Where it is not set, there is one if there is an attestation, mode=min as with docker.
    """
    if not text:
        metadata: Detail | None = "min" if wanted is not None and wanted.provenance else None
    elif text == "disabled":
        metadata = None
    elif text in ("min", "max"):
        metadata = "max" if text == "max" else "min"
    else:
        raise UsageError(f"{variable}={text}", hint="it is min, max or disabled")
    if metadata is None:
        return wanted
    return (wanted or Wanted())._replace(metadata=metadata)


def _short(text: str) -> dict[str, str] | None:
    """Return what a truth value alone means."""
    if text.lower() in _TRUE:
        return {"disabled": "false"}
    return {"disabled": "true"} if text.lower() in _FALSE else None


def _fields(option: str, text: str) -> dict[str, str]:
    found = {}
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"{option} {text}: {field!r} has no value", hint="write KEY=VALUE")
        found[key.strip().lower()] = value
    return found


def _sbom(wanted: Wanted, said: str, fields: Mapping[str, str]) -> Wanted:
    rest = dict(fields)
    enabled = not _disabled(rest, said)
    if "generator" in rest:
        raise UsageError(
            f"{said}: no scanner image is run",
            hint="--sbom=true: pybuild reads the package databases of the image itself",
        )
    _nothing_else(rest, said)
    return _refusing(wanted, "sbom", enabled=enabled)._replace(sbom=enabled)


def _provenance(wanted: Wanted, said: str, fields: Mapping[str, str]) -> Wanted:
    rest = dict(fields)
    enabled = not _disabled(rest, said)
    mode = rest.pop("mode", "min")
    if mode not in ("min", "max"):
        raise UsageError(f"{said}: mode {mode!r} is neither min nor max", hint=_MODES)
    if rest.pop("version", "v1") != "v1":
        raise UsageError(
            f"{said}: provenance is written in version v1 of SLSA only", hint="leave version out"
        )
    builder = rest.pop("builder-id", "")
    _nothing_else(rest, said)
    detail: Detail = "max" if mode == "max" else "min"
    said_so = _refusing(wanted, "provenance", enabled=enabled)
    return said_so._replace(provenance=detail if enabled else None, builder=builder)


def _refusing(wanted: Wanted, kind: AttestationKind, *, enabled: bool) -> Wanted:
    """Return `wanted` with `kind` among the refused, unless it is enabled."""
    refused = wanted.refused - {kind} if enabled else wanted.refused | {kind}
    return wanted._replace(refused=refused)


_READERS: Mapping[str, Callable[[Wanted, str, Mapping[str, str]], Wanted]] = {
    "sbom": _sbom,
    "provenance": _provenance,
}


def _disabled(fields: dict[str, str], said: str) -> bool:
    text = fields.pop("disabled", "false").lower()
    if text not in _TRUE | _FALSE:
        raise UsageError(f"{said}: disabled={text!r} is neither true nor false")
    return text in _TRUE


def _nothing_else(fields: Mapping[str, str], said: str) -> None:
    for key in fields:
        raise UsageError(
            f"{said}: there is no attribute {key}",
            hint=_REFUSED.get(key, "known: type, disabled, mode, version, builder-id"),
        )
