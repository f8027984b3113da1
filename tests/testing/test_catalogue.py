from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async.testing import GENRES, MOODS, Catalogue

DOCUMENTED = ["id", "name", "music_url", "duration"]


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows]


def test_generated_rows_have_the_documented_fields_and_plausible_values() -> None:
    rows = list(Catalogue(5000))
    assert all(list(row) == DOCUMENTED for row in rows)
    assert ids(rows) == list(range(1, 5001))
    assert len({row["name"] for row in rows}) == 5000
    assert all(45 <= row["duration"] < 240 for row in rows)
    assert rows[6]["music_url"] == "/music/7.wav"


def test_same_seed_generates_the_same_rows() -> None:
    assert list(Catalogue(300, seed=7)) == list(Catalogue(300, seed=7))
    assert list(Catalogue(300, seed=7)) != list(Catalogue(300, seed=8))
    assert list(Catalogue(300))[:200] == list(Catalogue(200))


def test_rows_of_the_default_seed_do_not_change_between_versions() -> None:
    assert Catalogue()[0] == {"id": 1, "name": "Marble Fountain", "music_url": "/music/1.wav", "duration": 116}


def test_texts_of_a_view_are_its_rows_as_json() -> None:
    catalogue = Catalogue(9000, show_filters=True)
    catalogue.base_url = "http://127.0.0.1:1"
    catalogue.insert(4500, track={"id": 1.5, "name": 'é"\\'})
    view = catalogue.filtered()
    assert [json.loads(text) for text in view.texts(4000, 9000)] == view[4000:9000]


def test_filters_match_genre_and_mood_without_regard_to_case() -> None:
    shown, hidden = Catalogue(9000, show_filters=True), Catalogue(9000)
    wanted = [row["id"] for row in shown if row["genre"] == "Jazz" and row["mood"] == "Calm"]
    assert wanted
    assert ids(shown.filtered(genre="jAZZ", mood="calm")) == ids(hidden.filtered(genre="Jazz", mood="Calm")) == wanted
    assert "genre" not in hidden[0]
    assert sum(len(shown.filtered(genre=genre)) for genre in GENRES) == 9000
    assert sum(len(shown.filtered(mood=mood)) for mood in MOODS) == 9000


def test_unknown_filter_value_matches_nothing_and_an_empty_one_everything() -> None:
    assert len(Catalogue(10).filtered(genre="Polka")) == 0
    assert list(Catalogue(10).filtered(genre="Polka")) == []
    assert len(Catalogue(10).filtered(genre="", mood=None)) == 10


def test_given_rows_are_served_unchanged() -> None:
    rows: list[dict[str, Any]] = [{"id": 5, "genre": "Jazz"}, {"id": "odd", "bpm": 90}, {}]
    catalogue = Catalogue(iter(rows))
    assert list(catalogue) == rows
    assert list(catalogue.filtered(genre="jazz")) == rows[:1]
    assert list(catalogue.insert()) == [6]


def test_a_million_rows_take_little_time_and_memory() -> None:
    Catalogue(1)[0]  # fill the cached table of tracks
    tracemalloc.start()
    started = time.process_time()
    catalogue = Catalogue(1_000_000)
    assert ids(catalogue[999_999:]) == [1_000_000]
    view = catalogue.filtered(genre="Ambient", mood="Calm")
    assert ids(view[-1:])[0] > 990_000
    assert 3_000 < len(view) < 20_000
    elapsed, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed < 0.2
    assert peak < 1_000_000


def test_generated_ids_can_have_gaps() -> None:
    catalogue = Catalogue(4, first_id=100, id_step=7)
    assert ids(catalogue) == [100, 107, 114, 121]
    assert catalogue.index(114) == 2
    assert list(catalogue.insert(count=2)) == [128, 135]
    with pytest.raises(KeyError):
        catalogue.index(115)


def test_inserted_rows_never_reuse_an_id() -> None:
    catalogue = Catalogue(3)
    catalogue.remove(slice(None))
    catalogue.insert(track={"id": 50})
    assert list(catalogue.insert(1, count=2)) == [51, 52]
    assert ids(catalogue) == [50, 51, 52]


def test_view_does_not_change_when_the_catalogue_is_edited() -> None:
    catalogue = Catalogue(5)
    view = catalogue.filtered()
    catalogue.remove(0)
    assert ids(view) == [1, 2, 3, 4, 5]
    assert ids(catalogue) == [2, 3, 4, 5]


def test_number_of_cached_views_is_bounded() -> None:
    catalogue = Catalogue(5)
    views = [catalogue.filtered(genre=f"genre {number}") for number in range(300)]
    assert not any(len(view) for view in views)


@pytest.mark.parametrize("build", [lambda: Catalogue(-1), lambda: Catalogue(10**20), lambda: Catalogue(id_step=0)])
def test_catalogue_rejects_sizes_out_of_range(build: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        build()


@pytest.mark.parametrize("where", [3, -4])
def test_removing_a_row_that_does_not_exist_raises_index_error(where: int) -> None:
    with pytest.raises(IndexError):
        Catalogue(3).remove(where)


def test_removing_an_unknown_id_raises_key_error() -> None:
    catalogue = Catalogue(5)
    with pytest.raises(KeyError):
        catalogue.remove_ids(2, 9)
    assert ids(catalogue) == [1, 3, 4, 5]


indexes = st.integers(-30, 30)
slices = st.builds(slice, st.none() | indexes, st.none() | indexes, st.none() | st.sampled_from([-3, -1, 1, 2]))
edits = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), indexes, st.integers(0, 5)),
        st.tuples(st.just("track"), indexes, st.just(0)),
        st.tuples(st.just("remove"), slices, st.just(0)),
    ),
    max_size=12,
)


@given(size=st.integers(0, 20), edits=edits, start=indexes, stop=indexes, step=st.sampled_from([1, 2, -1]))
@settings(max_examples=200, deadline=None)
def test_edits_match_the_same_edits_of_a_list(size: int, edits: Any, start: int, stop: int, step: int) -> None:
    catalogue, model, fresh = Catalogue(size, show_filters=True), list(range(1, size + 1)), size
    for verb, where, count in edits:
        if verb == "remove":
            catalogue.remove(where)
            del model[where]
            continue
        fresh += 1
        if verb == "track":
            assert catalogue.insert(where, track={"id": fresh, "genre": "Jazz"}) == [fresh]
            model.insert(where, fresh)
        else:
            new = list(catalogue.insert(where, count=count))
            model[where:where] = new
            fresh = new[-1] if new else fresh - 1
    assert ids(catalogue) == model
    assert len(catalogue) == len(model)
    assert ids(catalogue[start:stop:step]) == model[start:stop:step]
    assert all(catalogue.index(track_id) == model.index(track_id) for track_id in model)
    jazz = [row for row in catalogue if row["genre"] == "Jazz"]
    view = catalogue.filtered(genre="Jazz")
    assert list(view) == jazz
    assert view[start:stop:step] == jazz[start:stop:step]
