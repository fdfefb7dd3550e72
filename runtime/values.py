"""Named tuples that are cheap to declare: the one kind of value in this project.

In: a class body of annotated fields. Out: what `typing.NamedTuple` would make of it, in a tenth of
the time (13 instead of 140 us a class), which for the 150 classes behind a cached build is a
quarter of its whole time. The time goes into checking annotations and compiling a `__new__` for
each class; here one is compiled for each number of fields, and given the names of the class.
Type checkers see `typing.NamedTuple` itself. Nothing here knows of sandboxes: it is in `runtime`
because that package, run by `python -I -S`, can import nothing but itself.
"""

from __future__ import annotations

# ruff: noqa: ANN001, ANN003, ANN202, ANN204, ANN206 - type checkers see typing's own, below
import sys

TYPE_CHECKING = False

if TYPE_CHECKING or sys.version_info >= (3, 14):
    # From 3.14 on annotations are functions, and making named tuples is cheaper.
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter
    from types import FunctionType

    _new = tuple.__new__
    _GLOBALS = {"_new": _new, "__builtins__": {}}
    _CODES = {}

    # Compiling one takes as long as declaring ten classes: what most classes need is here.
    _READY = (
        lambda cls: _new(cls, ()),
        lambda cls, a: _new(cls, (a,)),
        lambda cls, a, b: _new(cls, (a, b)),
        lambda cls, a, b, c: _new(cls, (a, b, c)),
        lambda cls, a, b, c, d: _new(cls, (a, b, c, d)),
        lambda cls, a, b, c, d, e: _new(cls, (a, b, c, d, e)),
        lambda cls, a, b, c, d, e, f: _new(cls, (a, b, c, d, e, f)),
        lambda cls, a, b, c, d, e, f, g: _new(cls, (a, b, c, d, e, f, g)),
        lambda cls, a, b, c, d, e, f, g, h: _new(cls, (a, b, c, d, e, f, g, h)),
        lambda cls, a, b, c, d, e, f, g, h, i: _new(cls, (a, b, c, d, e, f, g, h, i)),
        lambda cls, a, b, c, d, e, f, g, h, i, j: _new(cls, (a, b, c, d, e, f, g, h, i, j)),
        lambda cls, a, b, c, d, e, f, g, h, i, j, k: _new(cls, (a, b, c, d, e, f, g, h, i, j, k)),
    )

    def _constructor(fields, defaults):
        """Return a `__new__` that takes `fields`; the last ones have `defaults`."""
        arity = len(fields)
        code = _READY[arity].__code__ if arity < len(_READY) else _CODES.get(arity)
        if code is None:
            names = [f"field{number}" for number in range(arity)]
            scope = {}
            exec(  # noqa: S102 - numbered names only; collections.namedtuple does the same
                f"def __new__({', '.join(['cls', *names])}):\n"
                f"    return _new(cls, ({', '.join(names)}))",
                scope,
            )
            code = _CODES[arity] = scope["__new__"].__code__
        code = code.replace(co_varnames=("cls", *fields), co_name="__new__", co_qualname="__new__")
        return FunctionType(code, _GLOBALS, "__new__", defaults or None)

    class _NamedTupleMeta(type):
        """Turns annotations into fields."""

        def __new__(mcs, name, bases, scope):
            fields = tuple(scope.get("__annotations__", ()))
            if bases != (tuple,):
                given = [field in scope for field in fields]
                if given != sorted(given):
                    raise TypeError(f"{name}: a field without a default follows one with")
                defaults = tuple(scope.pop(field) for field in fields if field in scope)
                scope.update(
                    __new__=_constructor(fields, defaults),
                    __slots__=(),
                    __match_args__=fields,
                    _fields=fields,
                    _field_defaults=dict(
                        zip(fields[len(fields) - len(defaults) :], defaults, strict=True)
                    ),
                )
                for number, field in enumerate(fields):
                    scope[field] = _tuplegetter(number, None)
            return super().__new__(mcs, name, bases, scope)

    class NamedTuple(tuple, metaclass=_NamedTupleMeta):
        """What all values derive from; see `typing.NamedTuple`."""

        __slots__ = ()
        _fields = ()

        @classmethod
        def _make(cls, items):
            value = _new(cls, items)
            if len(value) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(value)}")
            return value

        def _replace(self, /, **changes):
            value = _new(type(self), map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"got unexpected field names: {list(changes)!r}")
            return value

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            pairs = zip(self._fields, self, strict=True)
            shown = ", ".join(f"{name}={value!r}" for name, value in pairs)
            return f"{type(self).__name__}({shown})"
