"""The command `jogg-async` (extra ``cli``), also ``python -m jogg_async``.

``tracks`` shows the catalogue as it arrives, ``count`` tells its size, ``serve`` runs a fake of the service; ``--demo``
lets each of them run without a key. Results go to standard output, all else to standard error.

What the exit code says:

====  ===================================================================================
code  meaning
====  ===================================================================================
0     done; also where the reader of a pipe left early, and `serve` ended by a signal
1     another error
2     a bad option, or a key or an address that is missing or malformed
3     the service refused the key, the permission or the credit
4     rate limit: no attempt or no time was left
5     the service failed, or no whole answer came
6     an answer that cannot be read
7     the catalogue changed during the crawl (``--on-drift raise``)
130   ended by Ctrl-C (128 and the signal's number, for any signal)
====  ===================================================================================

This module and its `main` load without the extra.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]

_EXTRA = ("cyclopts", "rich")


def main() -> int:
    """Run the command with the process's arguments, and return its exit code."""
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
