from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import Page, Track, TrackList
from jogg_async.models import Fields

EXTRA = {"tags": ["a", {"b": None}], "text": "Ünïcode \U0001f3b5 \u2028", "n": 2**63 - 1}
TRACKS = [
    Track(1, "Morning", "https://cdn.example/1.mp3", 61, Fields(EXTRA)),
    Track(2**63 - 1, None, None, None),
    Track(-(2**63), "", "", 0),
    Track(3, "Ünïcode \U0001f3b5", "http://cdn.example/3.mp3?a=1&b=2", -1, Fields({"x": None})),
]
ROWS = [
    (track.id, track.name, track.music_url, track.duration, dict(track.extra) if track.extra else None)
    for track in TRACKS
]
COLUMNS = ["id", "name", "music_url", "duration", "extra"]
SOME = st.lists(st.builds(Track, st.integers(0, 3), st.sampled_from([None, "a"])), max_size=6)
SLICES = st.slices(6)


@settings(deadline=None)
@given(SOME, SOME, SLICES, st.builds(Track, st.integers(0, 3)), st.integers(-7, 7), st.integers(-7, 7))
def test_track_list_behaves_as_a_tuple(  # noqa: PLR0917 (what hypothesis draws)
    tracks: list[Track], others: list[Track], part: slice, track: Track, start: int, stop: int
) -> None:
    found, model = TrackList(tracks), tuple(tracks)
    assert (len(found), bool(found), tuple(found), tuple(reversed(found))) == (
        *(len(model), bool(model), model),
        model[::-1],
    )
    assert isinstance(found[part], TrackList)
    assert tuple(found[part]) == model[part]
    assert (track in found, found.count(track)) == (track in model, model.count(track))
    assert (found == TrackList(others), hash(found) == hash(TrackList(tracks))) == (tracks == others, True)
    for place in range(-len(model), len(model)):
        assert found[place] is model[place]
    for ours, its in (
        (lambda: found[start], lambda: model[start]),
        (lambda: found.index(track), lambda: model.index(track)),
        (lambda: found.index(track, start), lambda: model.index(track, start)),
        (lambda: found.index(track, start, stop), lambda: model.index(track, start, stop)),
    ):
        assert result(ours) == result(its)


def result(call: Any) -> Any:
    try:
        return call()
    except (IndexError, ValueError) as error:
        return type(error)


def test_track_list_holds_the_tracks_of_any_iterable_and_never_changes() -> None:
    def each() -> Iterator[Track]:
        yield from TRACKS

    found = TrackList(each())
    assert list(found) == TRACKS
    assert TrackList() == TrackList([])
    assert found != tuple(TRACKS)
    assert not hasattr(found, "append")
    assert not hasattr(found, "__setitem__")
    assert not hasattr(found, "__dict__")
    assert repr(found) == "<TrackList of 4 tracks>"


def test_the_tracks_of_a_page_make_a_track_list() -> None:
    page = Page(tuple(TRACKS))
    found = TrackList(page.tracks)
    assert list(found) == TRACKS
    assert found == TrackList(TRACKS)
    assert "Morning" in found._repr_html_()
    pa = pytest.importorskip("pyarrow")
    assert pa.table(found).column("id").to_pylist() == [track.id for track in page.tracks]


def test_track_list_is_not_registered_as_a_sequence() -> None:
    assert not isinstance(TrackList(), Sequence)
    assert not issubclass(TrackList, tuple | list)


@pytest.mark.parametrize("tracks", [[], TRACKS])
def test_track_list_pickles_and_copies(tracks: list[Track]) -> None:
    found = TrackList(tracks)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(found, protocol)) == found
    assert copy.copy(found) == copy.deepcopy(found) == found


