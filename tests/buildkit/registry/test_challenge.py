"""What a WWW-Authenticate header asks for."""

import pytest

from buildkit.registry.challenge import parse_challenges

CASES = [
    ("", []),
    ("Basic", [("basic", {})]),
    ('Basic realm="a, b"', [("basic", {"realm": "a, b"})]),
    ('BASIC Realm="x"', [("basic", {"realm": "x"})]),
    (
        'Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"',
        [
            (
                "bearer",
                {
                    "realm": "https://auth.example/token",
                    "service": "reg",
                    "scope": "repository:a/b:pull,push",
                },
            )
        ],
    ),
    ("Bearer realm=x , service=y", [("bearer", {"realm": "x", "service": "y"})]),
    ('Basic realm="x", Bearer realm="y"', [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
    (r'Basic realm="a\"b"', [("basic", {"realm": 'a"b'})]),
    ('Basic realm="never closed', [("basic", {})]),
    ("Bearer realm=a,realm=b", [("bearer", {"realm": "a"})]),
    ("@@@", []),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_challenge_is_read(text: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, found.parameters) for found in parse_challenges(text)] == expected


def test_a_long_header_is_read_in_linear_time() -> None:
    assert parse_challenges('Basic realm="' + '\\"' * 1_000_000)[0].scheme == "basic"
    assert parse_challenges("a " * 1_000_000)
    assert parse_challenges("=" * 1_000_000) == ()
