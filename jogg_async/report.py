"""`SaveReport`: the result of `TrackPager.save`."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["SaveReport"]


@attrs.frozen
class SaveReport:
    """Result of `TrackPager.save`. After a resumed save, the counts include what was saved before the interruption.

    Attributes:
        tracks: tracks in the crawl, each id once.
        pages: pages read.
        new: tracks that the mirror did not hold before; `None` for a file.
        changed: tracks whose fields differ from those in the mirror, or that were marked as gone; `None` for a file.
        gone: tracks marked as gone by this crawl; `None` for a file.
        invalid: records skipped under ``on_invalid="skip"``.
        drifted: true if a change of the catalogue was noticed.
        seconds: duration of this call.
    """

    tracks: int
    pages: int
    new: int | None
    changed: int | None
    gone: int | None
    invalid: int
    drifted: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dict for JSON."""
        return attrs.asdict(self)
