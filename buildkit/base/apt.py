"""This machine's apt configuration: where packages come from, and how they are fetched.

In: apt's files and `apt-config dump`. Out: sources as values, and the options that fetching
needs. Source: sources.list(5), apt.conf(5). Credentials in URIs are apart from the rest here, so
that they can be left out of what is kept.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from buildkit.errors import ImageError
from runtime.values import NamedTuple

_FETCHING = re.compile(
    r"Acquire::(https?|ftp|Retries|Check-Valid-Until|Check-Date|ForceIPv[46]|Max-ValidTime"
    r"|Min-ValidTime|Queue-Mode|Proxy)(::.*)?",
    re.IGNORECASE,
)
"""The options that say how to reach a mirror; none of them says what is installed."""

_OPTION = re.compile(r'([^\s"]+) "(.*)";')
_USERINFO = re.compile(r"(://)[^/@\s]*@")
_SUITE_ENDINGS = ("", "-updates", "-security")
_ROLLING = frozenset({"sid", "unstable", "experimental"})


class Source(NamedTuple):
    """One line `deb [signed-by=...] URI SUITE COMPONENT...`."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    signed_by: str = ""

    def line(self, *, signed_by: bool = True) -> str:
        """Return the line for a sources.list."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by and signed_by else ""
        return " ".join((f"deb {options}{self.uri}", self.suite, *self.components))


def read_sources(root: str = "/") -> tuple[Source, ...]:
    """Return the binary package sources of the machine below `root`, those switched off left out.

    A key that stands in the file itself is not taken over: apt knows it from elsewhere or not.
    """
    base = os.path.join(root, "etc/apt")
    found: list[Source] = []
    for path in [
        os.path.join(base, "sources.list"),
        *sorted(glob.glob(os.path.join(base, "sources.list.d/*.list"))),
        *sorted(glob.glob(os.path.join(base, "sources.list.d/*.sources"))),
    ]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(1 << 20)
        except OSError:
            continue
        found += _stanzas(text) if path.endswith(".sources") else _lines(text)
    return tuple(dict.fromkeys(found))


def for_suite(sources: Iterable[Source], suite: str, here: str) -> tuple[Source, ...]:
    """Return the sources for `suite`; `here` is the suite that the machine itself runs.

    They are the machine's own for that suite with its updates and security fixes, or the ones
    for `here` with the name changed. Third parties' (`suite-pgdg`) are not among them.
    """
    listed = tuple(sources)
    own = tuple(source for source in listed if source.suite in _family(suite))
    if own or not here:
        return own
    renamed = []
    for source in listed:
        ending = source.suite.removeprefix(here)
        if source.suite.startswith(here) and f"{suite}{ending}" in _family(suite):
            renamed.append(source._replace(suite=f"{suite}{ending}"))
    return tuple(renamed)


def without_credentials(text: str) -> str:
    """Return `text` with user and password taken out of every URI in it."""
    return _USERINFO.sub(r"\1", text)


def fetch_options() -> tuple[str, ...]:
    """Return the lines of an apt.conf with which this machine reaches its mirrors.

    Raises ImageError when there is no apt here.
    """
    try:
        done = subprocess.run(
            ["apt-config", "dump"], stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
    except FileNotFoundError as error:
        raise ImageError(
            "apt is not installed on this machine", hint="'pybuild base host' works without it"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise ImageError(f"this machine's apt configuration is broken: {said}") from error
    return chosen_options(done.stdout.decode("utf-8", "surrogateescape").splitlines())


def chosen_options(dump: Iterable[str]) -> tuple[str, ...]:
    """Return those of the lines of `apt-config dump` that say how to fetch."""
    options = ['Acquire::Languages "none";']
    for line in dump:
        match = _OPTION.fullmatch(line.strip())
        if match and match.group(2) and _FETCHING.fullmatch(match.group(1)):
            options.append(line.strip())
    for name, file in (("netrc", "auth.conf"), ("netrcparts", "auth.conf.d")):
        path = f"/etc/apt/{file}"
        if os.access(path, os.R_OK) and _has_content(path):
            options.append(f'Dir::Etc::{name} "{path}";')
    return tuple(options)


def _has_content(path: str) -> bool:
    return bool(os.listdir(path)) if os.path.isdir(path) else os.path.getsize(path) > 0


def _family(suite: str) -> frozenset[str]:
    if suite in _ROLLING:
        return frozenset({suite})
    return frozenset(f"{suite}{ending}" for ending in _SUITE_ENDINGS)


def _lines(text: str) -> Iterator[Source]:
    """Read the one-line form: `deb [KEY=VALUE ...] URI SUITE COMPONENT...`."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] != ["deb"]:
            continue
        signed_by = ""
        rest = words[1:]
        if rest and rest[0].startswith("["):
            end = next((n for n, word in enumerate(rest) if word.endswith("]")), len(rest) - 1)
            options = " ".join(rest[: end + 1]).strip("[] ").split()
            signed_by = _option(options, "signed-by")
            rest = rest[end + 1 :]
        if len(rest) >= 2:
            yield Source(rest[0], rest[1], tuple(rest[2:]), signed_by)


def _option(options: Sequence[str], wanted: str) -> str:
    pairs = (option.partition("=") for option in options)
    return next((value for key, _, value in pairs if key.lower() == wanted), "")


def _stanzas(text: str) -> Iterator[Source]:
    """Read the deb822 form: stanzas of fields, one line or continued with a blank in front."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                fields[key] = f"{fields.get(key, '')}\n{line.strip()}"
            else:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or _is_off(fields.get("enabled", "")):
            continue
        signed_by = fields.get("signed-by", "").strip()
        signed_by = signed_by if signed_by.startswith("/") else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), signed_by)


def _is_off(value: str) -> bool:
    return value.strip().lower() in ("no", "false", "without", "off", "disable", "0")
