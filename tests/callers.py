"""Who calls pybuild in an end-to-end test: root, an ordinary user, or one without subordinate ids.

In: a kind. Out: a `Caller` with a directory of its own, a store that holds the base image
`busybox`, and ways to make files that are the caller's. Whatever was made goes at the end.
"""

import compileall
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import kernel, tun
from tests.program import PROGRAM, TOP, Pybuild, program
from tests.trees import make_tree

_OURS = ("buildkit", "grammar", "runtime")
KINDS = ("root", "rootless", "single")
"""`single`: an ordinary user who has one user id and no other."""

BASE = "busybox"
_STRANGER = ("stranger", "x", 54_321, 54_321, "", "/", "/bin/sh")
"""A user that no machine knows, so without subordinate ids.

A `pwd.struct_passwd` that lives until Python ends has lost its type by then, which Python before
3.12 says on standard error.
"""

_REMOVE = """
import shutil, sys
sys.path.insert(0, sys.argv[1])
from runtime import rootless
rootless.enter()
shutil.rmtree(sys.argv[2])
"""


def pairs(
    cases: Sequence[Any], both: Container[str], name: Callable[[Any], str] = str
) -> list[Any]:
    """Return what to parametrize `("caller", "case")` with, indirectly for the first.

    Every case is for root, and those called as in `both` for an ordinary user, too.
    """
    return [
        pytest.param(kind, case, id=f"{kind}-{name(case)}")
        for kind in ("root", "rootless")
        for case in cases
        if kind == "root" or name(case) in both
    ]


class Caller(NamedTuple):
    """One who calls pybuild. `user` is None where that is ourselves; `top` is theirs."""

    kind: str
    user: pwd.struct_passwd | None
    top: Path
    base: Path
    pybuild: Pybuild
    numbers: Iterator[int]

    def place(self, name: str = "place") -> Path:
        """Return a new directory of the caller's."""
        path = self.top / f"{name}-{next(self.numbers)}"
        self.tree(path)
        return path

    def tree(self, path: Path, *lines: str) -> Path:
        """Make a tree that belongs to the caller, as `make_tree` does; return its path."""
        self.perform(lambda: make_tree(path, *lines))
        return path

    def context(self, dockerfile: str, *lines: str) -> Path:
        """Make a build context of a Dockerfile and a tree."""
        path = self.tree(self.place("context"), *lines)
        self.write(path / "Dockerfile", dockerfile)
        return path

    def write(self, path: Path, text: str) -> None:
        """Write a file that belongs to the caller."""
        self.perform(lambda: path.write_text(text, encoding="utf-8", errors="surrogateescape"))

    def perform(self, act: Callable[[], object]) -> None:
        """Do something as the caller."""
        if self.user is None:
            act()
        else:
            _as(self.user, act)

    def fresh(self, environment: Mapping[str, str] | None = None) -> Pybuild:
        """Return pybuild on a new store, which holds the base image."""
        made = self.empty(environment)
        made("load", "-q", "-i", self.base).ok()
        return made

    def empty(
        self, environment: Mapping[str, str] | None = None, root: Path | None = None
    ) -> Pybuild:
        """Return pybuild on a new store, in a new directory."""
        cwd = self.place("cwd")
        return Pybuild(
            root or self.top / f"store-{next(self.numbers)}",
            cwd,
            environment,
            words=self.pybuild.words,
            identity=self.pybuild.identity,
        )


@contextmanager
def calling(kind: str) -> Iterator[Caller]:
    """Give a caller; skips the test where there is none of this kind."""
    kernel.require("overlay")
    kernel.require("busybox")
    user = _user(kind)
    top = Path(tempfile.mkdtemp(prefix="pybuild-e2e-"))
    if user is not None:
        os.chown(top, user.pw_uid, user.pw_gid)
    packages = TOP if user is None else _installed(top)
    python = kernel.interpreter_for(user)
    assert python is not None
    words = PROGRAM if user is None else program(python, packages)
    pybuild = Pybuild(top / "store", top, words=words, identity=_identity(user))
    base = top / "base.tar"
    caller = Caller(kind, user, top, base, pybuild, itertools.count())
    try:
        pybuild("base", "host", "-t", BASE, "busybox").ok()
        pybuild("save", "--format", "oci-archive", "-o", base, BASE).ok()
        yield caller
    finally:
        _removed(top, python, packages, user)


@contextmanager
def networked(caller: Caller, helper: str, server: str = "") -> Iterator[Caller]:
    """Give an ordinary `caller` whose containers' network the program `helper` carries.

    `server`: the address of the machine's only name server, as they see it. Skips the test where
    the caller cannot have that.
    """
    kernel.require(helper)
    if caller.user is None:
        kernel.require("helper")
        if server or helper != next(filter(shutil.which, tun.HELPERS)):
            pytest.skip("only root can hide another helper, and the machine's name servers")
        yield caller
        return
    kernel.require("tun")
    others = [name for name in tun.HELPERS if name != helper]
    with tun.shown(caller.user, others, server) as identity:
        mine = caller.pybuild
        pybuild = Pybuild(mine.root, mine.cwd, words=mine.words, identity=identity)
        yield caller._replace(pybuild=pybuild)


def _user(kind: str) -> pwd.struct_passwd | None:
    """Return whom to become: None to stay who we are. Skips where that cannot be."""
    if kind == "root":
        kernel.require("root")
        return None
    if kind == "rootless":
        kernel.require("rootless")
        return kernel.ordinary_user() if os.geteuid() == 0 else None
    kernel.require("root")  # to become a stranger
    kernel.require("single")
    return pwd.struct_passwd(_STRANGER)


def _identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _installed(top: Path) -> Path:
    """Copy pybuild and what it imports to where anybody can read it.

    With what Python has compiled, as an installer leaves it: who may only read would do that again
    at every call, which takes longer than most calls.
    """
    target = top / "packages"
    for name in _OURS:
        shutil.copytree(TOP / name, target / name, ignore=_IGNORED)
    for name in ("isal", "lark", "networkx", "tqdm", "urllib3", "xxhash", "zstandard"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        shutil.copytree(Path(found.origin).parent, target / name, ignore=_IGNORED)
    for name in _OURS:
        compileall.compile_dir(target / name, quiet=2)
    for directory, names, _files in os.walk(target):
        for name in (".", *names):
            os.chmod(os.path.join(directory, name), 0o755)
    return target


_IGNORED = shutil.ignore_patterns("tests", "*.bundle.*")


def _as(user: pwd.struct_passwd, act: Callable[[], object]) -> None:
    """Do something in a child that belongs to `user`."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            act()
            status = 0
        except BaseException as error:  # noqa: BLE001 - the child ends here, whatever it was
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def _removed(top: Path, python: str, packages: Path, user: pwd.struct_passwd | None) -> None:
    """Remove all of `top`, also what belongs to a user's subordinate ids."""
    if os.geteuid() != 0:
        subprocess.run([python, "-c", _REMOVE, packages, top], check=True)
    else:
        shutil.rmtree(top)
