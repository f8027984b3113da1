from __future__ import annotations

import pytest
from yarl import URL

from jogg_async._api.page_url import PageUrl


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        ("https://api.jogg.ai", "https://api.jogg.ai/v2/musics?"),
        ("https://api.jogg.ai/", "https://api.jogg.ai/v2/musics?"),
        ("http://localhost:8080/proxy/", "http://localhost:8080/proxy/v2/musics?"),
        ("http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b/v2/musics?"),
    ],
)
def test_url_of_a_page_has_the_base_the_page_size_and_the_number(base_url: str, start: str) -> None:
    url = PageUrl.build(URL(base_url), 50, {}).for_page(3)
    assert str(url) == f"{start}page_size=50&page=3"


@pytest.mark.parametrize("text", ["R&B/Soul", "a=b#c", "50 %", "+", "é", "?"])
def test_filters_arrive_as_they_were_given(text: str) -> None:
    url = PageUrl.build(URL("https://api.jogg.ai"), 100, {"mood": text, text: "x"}).for_page(1)
    assert dict(url.query) == {"page_size": "100", "mood": text, text: "x", "page": "1"}
    assert url.fragment == ""
