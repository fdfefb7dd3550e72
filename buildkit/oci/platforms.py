"""Platforms: `os/architecture/variant`, with the aliases that people and kernels use.

Source: image-spec image-index.md ("platform"); normalisation and order of choice are those of
containerd/platforms (`Normalize`, `Only`), which Moby BuildKit uses.
"""

from __future__ import annotations

import os

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "wasip1")
_ARCHITECTURES = (
    *("amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x", "loong64"),
    *("ppc64", "mips", "mipsle", "mips64", "mips64le", "wasm"),
)
_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv5l": ("arm", "v5"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
    "loongarch64": ("loong64", ""),
}
_DEFAULT_VARIANTS = {"arm": "v7"}
_IMPLIED_VARIANTS = {"arm64": "v8", "amd64": "v1"}


class Platform(NamedTuple):
    """What an image runs on; `variant` is empty where the architecture has a usual one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the platform that `text` means: `linux/arm64/v8`, `linux`, or `arm64`.

        What is left out comes from this machine. Raises ValueError.
        """
        import re  # for whoever names a platform

        parts = text.split("/")
        if len(parts) > 3 or not all(re.fullmatch(_PART, part) for part in parts):
            raise ValueError(f"not a platform: {text!r}")
        if len(parts) == 1:
            return cls._from_one_word(text)
        return cls.normal(parts[0], parts[1], parts[2] if len(parts) == 3 else "")

    @classmethod
    def normal(cls, system: str, architecture: str, variant: str = "") -> Self:
        """Return the platform with aliases resolved and implied variants left out."""
        system = system.lower()
        architecture = architecture.lower()
        variant = variant.lower()
        if system == "macos":
            system = "darwin"
        if architecture in _ALIASES:
            architecture, implied = _ALIASES[architecture]
            variant = variant or implied
        if variant.isdecimal():
            variant = f"v{variant}"
        if variant == _IMPLIED_VARIANTS.get(architecture):
            variant = ""
        return cls(system, architecture, variant or _DEFAULT_VARIANTS.get(architecture, ""))

    def choices(self) -> tuple[Platform, ...]:
        """Return the platforms whose images will do here, the best first.

        An arm takes what is for older ones down to v5, arm64 what is for a 32-bit arm, amd64 what
        is for a 386; other variants stand for themselves alone.
        """
        system, architecture, variant = self
        found = [self]
        if architecture == "amd64":
            level = _number(variant)
            found += [Platform.normal(system, "amd64", f"v{n}") for n in range(level - 1, 0, -1)]
            found.append(Platform(system, "386"))
        elif architecture == "arm":
            found += [Platform(system, "arm", f"v{n}") for n in range(_number(variant) - 1, 4, -1)]
        elif architecture == "arm64":
            found += _older_arm64(system, variant or "v8")
            own = "v8" if variant.startswith(("v8.", "v9.")) else variant or "v8"
            found += Platform(system, "arm", own).choices()
        return tuple(found)

    @classmethod
    def host(cls) -> Self:
        """Return the platform of this machine."""
        return cls.normal("linux", os.uname().machine)

    @classmethod
    def _from_one_word(cls, word: str) -> Self:
        lowered = word.lower()
        if lowered in _SYSTEMS or lowered == "macos":
            here = cls.host()
            return cls.normal(lowered, here.architecture, here.variant)
        if lowered in _ARCHITECTURES or lowered in _ALIASES:
            return cls.normal("linux", lowered)
        raise ValueError(f"neither an operating system nor an architecture: {word!r}")


def _older_arm64(system: str, variant: str) -> list[Platform]:
    """Return what is for the arm64 processors before `variant`: v9.x can do what v8.(x+5) can."""
    import re  # on arm only

    match = re.fullmatch(r"v([89])(?:\.([0-9]))?", variant)
    if match is None:
        return []
    minor = int(match[2] or 0)
    found = []
    if match[1] == "9":
        found += [_arm64(system, 9, n) for n in range(minor - 1, -1, -1)]
        minor = min(minor + 5, 9) + 1
    return [*found, *(_arm64(system, 8, n) for n in range(minor - 1, -1, -1))]


def _arm64(system: str, major: int, minor: int) -> Platform:
    return Platform.normal(system, "arm64", f"v{major}.{minor}" if minor else f"v{major}")


def _number(variant: str) -> int:
    """Return the number of a variant such as `v7`, 0 where it has none."""
    digits = variant[1:]
    plain = variant[:1] == "v" and len(digits) <= 2 and digits.isascii() and digits.isdigit()
    return int(digits) if plain else 0
