"""networkx without the 240 modules that a build does not need.

Out: the module `networkx`, ordinary in all that is used of it (`DiGraph`, what
`networkx.algorithms.dag` offers). The real `__init__` costs 160 ms, a whole cached build has 100;
the graph class and the DAG algorithms alone cost about 12.

How: modules that are empty but for their true `__path__` stand in for the packages `networkx`,
`.utils`, `.classes` and `.algorithms`; the real `classes.digraph` and `algorithms.dag` are then
imported below them. The decorators that choose a backend and check graph kinds are left out.
Whoever asks the stand-in for anything else (`promote`) makes it the real package: the real
`__init__` is executed in the same module object, and graphs made before stay instances of
`networkx.DiGraph`. Should anything go wrong here, the plain import is the answer.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_PACKAGES = ("networkx", "networkx.utils", "networkx.classes", "networkx.algorithms")
_TRAVERSAL = "networkx.algorithms.traversal"
_KEPT = ("networkx.exception", "networkx.classes.")
"""What stays loaded when the real package takes over: its types must remain the same types."""


def load() -> ModuleType:
    """Return `networkx`, as a subset unless it is loaded already."""
    present = sys.modules.get("networkx")
    if present is not None:
        return present
    try:
        return _subset()
    except Exception:  # noqa: BLE001 - whatever a future networkx does, the plain import works
        _forget(keep=())
        return importlib.import_module("networkx")


def promote() -> ModuleType:
    """Turn the stand-in into the real package, in place; does nothing a second time."""
    root = sys.modules["networkx"]
    if not isinstance(root, _StandIn):
        return root
    _forget(keep=_KEPT)
    root.__class__ = ModuleType  # type: ignore[assignment]  # mypy narrowed it to _StandIn
    for name in root.__dict__.keys() - _MODULE_NAMES:
        del root.__dict__[name]
    root.__dict__["exception"] = sys.modules["networkx.exception"]
    sys.modules["networkx"] = root
    spec = root.__spec__
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(root)
    # A package gets its modules as attributes when they are first imported; these were before.
    for name in [name for name in sys.modules if name.startswith(_KEPT)]:
        parent, _, child = name.rpartition(".")
        setattr(sys.modules[parent], child, sys.modules[name])
    return root


class _StandIn(ModuleType):
    """An empty package; whatever it lacks is answered by the real networkx."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - an attribute of a module
        if name.startswith("__") and name != "__version__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if self.__name__ == "networkx" and name == "bfs_edges":
            return _breadth_first().bfs_edges
        promote()
        return getattr(importlib.import_module(self.__name__), name)


_MODULE_NAMES = frozenset(
    ("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__path__", "__file__")
)


def _subset() -> ModuleType:
    """Import the graph class and the DAG algorithms below stand-ins."""
    root, utils, classes, algorithms = packages = tuple(_stand_in(name) for name in _PACKAGES)
    for module in (root, utils):
        module.__dict__["_dispatchable"] = _undecorated
        module.__dict__["_clear_cache"] = _clear_cache
        module.__dict__["not_implemented_for"] = _any_kind
    for name in ("arbitrary_element", "pairwise"):
        utils.__dict__[name] = _of_the_real_utils(name)

    exceptions = importlib.import_module("networkx.exception")
    for name in exceptions.__all__:
        root.__dict__[name] = getattr(exceptions, name)
    # The constructor of DiGraph looks for these in the package.
    for name in ("filters", "coreviews", "reportviews"):
        module = importlib.import_module(f"networkx.classes.{name}")
        root.__dict__[name] = classes.__dict__[name] = module
    root.__dict__["Graph"] = importlib.import_module("networkx.classes.graph").Graph
    root.__dict__["DiGraph"] = importlib.import_module("networkx.classes.digraph").DiGraph
    dag = importlib.import_module("networkx.algorithms.dag")
    for name in dag.__all__:
        root.__dict__[name] = getattr(dag, name)
    algorithms.__dict__["dag"] = dag
    # From here on, and not while the above is being imported, an unknown name means the real one.
    for package in packages:
        package.__class__ = _StandIn
    return root


def _stand_in(name: str) -> ModuleType:
    """Put an empty package of this name, with the real one's spec, into `sys.modules`."""
    # Not `importlib.util.find_spec`: it would import the parent's `__init__`, the thing to avoid.
    parent = None if name == "networkx" else sys.modules["networkx"].__path__
    spec = PathFinder.find_spec(name, parent)
    if spec is None or spec.loader is None or not spec.submodule_search_locations:
        raise ImportError(f"{name} is not an ordinary package")
    module = ModuleType(name)
    module.__spec__, module.__loader__ = spec, spec.loader
    module.__path__ = spec.submodule_search_locations
    module.__package__, module.__file__ = name, spec.origin
    sys.modules[name] = module
    if name != "networkx":
        sys.modules["networkx"].__dict__[name.rpartition(".")[2]] = module
    return module


def _forget(*, keep: tuple[str, ...]) -> None:
    """Drop what of networkx is loaded, but for modules whose names begin with one of `keep`."""
    for name in list(sys.modules):
        ours = name == "networkx" or name.startswith("networkx.")
        if ours and not (keep and name.startswith(keep)):
            del sys.modules[name]


def _breadth_first() -> ModuleType:
    """Import `traversal.breadth_first_search` without its four siblings."""
    if _TRAVERSAL not in sys.modules:
        algorithms = sys.modules["networkx.algorithms"]
        spec = PathFinder.find_spec(_TRAVERSAL, algorithms.__path__)
        if spec is None or spec.loader is None:
            raise ImportError(f"{_TRAVERSAL} is not an ordinary package")
        module = _StandIn(_TRAVERSAL)
        module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, _TRAVERSAL
        module.__path__ = spec.submodule_search_locations or []
        sys.modules[_TRAVERSAL] = module
    return importlib.import_module(f"{_TRAVERSAL}.breadth_first_search")


def _undecorated(function: Callable[..., Any] | None = None, **_: object) -> Any:  # noqa: ANN401
    """Stand in for `@_dispatchable`, bare or with arguments: no backend but networkx itself."""
    return _identity if function is None else function


def _any_kind(*_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Stand in for `@not_implemented_for(…)`: the only kind of graph here is DiGraph."""
    return _identity


def _identity(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _clear_cache(graph: Any) -> None:  # noqa: ANN401 - any graph
    """Forget what backends derived from `graph`, as `networkx.utils.misc._clear_cache` does."""
    cache = getattr(graph, "__networkx_cache__", None)
    if cache is not None:
        cache.clear()


def _of_the_real_utils(name: str) -> Callable[..., Any]:
    """Return a function that becomes `networkx.utils.NAME` when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the real one takes
        promote()
        return getattr(importlib.import_module("networkx.utils"), name)(*args, **kwargs)

    return call
