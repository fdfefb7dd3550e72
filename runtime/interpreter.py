"""How processes of our own are started: this very Python and this very package, isolated.

Out: the words and the environment for execve(2). `-I` and `-S` keep out what the caller, the
working directory and site-packages would bring along (guarantee S31).
"""

from __future__ import annotations

import os
import sys

_LOADER = "LD_LIBRARY_PATH"
"""Where a shared libpython may lie (relocated builds, those of CI services among them)."""


def words(call: str, *arguments: str) -> list[str]:
    """Return what runs `call`, as `zygote.main(int(argv[0]))`, of the module before its dot.

    It finds `arguments` in `argv`. The package is this one, whatever else is called runtime:
    never by the caller's sys.path.
    """
    base = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    module = call.partition(".")[0]
    program = (
        "import sys; sys.path.append(sys.argv[1]); argv = sys.argv[2:]; "
        f"from runtime import {module}; {call}"
    )
    return [sys.executable, "-I", "-S", "-c", program, base, *arguments]


def environment(*kept: str) -> dict[str, str]:
    """Return a PATH, where Python's own libraries are, and those of the variables `kept`."""
    names = (_LOADER, *kept)
    return {"PATH": os.defpath, **{name: os.environ[name] for name in names if name in os.environ}}
