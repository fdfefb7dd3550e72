"""`pybuild logout`: forget the name and password that are kept for a registry."""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.login import domain_of
from buildkit.oci.reference import DEFAULT_DOMAIN
from buildkit.registry.credentials import CredentialFiles


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="of all registries")
    add("--authfile", default="", metavar="FILE", help="where they are kept (REGISTRY_AUTH_FILE)")
    add("registry", nargs="?", default=DEFAULT_DOMAIN, metavar="REGISTRY", help="(docker.io)")


def command(args: Namespace) -> int:
    """Log out; it is no error if nobody was logged in."""
    files = CredentialFiles(os.environ, args.authfile)
    domains = files.hosts() if args.all else (domain_of(args.registry),)
    for domain in domains:
        if files.remove(domain):
            sys.stdout.write(f"Removed the login for {domain}\n")
        else:
            sys.stdout.write(f"Not logged in to {domain}\n")
    return 0
