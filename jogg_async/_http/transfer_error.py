"""The failure of one file's download."""

from __future__ import annotations


class TransferError(Exception):
    """Raised if a file cannot be downloaded. Its text is the reason in the report.

    Attributes:
        transient: true if a retry may help.
        retry_after: seconds to wait before a retry, as the server named them; `None` if it named none.
    """

    def __init__(self, reason: str, *, transient: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.transient = transient
        self.retry_after = retry_after
