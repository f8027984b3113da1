"""The command `jogg-async` (extra ``cli``), also ``python -m jogg_async``.

``tracks`` prints the catalogue as it arrives, ``crawl`` saves it to a file or an SQLite mirror, ``count`` prints the
number of tracks, ``download`` fetches audio files into a folder, ``serve`` runs a fake of the service, ``browse`` opens
a page to choose music by ear. ``--demo`` runs each of them without a key. Results go to standard output, everything
else to standard error.

Exit codes:

====  ============================================================================
code  meaning
====  ============================================================================
0     success; also if the reader of a pipe closed it, or a signal ended ``serve`` or ``browse``
1     other error; also if ``download`` could not fetch a file
2     invalid option, or missing or malformed key or address
3     key, permission or credit refused by the service
4     rate limit, and no attempts or time left
5     service or network failure
6     invalid response
7     the catalogue changed during the crawl (``--on-drift raise``)
130   ended by Ctrl-C (128 plus the signal's number, for any signal)
====  ============================================================================

This module and its `main` load without the extra.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]

_EXTRA = ("cyclopts", "rich")


def main() -> int:
    """Run the command line with the process's arguments, and return the exit code."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print("The command line needs an extra: pip install 'jogg-async[cli]'", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return run(sys.argv[1:])
