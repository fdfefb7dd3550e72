"""What of `typing` there has to be at run time, without `typing`: importing that costs 2 ms.

In: nothing. Out: `Protocol`, `Literal`, `NewType`, `TypeVar`, `Generic`, `cast`, `get_args`,
`overload` and `assert_never`. Type checkers see typing's own; a running program sees what is enough
for one that asks nothing about its types. All other names of `typing` are for annotations, which
are not evaluated (PEP 563), and are imported under `if TYPE_CHECKING:`.
"""

# ruff: noqa: ANN001, ANN201, ANN204 - type checkers see typing's own

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NewType as NewType
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import assert_never as assert_never
    from typing import cast as cast
    from typing import get_args as get_args
    from typing import overload as overload
else:

    class Literal:
        """One of some values, which `get_args` returns; see `typing.Literal`."""

        __slots__ = ("__args__",)

        def __class_getitem__(cls, values):
            form = cls()
            form.__args__ = values if isinstance(values, tuple) else (values,)
            return form

        def __or__(self, _other):
            return self

        __ror__ = __or__

    class Protocol:
        """What a class looks like that says what others must have; see `typing.Protocol`."""

        __slots__ = ()

    class Generic:
        """What a class with parameters derives from; see `typing.Generic`."""

        __slots__ = ()

        def __class_getitem__(cls, _parameters):
            return cls

    def NewType(_name, kind):  # noqa: N802 - typing's name
        """Return `kind` itself; see `typing.NewType`."""
        return kind

    def TypeVar(name, *_constraints, **_options):  # noqa: ANN002, ANN003, N802 - typing's name
        """Return something that can be named; see `typing.TypeVar`."""
        return name

    def cast(_kind, value):
        """Return `value`; see `typing.cast`."""
        return value

    def get_args(form):
        """Return the values of a `Literal`; see `typing.get_args`."""
        return form.__args__

    def overload(function):
        """Return `function`; see `typing.overload`."""
        return function

    def assert_never(value):
        """Raise AssertionError: nobody gets here; see `typing.assert_never`."""
        raise AssertionError(f"Expected code to be unreachable, but got: {value!r}")
