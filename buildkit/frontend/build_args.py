"""Arguments: the global scope, predefined ones, and those for the network.

In: a Dockerfile and options. Out: what FROM lines see, what RUN gets of proxy arguments, and which
build arguments nobody declares. Document: docs/dockerfile.md, chapter 7.
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend.expander import Expander
from grammar.instructions import Arg, Dockerfile, Onbuild, StageInstruction
from grammar.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildkit.frontend.options import LowerOptions
    from buildkit.oci.platforms import Platform


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PROXY_ARGS = frozenset(_PROXIES) | frozenset(name.lower() for name in _PROXIES)

CONTROL_ARGS = frozenset(
    (
        "BUILDKIT_SYNTAX", "BUILDKIT_DOCKERFILE_CHECK", "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_BUILD_NAME", "BUILDKIT_SBOM_SCAN_CONTEXT",
        "BUILDKIT_SBOM_SCAN_STAGE", "SOURCE_DATE_EPOCH",
    )
)  # fmt: skip
"""Build arguments that the builder itself reads."""


def platform_args(options: LowerOptions) -> dict[str, str]:
    """Return the arguments that are always in the global scope."""
    return {
        **_parts("BUILD", options.build_platform),
        **_parts("TARGET", options.target_platform),
        "TARGETSTAGE": options.target or "default",
    }


def _parts(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": "",
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }


def global_scope(dockerfile: Dockerfile, options: LowerOptions) -> dict[str, str]:
    """Return the variables that FROM lines see: platform arguments and ARGs before the first FROM.

    Raises DefinitionError.
    """
    given = options.build_args
    scope = platform_args(options)
    scope.update((name, given[name]) for name in scope.keys() & given.keys())
    for arg in dockerfile.global_args:
        expander = Expander(scope, dockerfile.escape, declared={}, span=arg.span, findings=[])
        for argument in arg.arguments:
            name = expander.text(argument.name.text)
            if name in given:
                scope[name] = given[name]
            elif argument.default is not None:
                scope[name] = expander.text(argument.default.text)
    return scope


def proxy_variables(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what RUN gets for proxy arguments, in both cases: programs look for either."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        upper, lower = given.get(name), given.get(name.lower())
        value = upper if upper is not None else lower
        if value is not None:
            found[name] = value
            found[name.lower()] = lower if lower is not None else value
    return tuple(found.items())


def epoch(scope: Mapping[str, str], options: LowerOptions) -> int | None:
    """Return the time, in seconds since 1970, beyond which nothing in the image may lie.

    `scope` is the global one. Raises DefinitionError when it is no number.
    """
    text = options.build_args.get("SOURCE_DATE_EPOCH")
    if text is None and options.source_date_epoch is not None:
        return options.source_date_epoch
    if text is None:
        text = scope.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise DefinitionError(
            f"invalid SOURCE_DATE_EPOCH: {text}", hint="give whole seconds since 1970-01-01 UTC"
        )
    return int(text)


def unconsumed(
    dockerfile: Dockerfile, triggers: Iterable[StageInstruction], options: LowerOptions
) -> tuple[str, ...]:
    """Return a warning for the build arguments that no ARG declares, or nothing."""
    declared = {name for arg in dockerfile.global_args for name in _names(arg)}
    declared.update(name for one in triggers for name in _names(one))
    for stage in dockerfile.stages:
        declared.update(name for one in stage.instructions for name in _names(one))
    predefined = platform_args(options).keys() | PROXY_ARGS | CONTROL_ARGS
    unknown = [name for name in options.build_args if name not in declared | predefined]
    if not unknown:
        return ()
    near = [found for name in unknown if (found := nearest(name, sorted(declared)))]
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    names = " ".join(unknown)
    return (f"[Warning] One or more build-args [{names}] were not consumed{hint}",)


def _names(instruction: StageInstruction) -> Iterable[str]:
    """Return what `instruction` declares if it is an ARG, also one within ONBUILD."""
    if isinstance(instruction, Onbuild):
        trigger = instruction.instruction
        return () if trigger is None else _names(trigger)
    if isinstance(instruction, Arg):
        return (argument.name.text for argument in instruction.arguments)
    return ()
