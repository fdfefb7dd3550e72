"""SecretInCopy: a file that usually holds a secret is copied into a layer."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from grammar.errors import quote
from grammar.instructions import Add, Copy, Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything
from grammar.source import Word

_FILES = frozenset(
    (
        ".dockercfg", ".env", ".git-credentials", ".htpasswd", ".netrc", ".npmrc", ".pgpass",
        ".pypirc", ".yarnrc.yml", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa",
    )
)  # fmt: skip
_DIRECTORIES = frozenset((".aws", ".azure", ".docker", ".gnupg", ".kube", ".ssh"))
_SUFFIXES = (".kdbx", ".key", ".p12", ".pem", ".pfx")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the names of what comes from the build context."""
    for instruction in everything(dockerfile):
        if not isinstance(instruction, Copy | Add):
            continue
        if isinstance(instruction, Copy) and instruction.origin is not None:
            continue
        for source in instruction.sources:
            if _is_secret(source):
                yield RULE.finding(
                    f"{quote(source.text)} usually holds a secret, which stays in the layer even"
                    " if a later step removes it; use RUN --mount=type=secret",
                    instruction.span,
                    source.span,
                )


def _is_secret(source: Word) -> bool:
    path = posixpath.normpath(source.text.strip("\"'"))
    if "://" in source.text:
        return False
    parts = path.split("/")
    if any(part in _DIRECTORIES for part in parts):
        return True
    return parts[-1] in _FILES or (parts[-1].endswith(_SUFFIXES) and "pub" not in parts[-1])


RULE = Rule("SecretInCopy", "Files with secrets should not be copied into an image", "trap", check)
