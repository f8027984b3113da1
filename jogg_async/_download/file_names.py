"""Names of audio files, from ids and untrusted titles: ``<id> <title>.<extension>``. No I/O.

The id comes first, so that no two tracks share a name, not even on a disk that ignores case, and so that a later run
recognizes the file although the title changed.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Final

MAX_NAME: Final = 143
"""Longest name in bytes, the limit of folders encrypted by eCryptfs. Most file systems allow 255."""

PART_SUFFIX: Final = ".part"
STATE_SUFFIX: Final = ".part.json"

_EXTENSIONS: Final = {
    "audio/aac": ".aac",
    "audio/aiff": ".aiff",
    "audio/flac": ".flac",
    "audio/m4a": ".m4a",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/vnd.wave": ".wav",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/webm": ".weba",
    "audio/x-aiff": ".aiff",
    "audio/x-flac": ".flac",
    "audio/x-m4a": ".m4a",
    "audio/x-wav": ".wav",
    "application/ogg": ".ogg",
}
"""File extension of each media type."""

_KNOWN: Final = frozenset({*_EXTENSIONS.values(), ".aif", ".oga", ".wma"})
_OTHERWISE: Final = ".mp3"

_SEPARATORS: Final = re.compile(r'[\\/:*?"<>|\u2028\u2029]+')
"""Characters that separate the parts of a path, or that Windows does not allow in names."""

_NAME: Final = re.compile(r"(-?[0-9]{1,19})(?: .*)?(\.[a-z0-9]+)", re.DOTALL)
_PART: Final = re.compile(rf"(-?[0-9]{{1,19}}){re.escape(PART_SUFFIX)}")


def file_name(track_id: int, title: str | None, extension: str) -> str:
    """Return the name of a track's file, at most 143 bytes long in UTF-8.

    Args:
        track_id: number of the track.
        title: its title, any text at all; `None` for none.
        extension: from `extension_for`.
    """
    available = MAX_NAME - len(f"{track_id} {extension}")
    words = _shortened(_cleaned(title or ""), available)
    return f"{track_id} {words}{extension}" if words else f"{track_id}{extension}"


def extension_for(*paths: str, media_type: str) -> str:
    """Return the first known extension of the paths, else that of the media type, else ``.mp3``.

    Args:
        paths: paths of the file's URLs, before and after redirects.
        media_type: the ``Content-Type`` of the response, such as ``"audio/mpeg"``; parameters are ignored.
    """
    suffixes = (PurePosixPath(path).suffix.lower() for path in paths)
    kind = media_type.partition(";")[0].strip().lower()
    return next((suffix for suffix in suffixes if suffix in _KNOWN), _EXTENSIONS.get(kind, _OTHERWISE))


def id_of_file(name: str) -> int | None:
    """Return the id at the beginning of the name of an audio file; `None` if it has another kind of name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and match[2] in _KNOWN else None


def id_of_part(name: str) -> int | None:
    """Return the id in the name of a partial file; `None` if it has another kind of name."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None


def _cleaned(title: str) -> str:
    separated = _SEPARATORS.sub("_", unicodedata.normalize("NFC", title))
    # Categories Z (spaces) and C: control characters, direction marks, lone surrogates, private and unassigned ones.
    kept = (" " if c.isspace() else c for c in separated if c.isspace() or unicodedata.category(c)[0] != "C")
    return unicodedata.normalize("NFC", " ".join("".join(kept).split())).strip(" .")


def _shortened(text: str, size: int) -> str:
    """Return as many characters as fit into `size` bytes, without a space or a dot at the end."""
    return text.encode()[:size].decode(errors="ignore").rstrip(" .")
