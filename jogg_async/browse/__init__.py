"""Local web page to choose music by ear: the command `jogg-async browse`.

`BrowseServer` serves the page on loopback. Its tracks come from a `Source`: the service (`ServiceSource`), or an SQLite
mirror of the catalogue (`MirrorSource`). The page itself is plain HTML, CSS and JavaScript in ``page/``.
"""

from __future__ import annotations
