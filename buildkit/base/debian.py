"""`pybuild base debian`: a real Debian root file system by mmdebstrap or debootstrap.

In: a suite, packages, perhaps mirrors. Out: a tree in a directory, cleaned of what belongs to
this machine or this moment. Packages come the way this machine's own apt fetches them: its
sources, keyrings, proxy and certificates; none of that but the sources' addresses is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Literal

from buildkit.base import apt, tool
from buildkit.base.clean import clean
from buildkit.base.host import os_release
from buildkit.errors import ImageError, UsageError
from runtime.values import NamedTuple

Tool = Literal["mmdebstrap", "debootstrap"]

_MERGED = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
"""Starts with /bin in /usr where the suite has that; else bookworm gets all of perl to do it."""

_IDS = 65_534
"""Up to Debian's user nobody."""

_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")


class DebianBase(NamedTuple):
    """What to make: `sources` are in order of the sources.list, none: the tool's own choice."""

    suite: str
    packages: tuple[str, ...]
    sources: tuple[apt.Source, ...]
    tool: Tool


def plan(
    *,
    suite: str,
    packages: Sequence[str],
    mirrors: Sequence[str],
    privileged: bool,
    root: str = "/",
) -> DebianBase:
    """Return what to make, all choices made. `privileged`: as the machine's root.

    Raises UsageError for impossible names, ImageError when there is no tool for it.
    """
    here = os_release(root).get("VERSION_CODENAME", "")
    chosen = suite or here
    if not chosen:
        raise UsageError(
            "this machine does not say which Debian suite it is", hint="name one with --suite"
        )
    if not _SUITE.fullmatch(chosen):
        raise UsageError(
            f"not the name of a Debian suite: {chosen!r}", hint="as in bookworm or trixie"
        )
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise UsageError(
                f"not the name of a Debian package: {package!r}",
                hint="as in curl, libc6:arm64 or curl=8.5.0-2",
            )
    if mirrors:
        sources = tuple(_mirror(mirror, chosen) for mirror in mirrors)
    else:
        sources = apt.for_suite(apt.read_sources(root), chosen, here)
    return DebianBase(chosen, tuple(dict.fromkeys(packages)), sources, _tool(privileged=privileged))


def make(base: DebianBase, directory: str, scratch: str, say: Callable[[str], None] | None) -> int:
    """Fill the empty `directory`; return the newest time a package gave one of its files.

    `scratch` is a private directory for what the tool needs meanwhile; `say` gets each line that
    the tool prints. Raises ImageError when it fails.
    """
    _need_ids()
    environment = _environment(scratch)
    options = os.path.join(scratch, "options.conf")
    _write(options, apt.fetch_options())
    if base.tool == "mmdebstrap":
        argv = _mmdebstrap(base, directory, scratch, options)
    else:
        argv = _debootstrap(base, directory)
    started = int(time.time())
    tool.run(argv, environment, say, hint=_hint)
    kept = [apt.without_credentials(source.line(signed_by=False)) for source in base.sources]
    return clean(directory, sources=kept, before=started)


def labels(base: DebianBase, directory: str) -> dict[str, str]:
    """Return how the image was made: the command, the tool, and what is installed by digest."""
    command = ["pybuild base debian", f"--suite {base.suite}"]
    if base.packages:
        command.append(f"--include {','.join(base.packages)}")
    installed = tool.installed_packages(directory)
    release = os_release(directory)
    return {
        "io.pybuild.base.kind": "debian",
        "io.pybuild.base.command": " ".join(command),
        "io.pybuild.base.suite": base.suite,
        "io.pybuild.base.tool": base.tool,
        "io.pybuild.base.packages": str(len(installed)),
        "io.pybuild.base.packages.digest": tool.digest_of_list(installed),
        "org.opencontainers.image.title": release.get("PRETTY_NAME", f"Debian {base.suite}"),
        "org.opencontainers.image.version": release.get("VERSION_ID", base.suite),
    }


