"""Passwords and tokens in URLs, masked."""

import pytest

from grammar.urls import blotted, redacted


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://me:secret@host/x", "https://***@host/x"),
        ("https://me:se@cr:et@host/x@y", "https://***@host/x@y"),
        ("https://:secret@host", "https://***@host"),
        ("https://secret@host/x.git#a@b", "https://***@host/x.git#a@b"),
        ("https://secret:x-oauth-basic@host/x.git", "https://***@host/x.git"),
        ("ssh://git@host/x.git", "ssh://git@host/x.git"),
        ("ssh://git:secret@host/x.git", "ssh://***@host/x.git"),
        ("git@host:x.git", "git@host:x.git"),
        ("ADD HTTP://t@a/b https://u:v@c d@e /", "ADD HTTP://***@a/b https://***@c d@e /"),
        ("https://host/x?me:y@z", "https://host/x?me:y@z"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://@host/", "https://@host/"),
        ("nothing", "nothing"),
    ],
)
def test_what_is_masked(text: str, masked: str) -> None:
    assert redacted(text) == masked
    assert redacted(masked) == masked
    assert len(blotted(text)) == len(text)
    assert "secret" not in blotted(text)
    assert "cr:et" not in blotted(text)
