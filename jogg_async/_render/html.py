"""HTML for notebooks: tracks as a table with players, and hints on objects that are awaited. Every value is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final
from urllib.parse import urlsplit

from jogg_async._render.records import hours, minutes
from jogg_async.models import Track

_ROWS: Final = 50
"""Rows shown at most; each has a player."""

# The colour scheme follows the page's theme where it names one (JupyterLab, VS Code, Colab, Sphinx), else the system's.
# `color-scheme` also switches the browser's own players. JupyterLab's colours take precedence over ours; its rules for
# tables must not, so the class is named twice.
_STYLE: Final = """<style>
.jogg-tracks.jogg-tracks {
  color-scheme: light dark;
  --text: var(--jp-content-font-color1, light-dark(#1f2328, #e6e6e9));
  --muted: var(--jp-content-font-color2, light-dark(#656d76, #9a9aa4));
  --back: var(--jp-layout-color0, light-dark(#fff, #18181b));
  --line: var(--jp-border-color2, light-dark(#e4e6ea, #33333a));
  --hover: var(--jp-layout-color2, light-dark(#f4f5f8, #232328));
  max-width: 54rem; max-height: 34rem; margin: .25rem 0; overflow: auto;
  border: 1px solid var(--line); border-radius: 8px; background: var(--back); color: var(--text);
  font: 14px/1.4 var(--jp-ui-font-family, system-ui, sans-serif);
  table { width: 100%; margin: 0; border: 0; border-collapse: separate; border-spacing: 0; table-layout: auto;
    font: inherit; color: inherit }
  caption { caption-side: top; padding: 10px 14px; text-align: left; color: var(--muted); font: inherit }
  caption b { margin-right: .5em; color: var(--text); font-size: 16px; font-weight: 600 }
  thead { border: 0 }
  th, td { padding: 5px 14px; border: 0; border-top: 1px solid var(--line); background: none; white-space: nowrap;
    text-align: left; vertical-align: middle }
  th { position: sticky; top: 0; z-index: 1; border-bottom: 1px solid var(--line); background: var(--back);
    color: var(--muted); font-size: 12px; font-weight: 500 }
  tbody tr:first-child td { border-top: 0 }
  tbody tr:nth-child(n) { background: none }
  tbody tr:hover:nth-child(n) { background: var(--hover) }
  :is(th, td):is(:nth-child(1), :nth-child(3)) { text-align: right; font-variant-numeric: tabular-nums }
  td:nth-child(1), tfoot td { color: var(--muted) }
  td:nth-child(2) { width: 99%; max-width: 18rem; overflow: hidden; text-overflow: ellipsis; font-weight: 500 }
  td:nth-child(4) { max-width: 18rem; overflow: hidden; text-overflow: ellipsis; color: var(--muted) }
  tfoot td:nth-child(n) { text-align: center }
  audio { display: block; width: 16rem; height: 32px }
}
:is([data-jp-theme-light=true], .vscode-light, [theme=light], [data-theme=light]) .jogg-tracks.jogg-tracks {
  color-scheme: light }
:is([data-jp-theme-light=false], .vscode-dark, [theme=dark], [data-theme=dark]) .jogg-tracks.jogg-tracks {
  color-scheme: dark }
</style>"""
"""Styles of the table. They affect no other elements. A notebook may contain them several times."""


def rendered(tracks: Sequence[Track]) -> str:
    """Return the HTML of the table: at most 50 rows, and a caption with the number of tracks and their length."""
    head = "".join(f"<th>{name}</th>" for name in ("id", "name", "duration", "music"))
    body = "".join(map(_row, tracks[:_ROWS]))
    table = f"{_caption(tracks)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{_foot(len(tracks) - _ROWS)}"
    return f'{_STYLE}<div class="jogg-tracks"><table>{table}</table></div>'


def hint(text: str, uses: Iterable[tuple[str, str]]) -> str:
    """Return the HTML of an object that shows nothing until it is awaited.

    Args:
        text: the object's `repr`.
        uses: pairs of a line of code and a text on its result.
    """
    lines = "".join(f"<li><code>{escape(code)}</code> {escape(use)}</li>" for code, use in uses)
    return f"<div><code>{escape(text)}</code><ul>{lines}</ul></div>"


def _caption(tracks: Sequence[Track]) -> str:
    count = f"{len(tracks):,} {'track' if len(tracks) == 1 else 'tracks'}"
    seconds = sum(max(track.duration or 0, 0) for track in tracks)
    facts = [f"{hours(seconds)} of music"] if seconds else []
    facts += [f"first {_ROWS} shown"] if len(tracks) > _ROWS else []
    return f"<caption><b>{count}</b> {', '.join(facts)}</caption>"


def _foot(left: int) -> str:
    if left <= 0:
        return ""
    more = f"{left:,} more {'track' if left == 1 else 'tracks'}"
    return f'<tfoot><tr><td colspan="4">… and {more}</td></tr></tfoot>'


def _row(track: Track) -> str:
    cells = (str(track.id), track.name or "", minutes(track.duration))
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{shown}<td>{_player(track)}</td></tr>"


def _player(track: Track) -> str:
    url = track.music_url
    if not url:
        return ""
    if not _is_web_address(url):
        return escape(url)
    name = escape(track.name or str(track.id))
    return f'<audio controls preload="none" aria-label="{name}" src="{escape(url)}"></audio>'


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
