"""Generated tracks, and the segments that a catalogue consists of.

Generated tracks are not kept in memory. A table of `PERIOD` tracks, made from the seed, repeats without end; from the
second time on, each name ends with a number ("Sunlit Avenue", "Sunlit Avenue No. 2"). So row 999,999 costs as much as
row 0, and the rows that match a filter are counted by arithmetic.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from ._arguments import checked_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["GENRES", "MOODS", "PERIOD", "FixedSegment", "GeneratedSegment", "Segment", "TrackGenerator"]

GENRES: Final = (
    "Corporate",
    "Ambient",
    "Electronic",
    "Acoustic",
    "Cinematic",
    "Hip Hop",
    "Jazz",
    "Lo-Fi",
    "Pop",
    "Rock",
    "Folk",
    "Classical",
)
"""The genres of generated tracks. The service takes any string and lists none; two of these are its own examples."""

MOODS: Final = (
    "Calm",
    "Energetic",
    "Happy",
    "Inspiring",
    "Dramatic",
    "Dreamy",
    "Hopeful",
    "Playful",
    "Romantic",
    "Dark",
)
"""The moods of generated tracks. The service takes any string and lists none; two of these are its own examples."""

_FIRST_WORDS: Final = """
    Sunlit Quiet Golden Velvet Distant Electric Crystal Gentle Midnight Wandering Silver Hidden Amber Restless
    Floating Northern Paper Neon Hollow Tender Rising Frozen Scarlet Open Drifting Lucky Lunar Misty Bright Slow
    Endless Wild Copper Early Faded Secret Summer Winter Broken Little Marble Indigo Salty Rainy Lonely Sacred
    Modern Simple Urban Coastal Desert Emerald Fearless Glowing Honest Ivory Joyful Kindred Late Mellow Noble
    Pastel Rolling Sleepy
""".split()  # noqa: SIM905 (a list of literals is four times as long)

_SECOND_WORDS: Final = """
    Avenue Horizon River Morning Skyline Garden Café Harbor Signal Meadow Lantern Orbit Journey Canvas Mirror
    Station Echo Forest Parade Window Summit Tide Letter Compass Bridge Voyage Rooftop Carousel Sparrow Ember
    Valley Theory Motion Postcard Lagoon Cathedral Sunday Balloon Monsoon Prairie Boulevard Satellite Arcade
    Blossom Canyon Drive Evening Fountain Galaxy Hillside Island Jasmine Kite Lullaby Market Nocturne Orchard
    Promise Quartz Riddle Serenade Terrace Umbrella Waltz
