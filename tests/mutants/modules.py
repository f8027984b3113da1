"""The table of modules in which faults are planted, each with the tests nearest to it, quickest first.

A fault counts as noticed where one of these tests fails, so the table is short on purpose: a module's own tests should
notice it. Paths begin at `jogg_async` and at `tests`.
"""

from __future__ import annotations

from typing import Final

_CRAWL: Final = (
    "paging/test_crawl.py",
    "test_ending.py",
    "test_drift.py",
    "test_limits.py",
    "test_checkpoints.py",
    "test_pager.py",
)
_SENDING: Final = ("test_retry.py", "test_gate.py", "test_concurrency.py", "network/test_retrying.py")
_CLI: Final = (
    "cli/test_formats.py",
    "cli/test_exit_codes.py",
    "cli/test_endings.py",
    "cli/test_terminal.py",
    "cli/test_serve.py",
    "cli/test_extra.py",
)

MODULES: Final[dict[str, tuple[str, ...]]] = {
    # Modules without I/O.
    "errors.py": ("test_errors.py", "test_wire.py", "network/test_secrecy.py"),
    "models.py": ("test_models.py", "test_convert.py", "test_tracklist.py"),
    "tracklist.py": ("test_tracklist.py",),
    "_settings.py": ("test_settings.py", "network/test_injection.py"),
    "_coding.py": ("test_wire.py", "network/test_hostile_bodies.py"),
    "_shape.py": ("test_wire.py", "test_convert.py"),
    "_wire.py": ("test_wire.py", "network/test_retrying.py", "network/test_hostile_bodies.py"),
    "_convert.py": ("test_convert.py", "test_fuzz_bodies.py"),
    "_paging/seen_ids.py": ("paging/test_seen_ids.py", "test_drift.py"),
    "_paging/page_range.py": ("paging/test_page_range.py", "test_ending.py", "test_drift.py"),
    "_paging/checkpoint.py": ("paging/test_checkpoint.py", "test_checkpoints.py"),
    "_paging/options.py": ("test_settings.py", "paging/test_checkpoint.py", *_CRAWL, "network/test_injection.py"),
    # The window and the crawl.
    "_paging/window.py": ("paging/test_window.py", "paging/test_crawl.py", "test_concurrency.py"),
    "_paging/passes.py": _CRAWL,
    "_paging/crawl.py": (*_CRAWL, "paging/test_random_crawls.py"),
    "pager.py": ("test_pager.py", "test_checkpoints.py", "test_drift.py", "test_ending.py"),
    # The retry and the throttle.
    "retry.py": ("test_retry.py", "network/test_retrying.py"),
    "_call.py": ("test_retry.py", "network/test_retrying.py", "network/test_secrecy.py", "test_session.py"),
    "_retry_hooks.py": ("test_retry_hooks.py", "test_retry.py"),
    "_gate.py": _SENDING,
    "_pace.py": ("test_pace.py", *_SENDING),
    "_deadline.py": ("test_deadline.py", "network/test_transport.py", "test_cancellation.py"),
    "_connector.py": (
        "test_structure.py",
        "network/test_connections.py",
        "test_session.py",
        "network/test_transport.py",
        "network/test_faults.py",
    ),
    "session.py": ("test_session.py", "test_settings.py", "test_concurrency.py"),
    # The redaction.
    "_secret.py": ("network/test_secrecy.py", "network/test_secrecy_of_objects.py", "test_wire.py"),
    # The command line.
    "cli/count.py": _CLI,
    "cli/failure.py": _CLI,
    "cli/formats.py": _CLI,
    "cli/options.py": _CLI,
    "cli/outlet.py": _CLI,
    "cli/running.py": _CLI,
    "cli/serve.py": _CLI,
    "cli/tracks.py": _CLI,
}
