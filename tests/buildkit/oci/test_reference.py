import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.oci import reference
from buildkit.oci.reference import Reference, name_to_give

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("app", "docker.io/library/app:latest", "app:latest"),
        ("app:1.0", "docker.io/library/app:1.0", "app:1.0"),
        ("me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest", "app:latest"),
        ("docker.io/library/app", "docker.io/library/app:latest", "app:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"),
        ("ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d", "ghcr.io/a/b/c:d"),
        ("HOST/app", "HOST/app:latest", "HOST/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:v1@{DIGEST}", f"docker.io/library/app:v1@{DIGEST}", f"app:v1@{DIGEST}"),
        ("a__b.c-d--e", "docker.io/library/a__b.c-d--e:latest", "a__b.c-d--e:latest"),
    ],
)
def test_a_name_has_a_canonical_and_a_familiar_form(
    text: str, canonical: str, familiar: str
) -> None:
    reference = Reference.parse(text)
    assert str(reference) == canonical
    assert reference.familiar == familiar
    assert Reference.parse(canonical) == Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a repository path"),
        ("App", "has upper-case letters"),
        ("a/../b", "is not a repository path"),
        ("a//b", "is not a repository path"),
        ("-a", "is not a repository path"),
        ("a:", "empty tag"),
        ("a:b:c", "is not a repository path"),
        ("a:" + "x" * 129, "impossible tag"),
        ("a:-b", "impossible tag"),
        ("a@sha256:12", "not a sha256 digest"),
        ("a@md5:00", "not a sha256 digest"),
        ("0" * 64, "is an image ID"),
        ("ho_st.x:5/a", "impossible registry host"),
        ("host:65536/a", "impossible registry host"),
        (f"host:{'9' * 5000}/a", "impossible registry host"),
        ("[::1]:99999/a", "impossible registry host"),
        ("a" * 300, "longer than 255"),
        ("a\n", "is not a repository path"),
        ("a:b\n", "impossible tag"),
    ],
)
def test_what_is_no_name_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference.parse(text)


@pytest.mark.parametrize("text", ["sha256:abc", "sha256", "docker.io/library/sha256:1"])
def test_a_name_that_reads_like_an_id_is_not_given_but_understood(text: str) -> None:
    assert Reference.parse(text).path == "library/sha256"
    with pytest.raises(ValueError, match="ambiguous tag using digest algorithm"):
        name_to_give(text)
    for other in (f"host:5/{text.rpartition('/')[2]}", "me/sha256:1", "sha256x:1"):
        assert name_to_give(other) == Reference.parse(other)


COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"


@given(st.text("ab0._-/A\n", max_size=12))
def test_a_path_is_what_distributions_grammar_says(path: str) -> None:
    expected = re.fullmatch(rf"{COMPONENT}(?:/{COMPONENT})*", path) is not None
    assert reference._is_path(path) == expected


@given(st.text("aZ0._-/\n", min_size=1, max_size=6) | st.text("a", min_size=126, max_size=130))
def test_a_tag_is_what_distributions_grammar_says(tag: str) -> None:
    assert reference._is_tag(tag) == (
        re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag) is not None
    )
