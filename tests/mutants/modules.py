"""The table of modules in which faults are planted, each with the tests nearest to it, quickest first.

A fault counts as noticed if one of these tests fails. The table is short on purpose: a module's own tests should notice
its faults. Paths are relative to `jogg_async` and `tests`.
"""

from __future__ import annotations

from typing import Final

_CRAWL: Final = (
    "paging/test_crawl.py",
    "paging/test_ending.py",
    "paging/test_drift.py",
    "paging/test_limits.py",
    "paging/test_resuming.py",
    "test_pager.py",
)
_SENDING: Final = (
    "test_retry.py",
    "requests/test_throttle.py",
    "requests/test_concurrency.py",
    "requests/test_retrying.py",
)
_CLI: Final = (
    "cli/test_formats.py",
    "cli/test_exit_codes.py",
    "cli/test_endings.py",
    "cli/test_terminal.py",
    "cli/test_serve.py",
    "cli/test_extra.py",
)

_DOWNLOAD: Final = ("download/test_resuming.py", "download/test_download.py", "download/test_requests.py")

MODULES: Final[dict[str, tuple[str, ...]]] = {
    # Modules without I/O.
    "errors.py": ("test_errors.py", "api/test_envelope.py", "http/test_secrecy.py"),
    "models.py": ("test_models.py", "api/test_decoding.py", "test_tracklist.py"),
    "tracklist.py": ("test_tracklist.py",),
    "settings.py": ("test_settings.py", "http/test_injection.py"),
    "_api/arguments.py": ("api/test_argument_errors.py", "test_settings.py", *_CRAWL, "http/test_injection.py"),
    "_api/page_url.py": ("api/test_page_url.py", "http/test_injection.py", "http/test_transport.py"),
    "_api/retry_after.py": ("test_retry.py", "requests/test_retrying.py"),
    "_api/compression.py": ("api/test_envelope.py", "http/test_hostile_bodies.py"),
    "_api/schemas.py": ("api/test_envelope.py", "api/test_decoding.py"),
    "_api/envelope.py": ("api/test_envelope.py", "requests/test_retrying.py", "http/test_hostile_bodies.py"),
    "_api/decoding.py": ("api/test_decoding.py", "api/test_random_bodies.py"),
    "_paging/seen_ids.py": ("paging/test_seen_ids.py", "paging/test_drift.py"),
    "_paging/page_range.py": ("paging/test_page_range.py", "paging/test_ending.py", "paging/test_drift.py"),
    "_paging/checkpoint.py": ("paging/test_checkpoint.py", "paging/test_resuming.py"),
    "_paging/options.py": ("paging/test_checkpoint.py", *_CRAWL, "http/test_injection.py"),
    # The window and the crawl.
    "_paging/window.py": ("paging/test_window.py", "paging/test_crawl.py", "requests/test_concurrency.py"),
    "_paging/passes.py": ("paging/test_passes.py", *_CRAWL),
    "_paging/crawl.py": (
        *_CRAWL,
        "export/test_save.py",
        "requests/test_events.py",
        "http/test_connections.py",
        "paging/test_random_crawls.py",
    ),
    "pager.py": ("test_pager.py", "paging/test_resuming.py", "paging/test_drift.py", "paging/test_ending.py"),
    # The retry and the throttle.
    "retry.py": ("test_retry.py", "requests/test_retrying.py"),
    "_requests/events.py": ("requests/test_events.py",),
    "_requests/page_fetcher.py": (
        "test_retry.py",
        "requests/test_retrying.py",
        "requests/test_events.py",
        "requests/test_stamina_hooks.py",
        "http/test_secrecy.py",
        "test_session.py",
    ),
    "_requests/stamina_hooks.py": ("requests/test_stamina_hooks.py", "test_retry.py"),
    "_requests/throttle.py": _SENDING,
    "_requests/refusal.py": ("requests/test_refusal.py", "requests/test_rate_limits.py"),
    "_requests/adaptive_rate.py": ("requests/test_adaptive_rate.py", *_SENDING),
    "_http/timeouts.py": ("http/test_timeouts.py", "http/test_transport.py", "test_cancellation.py"),
    "_http/connector.py": (
        "test_structure.py",
        "http/test_connections.py",
        "http/test_caller_pool.py",
        "http/test_tls.py",
        "test_session.py",
        "http/test_transport.py",
        "http/test_faults.py",
    ),
    "session.py": ("test_session.py", "test_settings.py", "requests/test_concurrency.py", "download/test_download.py"),
    # The download of audio files.
    "_download/file_names.py": ("download/test_file_names.py",),
    "_download/responses.py": ("download/test_responses.py", "download/test_resuming.py"),
    "_download/limits.py": ("download/test_download.py",),
    "_download/part_file.py": _DOWNLOAD,
    "_download/folder.py": _DOWNLOAD,
    "_download/transfer.py": _DOWNLOAD,
    "_download/remote_folder.py": ("download/test_remote_folder.py",),
    "_http/addresses.py": ("download/test_addresses.py", "download/test_requests.py"),
    "_http/files.py": ("download/test_requests.py", "download/test_download.py"),
    "downloads.py": (*_DOWNLOAD, "download/test_progress.py"),
    # Crawls into files.
    "_export/formats.py": ("export/test_formats.py", "export/test_save.py"),
    "_export/text.py": ("export/test_save.py", "export/test_addresses.py"),
    "_export/parquet.py": ("export/test_parquet.py", "export/test_save.py"),
    "_export/journal.py": ("export/test_journal.py", "export/test_save.py"),
    "_export/mirror.py": ("export/test_mirror.py",),
    "_export/destination.py": ("export/test_save.py", "export/test_disk.py", "export/test_addresses.py"),
    "_export/filesystems.py": ("export/test_addresses.py", "export/test_save.py", "download/test_remote_folder.py"),
    "_export/replacement.py": ("export/test_disk.py", "export/test_save.py", "export/test_kills.py"),
    "_export/sqlite_errors.py": ("export/test_disk.py", "export/test_journal.py", "export/test_mirror.py"),
    "_export/save.py": ("export/test_save.py", "export/test_journal.py", "export/test_mirror.py"),
    "_export/worker.py": ("export/test_save.py",),
    # Dask. The other modules are left out: their tests start clusters.
    "_engines/page_ranges.py": ("engines/test_page_ranges.py",),
    # The redaction.
    "_api/redaction.py": (
        "api/test_redaction.py",
        "api/test_envelope.py",
        "http/test_secrecy.py",
        "http/test_secrecy_of_objects.py",
    ),
    # The command line.
    "cli/bar.py": ("cli/test_crawl.py", "cli/test_terminal.py"),
    "cli/app.py": _CLI,
    "cli/connection.py": _CLI,
    "cli/count.py": _CLI,
    "cli/download.py": ("cli/test_download.py",),
    "cli/mirror.py": ("cli/test_download.py",),
    "cli/crawl.py": ("cli/test_crawl.py",),
    "cli/failure.py": _CLI,
    "cli/formats.py": _CLI,
    "cli/options.py": _CLI,
    "cli/outlet.py": ("cli/test_outlet.py", *_CLI),
    "cli/running.py": ("cli/test_running.py", *_CLI),
    "cli/serve.py": _CLI,
    "cli/tracks.py": ("cli/test_tracks.py", *_CLI),
}
