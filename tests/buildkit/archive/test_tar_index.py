"""Finding the members of a tar file."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.archive.tar_index import LinkTo, Part, read_index, resolved
from buildkit.errors import ImageError


def make_tar(*members: tuple[str, bytes | str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of (name, content or link target, type)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                tar.addfile(info)
    return out.getvalue()


def _content(data: bytes, name: str) -> bytes:
    part = resolved(read_index(io.BytesIO(data), "a.tar"), name)
    assert part is not None
    return data[part.offset : part.offset + part.size]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a", "./a/b", "d" * 90 + "/" + "f" * 90, "caf\u00e9"])
def test_members_are_found_in_every_form_of_tar(form: int, name: str) -> None:
    data = make_tar((name, b"one", tarfile.REGTYPE), ("z", b"", tarfile.REGTYPE), form=form)
    assert _content(data, name.removeprefix("./")) == b"one"
    assert _content(data, "z") == b""


def test_names_longer_than_a_header_holds_are_read() -> None:
    name = "/".join(["part" * 20] * 10)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert _content(make_tar((name, b"x", tarfile.REGTYPE), form=form), name) == b"x"


def test_links_lead_to_members_only() -> None:
    data = make_tar(
        ("d/real", b"content", tarfile.REGTYPE),
        ("e/soft", "../d/real", tarfile.SYMTYPE),
        ("hard", "d/real", tarfile.LNKTYPE),
        ("out", "/etc/passwd", tarfile.SYMTYPE),
        ("climb", "../../etc/passwd", tarfile.SYMTYPE),
    )
    places = read_index(io.BytesIO(data), "a.tar")

    assert places["e/soft"] == LinkTo("d/real")
    assert resolved(places, "e/soft") == resolved(places, "hard") == resolved(places, "d/real")
    assert resolved(places, "out") is None
    assert resolved(places, "climb") is None


def test_a_ring_of_links_leads_nowhere() -> None:
    data = make_tar(("a", "b", tarfile.SYMTYPE), ("b", "a", tarfile.SYMTYPE))
    assert resolved(read_index(io.BytesIO(data), "a.tar"), "a") is None


def test_the_later_of_two_members_counts() -> None:
    data = make_tar(("a", b"old", tarfile.REGTYPE), ("a", b"new", tarfile.REGTYPE))
    assert _content(data, "a") == b"new"


def test_a_member_that_becomes_a_device_is_gone() -> None:
    data = make_tar(("a", b"old", tarfile.REGTYPE), ("a", b"", tarfile.CHRTYPE))
    assert read_index(io.BytesIO(data), "a.tar") == {}


def test_names_that_climb_are_refused() -> None:
    data = make_tar(("a/../../b", b"x", tarfile.REGTYPE))
    with pytest.raises(ImageError, match="impossible name"):
        read_index(io.BytesIO(data), "a.tar")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello", "cut short"),
        (b"PK\3\4" + bytes(600), "not a tar archive"),
        (make_tar(("a", b"x" * 2000, tarfile.REGTYPE))[:1500], "cut short"),
        (make_tar(("a", b"x" * 2000, tarfile.REGTYPE))[:2560], "cut short"),
    ],
)
def test_what_is_no_whole_tar_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_index(io.BytesIO(data), "a.tar")


def _with_size(field: bytes) -> bytes:
    data = bytearray(make_tar(("a", b"x", tarfile.REGTYPE)))
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    "field", [b"-0000000001\0", b"\xff" * 12, b"99999999999\0", b"\x80" + b"\x7f" * 11]
)
def test_negative_huge_and_unreadable_sizes_are_errors(field: bytes) -> None:
    with pytest.raises(ImageError):
        read_index(io.BytesIO(_with_size(field)), "a.tar")


@pytest.mark.parametrize(
    "record", [b"0 a=b\n", b"3 a=b\n", b"9999 path=a\n", b"8 size=\n", b"12 size=-12\n", b"junk"]
)
def test_garbled_extended_headers_are_errors(record: bytes) -> None:
    data = make_tar(("h", record, tarfile.XHDTYPE), ("a", b"x", tarfile.REGTYPE))
    with pytest.raises(ImageError):
        read_index(io.BytesIO(data), "a.tar")


_WHOLE = make_tar(("a/b", b"x" * 700, tarfile.REGTYPE), ("c", "a/b", tarfile.SYMTYPE))


@settings(max_examples=200)
@given(st.integers(0, len(_WHOLE) - 1), st.binary(min_size=1, max_size=12))
def test_damage_gives_an_image_error_or_parts_inside_the_file(at: int, noise: bytes) -> None:
    for data in (_WHOLE[:at], (_WHOLE[:at] + noise + _WHOLE[at + len(noise) :])):
        try:
            places = read_index(io.BytesIO(data), "a.tar")
        except ImageError:
            continue
        for place in places.values():
            assert not isinstance(place, Part) or place.offset + place.size <= len(data)
