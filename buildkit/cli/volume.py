"""`pybuild volume`: directories that outlive containers."""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.listing import print_json, print_table
from buildkit.cli.report import describe
from buildkit.cli.template import line_of, print_rows
from buildkit.containers.ending import volumes_in_use
from buildkit.containers.flags import parse_labels
from buildkit.containers.lost import remove_lost
from buildkit.containers.mounts import volume_name
from buildkit.containers.volumes import VolumeRecord, VolumeStore
from buildkit.errors import BuildError, UsageError
from buildkit.state.root import StateRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_HEADS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Mountpoint": "MOUNTPOINT",
    "CreatedAt": "CREATED AT",
    "Labels": "LABELS",
    "Anonymous": "ANONYMOUS",
    "Scope": "SCOPE",
}
"""docker's fields of a template, and what it calls their columns."""


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION")
    make = commands.add_parser("create", help="make a volume, and print its name")
    make.add_argument("-l", "--label", action="append", default=[], metavar="NAME=VALUE")
    make.add_argument("-d", "--driver", default="local", choices=("local",))
    make.add_argument("name", nargs="?", default="", metavar="NAME")
    listing = commands.add_parser("ls", help="list volumes")
    listing.add_argument("-q", "--quiet", action="store_true", help="only names")
    listing.add_argument("--format", default="table", metavar="TEMPLATE")
    inspect = commands.add_parser("inspect", help="show volumes as JSON")
    inspect.add_argument("-f", "--format", default="json", metavar="TEMPLATE")
    inspect.add_argument("names", nargs="+", metavar="NAME")
    remove = commands.add_parser("rm", help="remove volumes that no container uses")
    remove.add_argument("-f", "--force", action="store_true", help="no error for unknown ones")
    remove.add_argument("names", nargs="+", metavar="NAME")
    prune = commands.add_parser("prune", help="remove all that no container uses")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    prune.add_argument("-a", "--all", action="store_true", help="also those with a name")


def command(args: Namespace) -> int:
    """Do what the action says."""
    with opened(args) as (root, _containers):
        volumes = VolumeStore(root)
        match args.action:
            case "create":
                name = volume_name(args.name) if args.name else os.urandom(32).hex()
                labels = parse_labels(args.label, [])
                volumes.ensure(name, labels=labels, anonymous=not args.name)
                sys.stdout.write(f"{name}\n")
            case "ls":
                _list(root, volumes, args)
            case "inspect":
                _show(root, [volumes.find(name) for name in args.names], args.format)
            case "rm":
                return _remove(root, volumes, args)
            case _:
                _prune(root, volumes, args)
    return 0


def _list(root: StateRoot, volumes: VolumeStore, args: Namespace) -> None:
    found = list(volumes.all())
    if args.quiet:
        sys.stdout.writelines(f"{one.name}\n" for one in found)
    elif args.format.startswith("table "):
        print_rows(args.format, [_document(root, one) for one in found], _HEADS)
    elif args.format != "table":
        _show(root, found, args.format)
    else:
        print_table(("DRIVER", "VOLUME NAME"), [("local", one.name) for one in found])


def _show(root: StateRoot, found: list[VolumeRecord], template: str) -> None:
    documents = [_document(root, one) for one in found]
    if template == "json":
        print_json(documents)
        return
    for document in documents:
        sys.stdout.write(f"{line_of(template, document, '{{.Mountpoint}}')}\n")


def _document(root: StateRoot, one: VolumeRecord) -> dict[str, Any]:
    return {
        "Name": one.name,
        "Driver": "local",
        "Mountpoint": VolumeStore(root).path(one.name),
        "CreatedAt": one.created,
        "Labels": dict(one.labels),
        "Anonymous": one.anonymous,
        "Scope": "local",
    }


def _remove(root: StateRoot, volumes: VolumeStore, args: Namespace) -> int:
    used = volumes_in_use(root)
    status = 0
    for name in args.names:
        if name in used:
            sys.stderr.write(f"ERROR: volume {name} is used by container {used[name]}\n")
            status = 1
            continue
        try:
            volumes.remove(name)
        except UsageError as error:
            if not args.force:
                sys.stderr.write(describe(error)[1])
                status = 1
            continue
        sys.stdout.write(f"{name}\n")
    return status


def _prune(root: StateRoot, volumes: VolumeStore, args: Namespace) -> None:
    if not args.force:
        raise UsageError("this removes what volumes hold", hint="add --force")
    remove_lost(root)
    used = volumes_in_use(root)
    for one in list(volumes.all()):
        if one.name not in used and (one.anonymous or args.all):
            try:
                volumes.remove(one.name)
            except BuildError:
                if os.path.lexists(volumes.path(one.name)):
                    raise
                continue  # somebody was quicker
            sys.stdout.write(f"{one.name}\n")