""".split()  # noqa: SIM905 (a list of literals is four times as long)

PERIOD: Final = len(_FIRST_WORDS) * len(_SECOND_WORDS)
"""Number of tracks in the table. After them, the table repeats, with "No. 2", "No. 3" and so on in the names."""


class _Template(NamedTuple):
    name: str
    genre: str
    mood: str
    duration: int


@lru_cache(maxsize=8)
def _templates(seed: int) -> tuple[_Template, ...]:
    # Random.random() alone promises the same numbers on every Python version; shuffle() and choice() do not.
    draw = random.Random(seed).random  # noqa: S311 (no secret)
    names = [f"{first} {second}" for first in _FIRST_WORDS for second in _SECOND_WORDS]
    names.sort(key=lambda _: draw())
    return tuple(
        _Template(name, GENRES[int(draw() * len(GENRES))], MOODS[int(draw() * len(MOODS))], 45 + int(draw() * 195))
        for name in names
    )


@lru_cache(maxsize=8)
def _json_formats(seed: int, show_filters: bool) -> tuple[str, ...]:
    # Filling in a format is some eight times cheaper than json.dumps of a dict; the words need no JSON escapes.
    tail = ',"genre":"{0.genre}","mood":"{0.mood}"' if show_filters else ""
    record = '{{"id":%d,"name":"{0.name}%s","music_url":"%s/music/%d.wav","duration":{0.duration}' + tail + "}}"
    return tuple(record.format(template) for template in _templates(seed))


@lru_cache(maxsize=512)
def _matching_places(seed: int, genre: str | None, mood: str | None) -> Sequence[int]:
    return [
        place
        for place, template in enumerate(_templates(seed))
        if _matches(template.genre, genre) and _matches(template.mood, mood)
    ]


def _matches(value: Any, wanted: str | None) -> bool:
    return wanted is None or (isinstance(value, str) and value.casefold() == wanted.casefold())


def _round_suffix(number: int) -> str:
    return f" No. {number // PERIOD + 1}" if number >= PERIOD else ""


class TrackGenerator:
    """Endless sequence of invented tracks, numbered from 0; the same seed gives the same tracks.

    Args:
        seed: Any integer; picks names, genres, moods and durations (45 to 239 seconds).
        first_id: Id of track 0.
        id_step: Difference between one id and the next, 1 or more. Above 1, ids have gaps.
        show_filters: Add `genre` and `mood` to each record, two fields that the service does not document.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: `id_step` is below 1.
    """

    def __init__(self, seed: int = 0, *, first_id: int = 1, id_step: int = 1, show_filters: bool = False) -> None:
        self.seed = seed
        self.first_id = first_id
        self.id_step = checked_int("id_step", id_step, 1)
        self.show_filters = show_filters

    def id_of(self, number: int) -> int:
        """Return the id of a track, given its number."""
        return self.first_id + number * self.id_step

    def number_of(self, track_id: int) -> int | None:
        """Return the number of the track with this id, or `None` if no track has it."""
        number, rest = divmod(track_id - self.first_id, self.id_step)
        return number if rest == 0 and number >= 0 else None

    def first_number_above(self, track_id: int) -> int:
        """Return the lowest number whose id is above `track_id`."""
        return max(0, (track_id - self.first_id) // self.id_step + 1)

    def record(self, number: int, base_url: str) -> dict[str, Any]:
        """Return a track as the record that the service would send."""
        template, track_id = _templates(self.seed)[number % PERIOD], self.id_of(number)
        record: dict[str, Any] = {
            "id": track_id,
            "name": template.name + _round_suffix(number),
            "music_url": f"{base_url}/music/{track_id}.wav",
            "duration": template.duration,
        }
        return {**record, "genre": template.genre, "mood": template.mood} if self.show_filters else record

    def json_texts(self, numbers: Sequence[int], base_url: str) -> list[str]:
        """Return the records of several tracks as JSON texts."""
        formats = _json_formats(self.seed, self.show_filters)
        first, step = self.first_id, self.id_step
        return [
            formats[n % PERIOD]
            % (track_id := first + n * step, "" if n < PERIOD else _round_suffix(n), base_url, track_id)
            for n in numbers
        ]

    def count_matches(self, stop: int, genre: str | None = None, mood: str | None = None) -> int:
        """Return how many of tracks 0 to `stop` (excluded) match the filters."""
        if genre is None and mood is None:
            return stop
        places = _matching_places(self.seed, genre, mood)
        rounds, place = divmod(stop, PERIOD)
        return rounds * len(places) + bisect_left(places, place)

    def matches(self, start: int, stop: int, genre: str | None = None, mood: str | None = None) -> Sequence[int]:
        """Return the numbers of matching tracks: from the match at index `start` to the one at `stop` (excluded)."""
        if genre is None and mood is None:
            return range(start, stop)
        places = _matching_places(self.seed, genre, mood)
        return [index // len(places) * PERIOD + places[index % len(places)] for index in range(start, stop)]


@attrs.frozen
class GeneratedSegment:
    """Generated tracks `first` to `stop` (excluded) that match the filters."""

    generator: TrackGenerator
    first: int
    stop: int
    genre: str | None = None
    mood: str | None = None

    def __len__(self) -> int:
        return self._count_matches(self.stop) - self._count_matches(self.first)

    def _count_matches(self, stop: int) -> int:
        return self.generator.count_matches(stop, self.genre, self.mood)

    def _numbers(self, start: int, stop: int) -> Sequence[int]:
        before = self._count_matches(self.first)
        return self.generator.matches(before + start, before + stop, self.genre, self.mood)

    def split(self, index: int) -> tuple[GeneratedSegment, GeneratedSegment]:
        """Return the rows before `index` and those from it on. Only for a segment without filters."""
        middle = self.first + index
        return attrs.evolve(self, stop=middle), attrs.evolve(self, first=middle)

    def filtered(self, genre: str | None, mood: str | None) -> GeneratedSegment:
        """Return the rows that match the filters."""
        return attrs.evolve(self, genre=genre, mood=mood)

    def records(self, start: int, stop: int, base_url: str) -> list[dict[str, Any]]:
        """Return rows `start` to `stop` (excluded) as dicts."""
        return [self.generator.record(number, base_url) for number in self._numbers(start, stop)]

    def json_texts(self, start: int, stop: int, base_url: str) -> list[str]:
        """Return each row as a JSON text."""
        return self.generator.json_texts(self._numbers(start, stop), base_url)

    def find(self, track_id: int) -> int | None:
        """Return the index of the row with this id, or `None` if there is none."""
        number = self.generator.number_of(track_id)
        return None if number is None or not self.first <= number < self.stop else number - self.first


@attrs.frozen
class FixedSegment:
    """Rows written by a test, sent exactly as they are; each is encoded as JSON once."""

    rows: tuple[tuple[Mapping[str, Any], str], ...]
    """Pairs of a row and its JSON text."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> FixedSegment:
        """Return a segment of copies of these rows.

        Raises:
            TypeError: A row is no mapping, or JSON cannot hold it.
        """
        return cls(tuple(_encoded_row(index, row) for index, row in enumerate(rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, index: int) -> tuple[FixedSegment, FixedSegment]:
        """Return the rows before `index` and those from it on."""
        return FixedSegment(self.rows[:index]), FixedSegment(self.rows[index:])

    def filtered(self, genre: str | None, mood: str | None) -> FixedSegment:
        """Return the rows that match the filters, by their own fields `genre` and `mood`."""
        return FixedSegment(
            tuple(
                pair
                for pair in self.rows
                if _matches(pair[0].get("genre"), genre) and _matches(pair[0].get("mood"), mood)
            )
        )

    def records(self, start: int, stop: int, base_url: str) -> list[dict[str, Any]]:  # noqa: ARG002 (as generated ones)
        """Return rows `start` to `stop` (excluded) as dicts."""
        return [dict(row) for row, _ in self.rows[start:stop]]

    def json_texts(self, start: int, stop: int, base_url: str) -> list[str]:  # noqa: ARG002 (as generated ones)
        """Return each row as a JSON text."""
        return [text for _, text in self.rows[start:stop]]

    def find(self, track_id: int) -> int | None:
        """Return the index of the row with this id, or `None` if there is none."""
        return next((index for index, (row, _) in enumerate(self.rows) if row.get("id") == track_id), None)


def _encoded_row(index: int, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    if not isinstance(row, Mapping):
        raise TypeError(f"row {index} must be a mapping such as {{'id': 1}}, not {row!r:.80}")
    copy = dict(row)
    try:
        return copy, json.dumps(copy, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"row {index} cannot be sent as JSON: {error}") from error


Segment = GeneratedSegment | FixedSegment
