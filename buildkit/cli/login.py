"""`pybuild login`: keep a name and password for a registry, once it has accepted them.

They are kept where docker keeps them (a credential helper, or `config.json`), or in the file that
`--authfile` or REGISTRY_AUTH_FILE names. Exit status: 0; 1 they were not accepted; 2 usage.
"""

from __future__ import annotations

import os
import sys

from buildkit.cli.access import add_verify, ask_password, verify_of
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancelling
from buildkit.errors import UsageError
from buildkit.oci.reference import DEFAULT_DOMAIN, Reference
from buildkit.registry.client import Access, Registry
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.credentials import CredentialFiles

_LIMIT = 64 << 10


def add_arguments(parser: Parser) -> None:
    """Declare the options; names and meaning are docker's."""
    add = parser.add_argument
    parser.usage = "pybuild login [OPTIONS] [REGISTRY]"
    add("-u", "--username", default="", metavar="NAME")
    add("-p", "--password", metavar="PASSWORD", help="others can see it: rather --password-stdin")
    add("--password-stdin", action="store_true", help="read the password from standard input")
    add("--authfile", default="", metavar="FILE", help="where to keep it (REGISTRY_AUTH_FILE)")
    add("--get-login", action="store_true", help="print the name that is kept, ask nobody")
    add_verify(parser)
    add("registry", nargs="?", default=DEFAULT_DOMAIN, metavar="REGISTRY", help="(docker.io)")


def command(args: Namespace) -> int:
    """Log in; return the exit status."""
    domain = domain_of(args.registry)
    files = CredentialFiles(os.environ, args.authfile)
    if args.get_login:
        known = files.find(domain)
        if known is None:
            raise UsageError(f"nobody is logged in to {domain}", hint=f"'pybuild login {domain}'")
        sys.stdout.write(f"{known.username}\n")
        return 0
    credentials = _credentials(args)
    access = Access(verify=verify_of(args))
    with cancelling() as cancel, Registry(cancel, access) as registry:
        registry.greet(domain, credentials)
    place = files.save(domain, credentials)
    sys.stdout.write("Login Succeeded\n")
    if not place.startswith("docker-credential-"):
        sys.stderr.write(f"The password is kept, not encrypted, in {place}\n")
    return 0


def domain_of(text: str) -> str:
    """Return the registry that is meant: a host, perhaps written as a URL. Raises UsageError."""
    bare = text.partition("://")[2] if "://" in text else text
    bare = bare.partition("/")[0]
    if bare in ("index.docker.io", "registry-1.docker.io", ""):
        return DEFAULT_DOMAIN
    try:
        found = Reference.parse(f"{bare}/x")
        if found.domain == bare:
            return bare
        # A host without a dot or a port.
        Reference.parse(f"{bare}.x/x")
    except ValueError as error:
        raise UsageError(f"not a registry: {text!r}", hint="as in registry.example:5000") from error
    return bare


def _credentials(args: Namespace) -> Credentials:
    if args.password is not None and args.password_stdin:
        raise UsageError("--password and --password-stdin exclude each other")
    if args.password_stdin:
        if not args.username:
            raise UsageError("--password-stdin needs --username")
        password = sys.stdin.buffer.read(_LIMIT).decode(errors="surrogateescape").rstrip("\r\n")
    else:
        if not args.username:
            args.username = _asked()
        password = ask_password(args.username) if args.password is None else args.password
    if not password:
        raise UsageError("an empty password is none")
    return Credentials(args.username, password)


def _asked() -> str:
    if not sys.stdin.isatty():
        raise UsageError("no user name", hint="-u NAME --password-stdin")
    sys.stderr.write("Username: ")
    sys.stderr.flush()
    name = sys.stdin.readline().strip()
    if not name:
        raise UsageError("no user name was given")
    return name
