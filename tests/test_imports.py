"""Who may import whom: the tables of ARCHITECTURE.md as data, held against every module."""

import ast
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PACKAGES = ("buildkit", "grammar", "runtime")

OUTSIDE = {
    "grammar": {"lark"},
    "runtime": set(),
    "buildkit": {"grammar", "runtime"},
}
"""What each package may import from outside itself, besides the standard library."""

SHARED = {"runtime", "runtime.typed", "runtime.values", "runtime.values.NamedTuple"}
"""What `grammar` may use of `runtime`: how values are declared, and the forms of `typing` that have
to be there at run time, which know of no sandbox."""

LAYERS = (
    {"cli"},
    {"containers", "repro"},
    {"build", "check", "launch", "plan", "shell", "verify"},
    {"attested", "budget"},
    {"request"},
    {
        "worker",
        "contexts",
        "definition",
        "findings",
        "image_list",
        "inventory",
        "leaks",
        "lock",
        "fsck",
        "gc",
        "base",
        "past_step",
        "remotecache",
        "upkeep",
        "usage",
    },
    {"main_context"},
    {"archive"},
    {"frontend", "solver", "exporter"},
    {"attestation"},
    {"ops", "records"},
    {"cache"},
    {"registry", "context", "snapshot", "images"},
    {"state", "content", "tree"},
    {"llb", "oci", "progress", "errors", "sizes", "durations"},
)
"""Parts of `buildkit` from top to bottom: imports go downwards or stay within a part."""

ALSO_BESIDE = {
    ("build", "worker"), ("worker", "launch"), ("build", "launch"),
    ("progress", "errors"), ("progress", "sizes"), ("llb", "oci"), ("oci", "errors"),
    ("records", "cache"),
    ("content", "state"), ("tree", "content"), ("state", "content"),
    ("images", "snapshot"),
    ("fsck", "gc"), ("gc", "fsck"), ("upkeep", "gc"), ("lock", "definition"),
}  # fmt: skip
"""Imports within one line of LAYERS that are wanted."""

DOORS = {
    "networkx": {"buildkit.llb.graph", "buildkit.llb.networkx_subset"},
    "tqdm": {"buildkit.progress.bars"},
    "xxhash": {"buildkit.tree.fingerprint"},
    "cyclonedx": {"buildkit.attestation.sbom"},
    "packageurl": {"buildkit.attestation.sbom"},
    "isal": {"buildkit.snapshot.blocks", "buildkit.snapshot.compression"},
    "zstandard": {"buildkit.snapshot.compression"},
    "ctypes": {"runtime.syscalls"},
    # Plain modules of Python: SHA-256 is called _sha256 up to 3.11.
    "_sha2": {"buildkit.oci.digest"},
    "_sha256": {"buildkit.oci.digest"},
    "_sqlite3": {"buildkit.state.driver"},
    "urllib3": {"buildkit.registry.connections", "buildkit.registry.transport"},
}
"""Libraries that have one door (or two)."""

PARTS = {("runtime.service", "runtime.monitor"), ("runtime.tending", "runtime.monitor")}
"""Parts of one object that hold it and are held by it: they import it for types alone."""


def modules() -> list[str]:
    found = []
    for package in PACKAGES:
        for path in sorted((TOP / package).rglob("*.py")):
            if path.name == "generated.py":
                continue
            parts = path.relative_to(TOP).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return what `module` imports, as dotted names of modules, wherever the import stands."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
    path = TOP.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield node.module or ""
            package = TOP.joinpath(*(node.module or "").split("."))
            if package.is_dir():
                yield from (f"{node.module}.{name.name}" for name in node.names)


def layer(part: str) -> int:
    for depth, parts in enumerate(LAYERS):
        if part in parts:
            return depth
    raise AssertionError(f"buildkit.{part} stands in no line of LAYERS")


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_place_allows(module: str) -> None:
    package, _, rest = module.partition(".")
    for name in imports(module):
        top = name.partition(".")[0]
        if top in DOORS:
            assert module in DOORS[top], f"{module} opens {top}, which has another door"
        if top in sys.stdlib_module_names or top == package or top in DOORS:
            continue
        if name in SHARED:
            continue
        assert top in OUTSIDE[package], f"{module} imports {name}"
    if package == "buildkit" and rest:
        part = rest.split(".")[0]
        for name in imports(module):
            if not name.startswith("buildkit."):
                continue
            other = name.split(".")[1]
            if other == part or (part, other) in ALSO_BESIDE:
                continue
            assert layer(part) < layer(other), f"{module} imports {name}, which is not below it"


def test_no_module_imports_what_imports_it() -> None:
    """Neither when it is called nor for types: such modules would be one."""
    known = set(modules())
    graph = {
        module: {name for name in imports(module) if name in known and (module, name) not in PARTS}
        for module in known
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_and_not_a_namesake(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == TOP / package


@pytest.mark.parametrize("module", modules())
def test_no_module_is_named_like_one_of_the_standard_library(module: str) -> None:
    last = module.rsplit(".", 1)[-1]
    assert last not in {"platform", "pty", "tempfile", "types", "io", "copyreg", "selectors"}


@pytest.mark.parametrize("module", modules())
def test_values_are_declared_the_cheap_way(module: str) -> None:
    if module == "runtime.values":
        return
    path = TOP.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in ("typing", "dataclasses"):
            names = {name.name for name in node.names}
            assert not names & {"NamedTuple", "dataclass"}, "use runtime.values.NamedTuple"


def is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def bound(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yield the names that statements give something to."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((name.asname or name.name).partition(".")[0] for name in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


class Evaluated(ast.NodeVisitor):
    """Finds names out of `absent` where they are evaluated: annotations are not (PEP 563)."""

    def __init__(self, absent: set[str]) -> None:
        self.absent = absent
        self.found: list[tuple[int, str]] = []

    def visit_If(self, node: ast.If) -> None:
        for child in node.orelse if is_for_types(node) else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for child in (node.target, node.value):
            if child is not None:
                self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for child in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if child is not None:
                self.visit(child)
        own = set(bound(ast.walk(node)))
        before, self.absent = self.absent, self.absent - own
        for child in node.body:
            self.visit(child)
        self.absent = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's names

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.absent and isinstance(node.ctx, ast.Load):
            self.found.append((node.lineno, node.id))


@pytest.mark.parametrize("module", modules())
def test_what_is_imported_for_types_alone_is_not_evaluated(module: str) -> None:
    path = TOP.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    types = [node for node in tree.body if is_for_types(node)]
    for_types = {name for node in types for part in node.body for name in bound(ast.walk(part))}
    there = {name for node in tree.body if node not in types for name in bound(iter([node]))}
    there |= {name for node in types for part in node.orelse for name in bound(ast.walk(part))}
    found = Evaluated(for_types - there)
    found.visit(tree)
    assert not found.found
