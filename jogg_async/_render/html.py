"""Tracks as an HTML table with players, for notebooks. Every value is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import urlsplit

from jogg_async._render.records import minutes
from jogg_async.models import Track

_ROWS: Final = 50
"""Rows shown at most; each has a player."""


def rendered(tracks: Sequence[Track]) -> str:
    """Return the HTML of the table."""
    head = "".join(f"<th>{name}</th>" for name in ("id", "name", "duration", "music"))
    body = "".join(map(_row, tracks[:_ROWS]))
    left = len(tracks) - _ROWS
    more = f"<p>… and {left:,} more tracks</p>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _row(track: Track) -> str:
    cells = (str(track.id), track.name or "", minutes(track.duration))
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{shown}<td>{_player(track.music_url)}</td></tr>"


def _player(url: str | None) -> str:
    if not url:
        return ""
    if not _is_web_address(url):
        return escape(url)
    return f'<audio controls preload="none" src="{escape(url)}"></audio>'


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
