"""JSON without the package: the same values, texts and errors."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import plain_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_values_become_the_text_that_the_package_gives(value: object) -> None:
    for ascii_only in (True, False):
        wanted = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
        assert plain_json.dumps(value, ascii_only=ascii_only) == wanted


@given(VALUES, st.sampled_from(["", " ", "\n\t\r "]))
def test_a_text_becomes_the_values_that_the_package_gives(value: object, space: str) -> None:
    text = f"{space}{json.dumps(value, indent=1)}{space}"
    assert plain_json.loads(text) == json.loads(text) == value
    assert plain_json.loads(text.encode()) == value


DOCUMENTS = [
    *(b"", b" ", b"{", b"[1,]", b'{"a":1,}', b'{"a" 1}', b"{} {}", b"1 2", b"nul", b"01", b"[1 2]"),
    *(b'"\\x"', b'"\x01"', b'"\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b"\xef\xbb\xbf{}", b"\x00{"),
    *(b"NaN", b"[Infinity,-Infinity]", b"-", b"\xc2\xa0{}", b"{}\x0c", b'{"a":1,"a":2}', b"1e999"),
    *(b"[" * 100_000, '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32-le")),
    *('{"a":1}'.encode("utf-8-sig"), "\ufeff{}", "[]\u2028", '"\ud800"', "{}\n", "\u00a0{}"),
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: repr(document[:20]))
def test_odd_documents_are_read_or_refused_as_the_package_does(document: bytes | str) -> None:
    assert outcome(plain_json.loads, document) == outcome(json.loads, document)


def test_a_damaged_document_is_refused_where_nobody_has_imported_the_package() -> None:
    program = (
        "import sys; from runtime import plain_json\n"
        "assert 'json' not in sys.modules\n"
        "try: plain_json.loads('[\"a\"')\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("Expecting ',' delimiter: line 1 column 5"), done.stderr


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_json_lacks_go_to_whoever_asks(name: str) -> None:
    def refuse(text: str) -> None:
        raise ValueError(f"no {text}")

    with pytest.raises(ValueError, match=f"no {name}"):
        plain_json.loads(f'{{"a":[{name}]}}', parse_constant=refuse)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", {(1, 2): 3}, object])
def test_what_is_no_json_is_refused_as_the_package_does(value: object) -> None:
    assert outcome(plain_json.dumps, value) == outcome(json.dumps, value)


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert outcome(plain_json.dumps, circle) == outcome(json.dumps, circle)


def outcome(function: Any, argument: object) -> object:
    try:
        value = function(argument)
    except (ValueError, TypeError, RecursionError) as error:
        return type(error).__name__, str(error).partition(" while ")[0]
    return repr(value)
