"""URL of each page of the catalogue, or of a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import attrs
from yarl import URL


@attrs.frozen
class PageUrl:
    """URL of ``GET /v2/musics`` with its filters and page size, complete but for the page number."""

    scheme: str
    authority: str
    path: str
    query: str

    @classmethod
    def build(cls, base_url: URL, page_size: int, filters: Mapping[str, str]) -> PageUrl:
        """Return the URL for this page size and these query parameters."""
        query = {"page_size": str(page_size), **filters}
        pairs = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
        path = f"{base_url.raw_path.rstrip('/')}/v2/musics"
        return cls(base_url.scheme, base_url.raw_authority, path, f"{pairs}&page=")

    def for_page(self, page: int) -> URL:
        """Return the URL of the page with this number."""
        query = f"{self.query}{page}"  # built from its parts: parsing a whole URL takes twice as long
        return URL.build(scheme=self.scheme, authority=self.authority, path=self.path, query_string=query, encoded=True)
