"""The made-up songs behind a catalogue: names, genres, moods and durations, all worked out from a seed.

A song book has no rows in memory. It repeats a table of `PERIOD` songs for ever and numbers the rounds ("Sunlit
Avenue", "Sunlit Avenue No. 2"), so that row 999,999 costs as much as row 0, and filters are counted by arithmetic.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GENRES", "MOODS", "PERIOD", "Song", "SongBook"]

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
"""After this many songs the table starts again, with the next number behind each name."""


class Song(NamedTuple):
    """One song of the table. `duration` is in whole seconds, 45 to 239."""

    name: str
    genre: str
    mood: str
    duration: int


@lru_cache(maxsize=8)
def _songs(seed: int) -> tuple[Song, ...]:
    # Random.random() alone promises the same numbers on every Python version; shuffle() and choice() do not.
    draw = random.Random(seed).random  # noqa: S311 (no secret)
    names = [f"{first} {second}" for first in _FIRST_WORDS for second in _SECOND_WORDS]
    names.sort(key=lambda _: draw())
    return tuple(
        Song(name, GENRES[int(draw() * len(GENRES))], MOODS[int(draw() * len(MOODS))], 45 + int(draw() * 195))
        for name in names
    )


@lru_cache(maxsize=8)
def _templates(seed: int, show_filters: bool) -> tuple[str, ...]:
    # Filling a template is some eight times cheaper than json.dumps of a dict; the words need no JSON escapes.
    tail = ',"genre":"{0.genre}","mood":"{0.mood}"' if show_filters else ""
    form = '{{"id":%d,"name":"{0.name}%s","music_url":"%s/music/%d.wav","duration":{0.duration}' + tail + "}}"
    return tuple(form.format(song) for song in _songs(seed))


@lru_cache(maxsize=512)
def _places(seed: int, genre: str | None, mood: str | None) -> Sequence[int]:
    if genre is None and mood is None:
        return range(PERIOD)
    return [place for place, song in enumerate(_songs(seed)) if _fits(song.genre, genre) and _fits(song.mood, mood)]


def _fits(value: Any, wanted: str | None) -> bool:
    return wanted is None or (isinstance(value, str) and value.casefold() == wanted.casefold())


def matches(row: Mapping[str, Any], genre: str | None, mood: str | None) -> bool:
    """Tell whether a given row passes the filters; `None` lets everything pass, case does not count."""
    return _fits(row.get("genre"), genre) and _fits(row.get("mood"), mood)


class SongBook:
    """An endless row of songs, numbered from 0, the same ones for the same seed.

    Args:
        seed: Any integer; picks names, genres, moods and durations.
        first_id: The id of song 0.
        id_step: From one id to the next, 1 or more. Above 1, ids have gaps.
        show_filters: Also write each song's genre and mood, two fields that the service does not document.

    Raises:
        ValueError: `id_step` is below 1.
    """

    def __init__(self, seed: int = 0, *, first_id: int = 1, id_step: int = 1, show_filters: bool = False) -> None:
        if id_step < 1:
            raise ValueError(f"id_step must be 1 or more, not {id_step}")
        self.seed = seed
        self.first_id = first_id
        self.id_step = id_step
        self.show_filters = show_filters

    def id_of(self, number: int) -> int:
        """The id of the song with this number."""
        return self.first_id + number * self.id_step

    def number_of(self, track_id: int) -> int | None:
        """The number of the song with this id, or `None` if no song has it."""
        number, rest = divmod(track_id - self.first_id, self.id_step)
        return number if rest == 0 and number >= 0 else None

    def number_after(self, track_id: int) -> int:
        """The lowest number whose id is above `track_id`."""
        return max(0, (track_id - self.first_id) // self.id_step + 1)

    def row(self, number: int, base_url: str) -> dict[str, Any]:
        """The song as the record that the service would send."""
        song, track_id = _songs(self.seed)[number % PERIOD], self.id_of(number)
        row: dict[str, Any] = {
            "id": track_id,
            "name": song.name + _round_suffix(number),
            "music_url": f"{base_url}/music/{track_id}.wav",
            "duration": song.duration,
        }
        return {**row, "genre": song.genre, "mood": song.mood} if self.show_filters else row

    def texts(self, numbers: Sequence[int], base_url: str) -> list[str]:
        """The same records as `row`, as JSON text."""
        templates = _templates(self.seed, self.show_filters)
        first, step = self.first_id, self.id_step
        return [
            templates[n % PERIOD]
            % (first + n * step, "" if n < PERIOD else _round_suffix(n), base_url, first + n * step)
            for n in numbers
        ]

    def rank(self, number: int, genre: str | None = None, mood: str | None = None) -> int:
        """How many songs before this number pass the filters."""
        places = _places(self.seed, genre, mood)
        rounds, place = divmod(number, PERIOD)
        return rounds * len(places) + bisect_left(places, place)

    def numbers(self, start: int, stop: int, genre: str | None = None, mood: str | None = None) -> Sequence[int]:
        """The numbers of the songs whose rank among those that pass the filters is in `range(start, stop)`."""
        if genre is None and mood is None:
            return range(start, stop)
        places = _places(self.seed, genre, mood)
        return [rank // len(places) * PERIOD + places[rank % len(places)] for rank in range(start, stop)]


def _round_suffix(number: int) -> str:
    return f" No. {number // PERIOD + 1}" if number >= PERIOD else ""
