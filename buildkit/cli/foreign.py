"""Options of docker and buildah that have no meaning here, and entitlements.

In: parsed arguments. Out: notes about options that change nothing, UsageError for those that would
change what comes out; never silence, and never a usage text for what is right elsewhere.
"""

from __future__ import annotations

from buildkit.cli.arguments import SUPPRESS, Namespace, Parser
from buildkit.cli.options import bare, switch
from buildkit.errors import UsageError
from buildkit.frontend.options import NETWORK_HOST, SECURITY_INSECURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_SWITCHES = {
    "--rm": "steps leave no containers behind",
    "--force-rm": "steps leave no containers behind",
    "--compress": "the context is read where it is, and sent nowhere",
    "--layers": "each step has a layer, and the cache is always in use",
    "--disable-content-trust": "signatures of images are not looked at",
    "--debug": "PYBUILD_TRACEBACK=1 shows where pybuild itself fails",
    "--skip-unused-stages": "stages that nothing needs are never built",
    "--http-proxy": "steps get the proxies of --build-arg only",
}
"""Switches that change nothing, and why."""

_IGNORED = {
    "--builder": "pybuild has no builder instances: it builds in its own process",
    "--isolation": "each step has a sandbox of its own; RUN --security tells which",
    "--cgroup-parent": "control groups are made where the kernel lets this user make them",
    "--cpu-shares": "processor time is shared evenly; --cpus and --cpuset-cpus limit it",
    "--cpuset-mems": "memory is taken from where the kernel takes it",
    "--retry": "what breaks at a registry is tried again anyway, five times at most",
    "--retry-delay": "pauses between tries grow by themselves",
    "--runtime": "steps are run by pybuild itself",
}
"""Options with a value that change nothing, and why."""

_REFUSED = {
    "--policy": "this version has no source policies; `pybuild lock` pins base images",
    "--security-opt": "RUN --security=insecure, with --allow security.insecure, has no limits",
    "--cap-add": "RUN --security=insecure, with --allow security.insecure, has all capabilities",
    "--device": "devices are not given to steps",
    "--gpus": "devices are not given to steps",
    "--volume": "RUN --mount=type=bind shows a directory of a --build-context",
    "--authfile": "REGISTRY_AUTH_FILE names a file of logins",
    "--cert-dir": "certs.d/HOST, or `ca` in registries.conf, names authorities",
    "--creds": "`pybuild login` keeps a login, REGISTRY_AUTH_FILE names a file of them",
    "--tls-verify": "`insecure = true` in registries.conf, registry.insecure=true of an output",
    "--from": "ARG BASE=... and FROM $BASE, with --build-arg BASE=IMAGE",
    "--env": "ENV in the Dockerfile is in the image",
    "--unsetenv": "a variable of the base stays; ENV NAME= makes it empty",
    "--unsetlabel": "a label of the base stays; --label NAME= makes it empty",
    "--cap-drop": "a RUN can drop capabilities itself, as with capsh",
    "--dns": "--add-host gives steps the address of a host",
    "--userns": "a step has the user ids of the whole build",
    "--logfile": "what steps print goes to standard error: 2> FILE",
    "--manifest": "--platform of several makes an index that has the name of -t",
    "--save-stages": "--target STAGE -t NAME names the image of a stage",
    "--omit-history": "the history of an image is part of it",
    "--sign-by": "images are signed where they are pushed to, as with cosign",
}
"""Options with a value that would change what comes out."""

_USUAL = {"--tls-verify": "true", "--omit-history": "false", "--save-stages": "false"}
"""What changes nothing all the same, as it is how things are here."""

_ENTITLEMENTS = (NETWORK_HOST, SECURITY_INSECURE)


def add_options(parser: Parser) -> None:
    """Declare them all; the help does not mention them."""
    for option in _SWITCHES:
        switch(parser, option, help=SUPPRESS)
    bare(parser, "-D", "--debug=true")
    for option in ("--tls-verify", "--omit-history", "--save-stages"):
        bare(parser, option, f"{option}=true")
    switch(parser, "--squash", help=SUPPRESS)
    for option in (*_IGNORED, *_REFUSED):
        names = (option, "-v") if option == "--volume" else (option,)
        parser.add_argument(*names, action="append", default=[], help=SUPPRESS)


def notes(args: Namespace) -> list[str]:
    """Return a line for each option that was given and changes nothing."""
    known: Mapping[str, str] = {**_SWITCHES, **_IGNORED}
    return [
        f"{option} changes nothing here: {why}"
        for option, why in known.items()
        if getattr(args, _field(option))
    ]


def refuse(args: Namespace) -> None:
    """Raise UsageError for an option whose meaning is not to be had."""
    for option, why in _REFUSED.items():
        given = getattr(args, _field(option))
        if given and given != [_USUAL.get(option)]:
            raise UsageError(f"{option} is not known here", hint=why)
    if args.squash:
        raise UsageError(
            "--squash is not known here",
            hint="copy the result onto an empty image: FROM scratch, COPY --from=STAGE / /",
        )


def entitlements(texts: Sequence[str]) -> frozenset[str]:
    """Return what `--allow` gives. Raises UsageError for what is no entitlement."""
    found: set[str] = set()
    for text in (part for one in texts for part in one.split(",")):
        if text in _ENTITLEMENTS:
            found.add(text)
        elif text.partition("=")[0] == "device":
            raise UsageError(f"--allow {text}: devices are not given to steps", hint="leave it out")
        elif text.partition("=")[0] not in ("fs", "fs.read", "fs.write", "ssh"):
            from grammar.nearest import did_you_mean  # for a mistake only

            raise UsageError(
                f"unknown entitlement {text!r}{did_you_mean(text, _ENTITLEMENTS)}",
                hint=f"there are: {', '.join(_ENTITLEMENTS)}",
            )
    return frozenset(found)


def _field(option: str) -> str:
    return option.lstrip("-").replace("-", "_")