class Shown(HTMLParser):
    """HTML parser that collects the elements a browser would show."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def sources(self) -> list[str | None]:
        return [value for name, value in self.attributes if name == "src"]


def html(*tracks: Track) -> str:
    return TrackList(tracks)._repr_html_()


NASTY = st.text(st.sampled_from("<>\"'&;= /:ahtpsj()\n\t\x00") | st.characters(codec="utf-8"), max_size=30)
URLS = st.one_of(NASTY, NASTY.map("https://".__add__), NASTY.map("javascript:".__add__), NASTY.map("http://h/".__add__))


@settings(deadline=None)
@given(NASTY, URLS)
def test_html_escapes_every_value_of_the_catalogue(name: str, url: str) -> None:
    shown = Shown(html(Track(1, name, url)))
    assert set(shown.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "audio"}
    assert {attribute for attribute, _ in shown.attributes} <= {"src", "controls", "preload"}
    assert shown.tags.count("td") == 4
    assert all(re.match(r"[\x00-\x20]*https?://", each or "", re.IGNORECASE) for each in shown.sources)


@pytest.mark.parametrize(
    ("url", "played"),
    [
        *[("https://cdn.example/a.mp3?x=1&y=2", True), ("http://cdn.example/a", True), ("HTTPS://cdn.example/", True)],
        *[('https://cdn.example/"><script>alert(1)</script>', True), ("https://cdn.example/'onerror='x", True)],
        *[("javascript:alert(1)", False), ("java\nscript:alert(1)", False), (" javascript:alert(1)//http://", False)],
        *[("data:audio/mp3;base64,AAAA", False), ("file:///etc/hosts", False), ("//cdn.example/a", False)],
        *[
            ("ftp://cdn.example/a", False),
            ("a.mp3", False),
            ("https:", False),
            ("http:///a", False),
            ("https://[x", False),
        ],
        *[("vbscript:x", False), ("blob:https://cdn.example/a", False), ("", False), (None, False)],
    ],
)
def test_html_plays_only_http_and_https_addresses(url: str | None, played: bool) -> None:
    assert Shown(html(Track(1, "x", url))).sources == ([url] if played else [])


def test_html_shows_markup_in_a_name_as_text() -> None:
    shown = html(Track(5, "<script>alert('&amp;')</script>", "<img src=x onerror=alert(1)>"))
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<script>alert('&amp;')</script>" in Shown(shown).text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (5, "0:05"), (61, "1:01"), (3600, "60:00"), (-1, "-0:01"), (None, "")]
)
def test_html_shows_durations_as_minutes_and_seconds(seconds: int | None, shown: str) -> None:
    assert f"<td>{shown}</td>" in html(Track(1, "x", None, seconds))


def test_html_table_has_a_bounded_number_of_rows() -> None:
    many = Shown(html(*(Track(number, "x", "https://h/x") for number in range(12_345))))
    assert many.tags.count("audio") == 50
    assert "12,295 more" in "".join(many.text)
    assert "more" not in "".join(Shown(html(*TRACKS[:1] * 50)).text)
    assert "1 more" in "".join(Shown(html(*TRACKS[:1] * 51)).text)
    assert Shown(html()).tags.count("td") == 0
    assert "more" not in "".join(Shown(html(TRACKS[0])).text)


def rows_of(rows: Any) -> list[tuple[Any, ...]]:
    return [(*row[:4], None if row[4] is None else json.loads(row[4])) for row in rows]


def test_pyarrow_reads_a_track_list() -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table(TrackList(TRACKS))
    assert table.schema.names == COLUMNS
    assert table.schema.types == [pa.int64(), pa.string(), pa.string(), pa.int64(), pa.string()]
    assert rows_of(tuple(row.values()) for row in table.to_pylist()) == ROWS
    assert [field.nullable for field in table.schema] == [False, True, True, True, True]
    empty = pa.table(TrackList())
    assert (empty.num_rows, empty.schema) == (0, table.schema)
    assert pa.schema(TrackList(TRACKS)) == table.schema
    wider = pa.schema(
        [pa.field(name, pa.large_string()) if name == "name" else table.schema.field(name) for name in COLUMNS]
    )
    assert pa.RecordBatchReader.from_stream(TrackList(TRACKS), schema=wider).read_all().schema == wider


def test_pandas_reads_a_track_list() -> None:
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas", minversion="3.0")
    frame = pd.DataFrame.from_arrow(TrackList(TRACKS))
    assert list(frame.columns) == COLUMNS
    assert frame["id"].tolist() == [track.id for track in TRACKS]
    assert json.loads(frame["extra"][0]) == EXTRA
    assert pd.DataFrame.from_arrow(TrackList()).shape == (0, 5)


def test_polars_reads_a_track_list() -> None:
    pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(TrackList(TRACKS))
    assert frame.columns == COLUMNS
    assert rows_of(frame.rows()) == ROWS
    assert pl.DataFrame(TrackList()).schema == frame.schema


def test_duckdb_reads_a_track_list() -> None:
    pytest.importorskip("pyarrow")
    duckdb = pytest.importorskip("duckdb")
    found, empty = TrackList(TRACKS), TrackList()
    with duckdb.connect() as connection:
        assert rows_of(connection.sql("SELECT * FROM found").fetchall()) == ROWS
        assert connection.sql("SELECT count(*), sum(id) FROM empty").fetchall() == [(0, None)]
    assert len(found) + len(empty) == 4


def test_without_pyarrow_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jogg_async._render.arrow", raising=False)
    monkeypatch.delattr("jogg_async._render.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    found = TrackList(TRACKS)
    for call in (found.__arrow_c_stream__, found.__arrow_c_schema__):
        with pytest.raises(ImportError, match=r"jogg-async\[arrow\]") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert str(caught.value).count(". ") == 0
    assert found._repr_html_()
    assert found[0] is TRACKS[0]
