from __future__ import annotations

import unicodedata
from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async._download.file_names import MAX_NAME, extension_for, file_name, id_of_file, id_of_part
from tests.model import LONG_RUN

IDS = st.integers(-(2**63), 2**63 - 1)
HOSTILE_PARTS = st.sampled_from(
    [
        *("..", "/", "\\", "../", "..\\", "C:", "\0", "\r\n", "\x1b[2J", "\x7f", "~", "$HOME", "`id`", ".", " ", "-rf"),
        *(
            "CON",
            "NUL.txt",
            "COM1",
            "aux",
            "*",
            "?",
            '"',
            "<",
            ">",
            "|",
            ":",
            "%2e%2e%2f",
            "\u202e",
            "\u2066",
            "\u200f",
        ),
        *("\ufeff", "\u2028", "\ud800", "\udfff", "\U0010ffff", "\u0301", "e\u0301", "\u212b", "ß", "İ", "😀", "音"),
        *(".part", ".part.json", ".mp3", "x" * 300, "音" * 120, "\u0344" * 100),
    ]
)
TITLES = st.lists(HOSTILE_PARTS | st.text(st.characters(), max_size=20), max_size=12).map("".join)


@settings(max_examples=10_000 if LONG_RUN else 300, deadline=None)
@given(IDS, TITLES, st.sampled_from([".mp3", ".flac", ".weba"]))
def test_the_name_of_any_title_is_one_safe_path_component(track_id: int, title: str, extension: str) -> None:
    name = file_name(track_id, title, extension)
    for flavour in (PurePosixPath, PureWindowsPath):
        path: PurePath = flavour(name)
        assert path.parts == (name,)
        assert not path.anchor
    assert name.startswith((f"{track_id} ", f"{track_id}."))
    assert name.endswith(extension)
    assert len(name.encode()) <= MAX_NAME
    assert not set(name) & set('\\/:*?"<>|')
    assert not [c for c in name if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")]
    assert name.removesuffix(extension).rstrip(" .") == name.removesuffix(extension)
    assert (id_of_file(name), id_of_part(name)) == (track_id, None)


@given(st.lists(IDS, unique=True, max_size=20), TITLES)
def test_two_ids_never_share_a_name_even_where_case_is_ignored(ids: list[int], title: str) -> None:
    assert len({file_name(each, title, ".mp3").casefold() for each in ids}) == len(ids)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Sunlit Avenue", "7 Sunlit Avenue.mp3"),
        ("  Café   au\tlait ", "7 Café au lait.mp3"),
        ("Cafe\u0301", "7 Café.mp3"),
        ("AC/DC: Live?", "7 AC_DC_ Live_.mp3"),
        ("../../etc/passwd", "7 _.._etc_passwd.mp3"),
        ("Mr. ", "7 Mr.mp3"),
        ("\u202ecod.exe", "7 cod.exe.mp3"),
        ("...", "7.mp3"),
        ("", "7.mp3"),
        (None, "7.mp3"),
        ("音" * 100, f"7 {'音' * 45}.mp3"),
    ],
)
def test_only_harmful_parts_of_a_title_are_replaced_or_removed(title: str | None, name: str) -> None:
    assert file_name(7, title, ".mp3") == name


@pytest.mark.parametrize(
    ("paths", "media_type", "extension"),
    [
        (["/a.mp3"], "audio/wav", ".mp3"),
        (["/a.FLAC"], "", ".flac"),
        (["/a", "/b.ogg"], "", ".ogg"),
        (["/a.exe"], "audio/wav", ".wav"),
        (["/a.php"], "Audio/MPEG; charset=binary", ".mp3"),
        (["/a.mp3/"], "audio/x-m4a", ".mp3"),
        (["/mp3"], "application/octet-stream", ".mp3"),
        (["/a.mp3\0.sh", ""], "text/x-sh", ".mp3"),
    ],
)
def test_the_extension_is_of_a_known_audio_type(paths: list[str], media_type: str, extension: str) -> None:
    assert extension_for(*paths, media_type=media_type) == extension


@pytest.mark.parametrize(
    ("name", "track_id"),
    [
        ("7 a.mp3", 7),
        ("-7.wav", -7),
        ("7 a b.c.flac", 7),
        ("7 notes.txt", None),
        ("7.part", None),
        ("7a.mp3", None),
        ("a 7.mp3", None),
        ("7", None),
        ("\u0667 a.mp3", None),
        (f"{'9' * 30} a.mp3", None),
    ],
)
def test_a_file_is_recognized_by_its_id_and_an_audio_extension(name: str, track_id: int | None) -> None:
    assert id_of_file(name) == track_id


@pytest.mark.parametrize(
    ("name", "track_id"),
    [("7.part", 7), ("-7.part", -7), ("7.part.json", None), ("7 a.part", None), ("7.mp3", None)],
)
def test_a_partial_file_is_recognized_by_its_id(name: str, track_id: int | None) -> None:
    assert id_of_part(name) == track_id