def _need_ids() -> None:
    """Raise ImageError where files cannot be given to the users that packages have."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ids = sum(int(line.split()[2]) for line in file)
    if ids < _IDS:
        raise ImageError(
            "packages need more than one user id, and this user has no subordinate ids",
            hint="usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER; or be root",
        )


def _mirror(text: str, suite: str) -> apt.Source:
    if "://" not in text or any(character.isspace() for character in text):
        raise UsageError(
            f"not the address of a mirror: {apt.without_credentials(text)!r}",
            hint="as in https://deb.debian.org/debian",
        )
    return apt.Source(text, suite, ("main",))


def _tool(*, privileged: bool) -> Tool:
    if shutil.which("mmdebstrap"):
        return "mmdebstrap"
    path = os.environ.get("PATH", "")
    if shutil.which("debootstrap", path=f"{path}:/usr/sbin:/sbin"):
        if privileged:
            return "debootstrap"
        raise ImageError(
            "debootstrap works as root only",
            hint="install mmdebstrap, which works for every user, or run as root",
        )
    raise ImageError(
        "neither mmdebstrap nor debootstrap is installed",
        hint="apt-get install mmdebstrap; or 'pybuild base host', which needs neither",
    )


def _mmdebstrap(base: DebianBase, directory: str, scratch: str, options: str) -> list[str]:
    """Return the command line; whatever may hold a password is in files, not on it."""
    argv = [
        "mmdebstrap",
        # As root this mode makes no user namespace, but mount and pid namespaces: nothing stays.
        "--mode=unshare",
        "--variant=minbase",
        "--format=directory",
        f"--aptopt={options}",
    ]
    if os.path.isdir(_MERGED):
        argv.append(f"--hook-dir={_MERGED}")
    if base.packages:
        argv.append(f"--include={','.join(base.packages)}")
    argv += [base.suite, directory]
    if base.sources:
        sources = os.path.join(scratch, "sources.list")
        _write(sources, [source.line() for source in base.sources])
        argv.append(sources)
    return argv


def _debootstrap(base: DebianBase, directory: str) -> list[str]:
    argv = ["debootstrap", "--variant=minbase"]
    if base.packages:
        argv.append(f"--include={','.join(base.packages)}")
    first = next((source for source in base.sources if source.suite == base.suite), None)
    if first is not None:
        if first.signed_by:
            argv.append(f"--keyring={first.signed_by}")
        if first.components:
            argv.append(f"--components={','.join(first.components)}")
    argv += [base.suite, directory]
    return argv if first is None else [*argv, first.uri]


def _environment(scratch: str) -> dict[str, str]:
    """Return the environment for the tool: ways to the network, nothing that changes the result."""
    passed = (
        *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "APT_CONFIG"),
    )
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return {
        **kept,
        "PATH": path.lstrip(":"),
        "HOME": scratch,
        "TMPDIR": scratch,
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }


def _hint(tail: Sequence[str]) -> str:
    """Return what helps against a failure that the tool told of in its last lines."""
    text = "\n".join(tail)
    if re.search(
        r"Temporary failure resolving|Could not (connect|resolve)|Network is unreach", text
    ):
        return "is the network there? mirrors and proxy are those of this machine's apt"
    if re.search(r"NO_PUBKEY|not signed|couldn't be verified|signature", text):
        return "the keys of that suite are not on this machine (package debian-archive-keyring)"
    if match := re.search(r"Unable to locate package (\S+)", text):
        return f"the suite has no package {match.group(1)}"
    if re.search(r"does not have a Release file|404 +Not Found", text):
        return "the mirror does not have that suite; see --suite and --mirror"
    if "No space left" in text:
        return "free some space, for example with pybuild prune"
    return ""


def _write(path: str, lines: Sequence[str]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{line}\n" for line in lines)
