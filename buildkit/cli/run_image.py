"""The image that `run` is about: from the store, or from a registry first.

In: a name, what `--pull` and `--platform` say. Out: the image. A pull is done by a process of its
own: it needs threads, and whoever starts a container must have none.
"""

from __future__ import annotations

import os
import sys

from buildkit.errors import Cancelled, ImageError, UsageError
from buildkit.images import ImageStore
from buildkit.oci.platforms import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.oci.config import ResolvedImage
    from buildkit.state.root import StateRoot

_BINFMT = "/proc/sys/fs/binfmt_misc"
_QEMU = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
_ALSO = {("amd64", "386")}
"""What a machine runs beside its own."""


def image_of(
    root: StateRoot, text: str, *, policy: str, platform: str, access: tuple[str, ...] = ()
) -> ResolvedImage:
    """Return the image. Raises ImageError where it cannot be had.

    `access`: options for `pybuild pull`, should it be needed.
    """
    found = files_of(root, text, policy=policy, platform=platform, access=access)
    _check(found.config.platform)
    return found


def files_of(
    root: StateRoot, text: str, *, policy: str, platform: str = "", access: tuple[str, ...] = ()
) -> ResolvedImage:
    """Return the same, whatever it is for: an image whose files alone are wanted."""
    images = ImageStore(root)
    if policy in ("always", "newer") or platform:
        _pull(root, text, policy, platform, access)
        found = images.find(text, Platform.parse(platform) if platform else None)
        if platform:
            _check_wish(text, found.config.platform, Platform.parse(platform))
    else:
        try:
            found = images.find(text)
        except ImageError:
            if policy == "never" or _is_id(text):
                raise
            _pull(root, text, policy, platform, access)
            found = images.find(text)
    return found


def _is_id(text: str) -> bool:
    return text.startswith("sha256:")


def _pull(root: StateRoot, text: str, policy: str, platform: str, access: tuple[str, ...]) -> None:
    """Let `pybuild pull` do it. Raises ImageError; the reason has been told by then."""
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            from buildkit.cli import main  # a process of its own from here on

            # The ID goes nowhere: standard output is the container's.
            os.dup2(2, 1)
            words = ["pull", "--quiet", "--policy", policy, "--root", root.top]
            words += ["--platform", platform] if platform else []
            status = main.main([*words, *access, text])
            sys.stderr.flush()
        finally:
            os._exit(status)
    try:
        status = os.waitpid(pid, 0)[1]
    except Cancelled as cancelled:  # a terminal tells both, others us alone
        os.kill(pid, cancelled.signal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 128 + cancelled.signal:  # it has said so
            raise SystemExit(code) from None
        raise
    if os.waitstatus_to_exitcode(status):
        raise ImageError(f"image {text} could not be pulled")


def _check_wish(text: str, found: Platform, wanted: Platform) -> None:
    """Refuse an image that is for another platform than was asked for."""
    from buildkit.archive.remote import fits  # for --platform only

    if not fits(found, wanted):
        raise UsageError(
            f"the image {text} is for {found}, not for {wanted}",
            hint="--pull=always asks its registry for one that is",
        )


def _check(platform: Platform) -> None:
    """Refuse an image whose programs this machine cannot run."""
    if platform.os != "linux":
        raise UsageError(
            f"image operating system {platform.os!r} cannot be used on this platform",
            hint="its programs need another kernel; --platform chooses another image of an index",
        )
    here, wanted = Platform.host().architecture, platform.architecture
    if here == wanted or (here, wanted) in _ALSO:
        return
    name = f"qemu-{_QEMU.get(wanted, wanted)}"
    try:
        with open(f"{_BINFMT}/{name}", encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    if "enabled" in text:
        return
    raise UsageError(
        f"the image is for {wanted}, this machine is {here}, and nothing translates between them",
        hint=f"register {name} with binfmt_misc (package qemu-user-static), or use --platform",
    )
