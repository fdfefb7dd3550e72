"""Instructions as the history has them."""

import pytest

from buildkit.inventory.stack import instruction


@pytest.mark.parametrize(
    ("created_by", "shown"),
    [
        ("RUN /bin/sh -c make  all # buildkit", "RUN make all"),
        ("RUN |2 A=1 B=x y /bin/sh -c make # buildkit", "RUN make"),
        ("/bin/sh -c #(nop) COPY file:1 in / ", "COPY file:1 in /"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("COPY a /b # buildkit", "COPY a /b"),
        ("", ""),
    ],
)
def test_an_entry_is_shown_as_its_instruction(created_by: str, shown: str) -> None:
    assert instruction(created_by) == shown
