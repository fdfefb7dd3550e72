"""Values behave as `typing.NamedTuple` does, for all that this project uses of it."""

import pickle
import typing
from typing import Any

import pytest

from runtime import values


def declare(base: Any) -> Any:
    """Declare the same class on top of `base`."""

    class Sample(base):  # type: ignore[misc]
        """A sample."""

        path: str
        size: int = 0
        tags: tuple[str, ...] = ("a",)

        @property
        def long(self) -> bool:
            return self.size > 10

        @classmethod
        def parse(cls, text: str) -> Any:
            return cls(text)

    return Sample


OURS = declare(values.NamedTuple)
THEIRS = declare(typing.NamedTuple)


class Picklable(values.NamedTuple):
    path: str
    size: int = 0


@pytest.mark.parametrize(
    ("positional", "named"),
    [(("x",), {}), (("x", 1), {}), (("x", 1, ()), {}), ((), {"path": "x", "tags": ("b",)})],
)
def test_a_value_is_made_as_with_typing(positional: Any, named: Any) -> None:
    assert tuple(OURS(*positional, **named)) == tuple(THEIRS(*positional, **named))
    assert repr(OURS(*positional, **named)) == repr(THEIRS(*positional, **named))


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), (("x", 1, (), 2), {}), (("x",), {"path": "y"}), (("x",), {"sise": 1})],
)
def test_a_wrong_call_is_a_type_error_as_with_typing(positional: Any, named: Any) -> None:
    for kind in (OURS, THEIRS):
        with pytest.raises(TypeError):
            kind(*positional, **named)


def test_fields_defaults_and_docstring_are_those_of_typing() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__annotations__", "__doc__"):
        assert getattr(OURS, name) == getattr(THEIRS, name)


def test_fields_cannot_be_set_and_there_is_no_dictionary() -> None:
    value = OURS("x")
    with pytest.raises(AttributeError):
        value.path = "y"
    with pytest.raises(AttributeError):
        value.other = "y"


def test_the_helpers_of_named_tuples_are_there() -> None:
    value = OURS("x", 20)
    assert value.long
    assert OURS.parse("x") == OURS("x")
    assert value._replace(size=1) == OURS("x", 1)
    assert value._asdict() == {"path": "x", "size": 20, "tags": ("a",)}
    assert OURS._make(["x", 20, ("a",)]) == value
    with pytest.raises(ValueError, match="unexpected"):
        value._replace(sise=1)
    with pytest.raises(TypeError):
        OURS._make(["x"])
    match value:
        case OURS(path, size=20):
            assert path == "x"
        case _:
            raise AssertionError("the pattern did not match")


def test_a_default_before_a_field_without_one_is_refused() -> None:
    with pytest.raises(TypeError):

        class _Wrong(values.NamedTuple):  # type: ignore[misc]
            first: int = 0
            second: str  # type: ignore[misc]


def test_a_value_without_fields_and_one_with_many_work() -> None:
    class Nothing(values.NamedTuple):
        pass

    assert Nothing() == ()
    many = declare_many(40)
    assert tuple(many(*range(40))) == tuple(range(40))
    assert many(**{f"f{number}": number for number in range(40)}).f39 == 39


def declare_many(count: int) -> Any:
    scope = {"__annotations__": {f"f{number}": int for number in range(count)}}
    return type(values.NamedTuple)("Many", (values.NamedTuple,), scope)


def test_a_value_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(Picklable("x", 1))) == Picklable("x", 1)
