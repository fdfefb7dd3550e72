"""What the commands that speak to registries share: options, and what follows from them.

In: parsed arguments. Out: an `Access`. Names and meanings are those of podman and skopeo.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.options import seconds
from buildkit.errors import UsageError
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.registry.client import Access
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.limits import Limits


def add_access(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--creds", metavar="NAME[:PASSWORD]", help="credentials for this call alone")
    add("--authfile", default="", metavar="FILE", help="of logins (REGISTRY_AUTH_FILE)")
    add("--retry", type=int, metavar="N", help="tries again after faults of the network")
    add("--retry-delay", type=seconds, metavar="SECONDS", help="the first pause between tries")
    add_verify(parser)


def add_verify(parser: Parser) -> None:
    """Declare --tls-verify alone."""
    parser.add_argument(
        "--tls-verify", metavar="true|false", help="false: no TLS, or none that is verified"
    )


def access_of(args: Namespace) -> Access:
    """Return how registries are to be used. Raises UsageError."""
    limits = Limits()
    if args.retry is not None:
        if args.retry < 0:
            raise UsageError("--retry must not be negative")
        limits = limits._replace(tries=args.retry + 1)
    if args.retry_delay is not None:
        if not 0 <= args.retry_delay <= limits.patience:
            raise UsageError(f"--retry-delay is from 0 to {limits.patience:.0f} seconds")
        limits = limits._replace(delay=args.retry_delay)
    return Access(
        authfile=args.authfile,
        given=None if args.creds is None else _credentials(args.creds),
        verify=verify_of(args),
        limits=limits,
    )


def verify_of(args: Namespace) -> bool | None:
    """Return what --tls-verify says, None for nothing."""
    if args.tls_verify is None:
        return None
    text = args.tls_verify.lower()
    if text in ("true", "1", "t"):
        return True
    if text in ("false", "0", "f"):
        return False
    raise UsageError(f"invalid --tls-verify {args.tls_verify!r}", hint="true or false")


def references_of(texts: Sequence[str]) -> tuple[Reference, ...]:
    """Return the images that are named, with or without `docker://` before."""
    return tuple(reference_of(text) for text in texts)


def reference_of(text: str) -> Reference:
    """Return the image that is named. Raises UsageError."""
    try:
        return Reference.parse(text.removeprefix("docker://"))
    except ValueError as error:
        raise UsageError(f"invalid name: {error}", hint="as in app:1.2 or host:5000/app") from error


def repository_of(text: str) -> Reference:
    """Return the repository that is named, of which all tags are meant. Raises UsageError."""
    found = reference_of(text)
    if found.digest is not None or text.rpartition("/")[2].count(":"):
        raise UsageError(f"{text}: a tag can't be used with --all-tags", hint="leave it out")
    return found


def platform_of(text: str) -> Platform:
    """Return the platform that is named, this machine's when none is."""
    try:
        return Platform.parse(text) if text else Platform.host()
    except ValueError as error:
        raise UsageError(str(error), hint="as in linux/amd64") from error


def _credentials(text: str) -> Credentials:
    username, colon, password = text.partition(":")
    if not colon:
        password = ask_password(username)
    return Credentials(username, password)


def ask_password(username: str) -> str:
    """Ask at the terminal. Raises UsageError when there is none."""
    import getpass  # asked for rarely
    import sys

    if not sys.stdin.isatty():
        raise UsageError(
            "a password cannot be asked for without a terminal", hint="use --password-stdin"
        )
    try:
        return getpass.getpass(f"Password of {username}: ")
    except EOFError:  # Ctrl-D
        raise UsageError("no password was given") from None
