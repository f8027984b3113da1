"""Filters and params reach the service exactly as given, whatever characters they contain."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jogg_async import ConfigurationError, JoggSession
from jogg_async.testing import FakeJogg

from .conftest import Serve

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


VALUES: Final = [
    "",
    " ",
    "Hip Hop",
    "Drum & Bass",
    "a=b&page=9#x?y/z;w",
    "100%",
    "%26page%3D9",
    "%zz",
    "+",
    "x\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
    "\r",
    "\n",
    "tab\tbell\a",
    "nul\0",
    "\x7f\x80\xa0",
    "\u2028\u2029\ufeff\u200b",
    "Ünï ☃ 𝄞 中文 العربية",
    "e\u0301 is not \u00e9",
    "../../v1/secrets",
    "//example.org/",
    "a\\b",
    "'\"<script>`{}[]|^~",
    "x" * 2000,
]


@pytest.mark.parametrize("value", VALUES)
async def test_filter_arrives_as_given(make_fake: MakeFake, make_session: MakeSession, value: str) -> None:
    fake = await make_fake(5)
    jogg = make_session(fake)
    await jogg.page(2, genre=value, mood=value, params={"sort": value})
    await jogg.count(genre=value, mood=value)
    await jogg.tracks(genre=value, mood=value, params={"sort": value}).collect()
    expected = {"genre": value, "mood": value}
    first, second, *others = [seen.query for seen in fake.requests]
    assert first == {**expected, "sort": value, "page": "2", "page_size": "10"}
    assert second == {**expected, "page": "1", "page_size": "1"}
    assert others == [{**expected, "sort": value, "page": "1", "page_size": "100"}]
    assert all(seen.path == "/v2/musics" and "X-Evil" not in seen.headers for seen in fake.requests)


@pytest.mark.parametrize("name", [value for value in VALUES if value])
async def test_name_of_a_param_arrives_as_given_and_adds_no_header(
    make_fake: MakeFake, make_session: MakeSession, name: str
) -> None:
    fake = await make_fake(5)
    await make_session(fake).page(params={name: "1"})
    assert fake.requests[0].query == {name: "1", "page": "1", "page_size": "10"}
    assert "X-Evil" not in fake.requests[0].headers


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=4))
async def test_any_text_in_filters_and_params_arrives_as_given(
    fake: FakeJogg, jogg: JoggSession, texts: list[str]
) -> None:
    fake.clear()
    for text in texts:
        await jogg.page(mood=text, params={"x": text})
    assert [(seen.query["mood"], seen.query["x"]) for seen in fake.requests] == [(text, text) for text in texts]


async def test_request_line_is_plain_ascii(serve: Serve) -> None:
    server = await serve()
    async with JoggSession("key", base_url=server.url) as jogg:
        for value in VALUES:
            await jogg.page(genre=value, params={value or "x": value})
    assert len(server.heads) == len(VALUES)
    for head in server.heads:
        assert head.isascii()
        assert head.split(b"\r\n", 1)[0].count(b" ") == 2
        assert head.count(b"\r\n\r\n") == 1
        assert b"X-Evil:" not in head


@pytest.mark.parametrize("value", ["\ud800", "ok \udfff", "\udc00\ud800"])
@pytest.mark.parametrize("where", ["genre", "mood", "value", "name"])
async def test_lone_surrogate_is_a_value_error_before_any_request(
    make_fake: MakeFake, make_session: MakeSession, value: str, where: str
) -> None:
    fake = await make_fake(5)
    jogg = make_session(fake)
    params = {"value": {"sort": value}, "name": {value: "1"}}.get(where)
    arguments: dict[str, Any] = {"params": params} if params else {where: value}
    with pytest.raises(ValueError, match=r"surrogate"):
        await jogg.page(**arguments)
    with pytest.raises(ValueError, match=r"surrogate"):
        jogg.tracks(**arguments)
    assert fake.requests == []


class Order(str, enum.Enum):  # noqa: UP042 (the older way, with another `str`)
    NEWEST = "newest"


class NewOrder(enum.StrEnum):
    NEWEST = "newest"


class Size(enum.IntEnum):
    BIG = 3


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ("a", "a"),
        (0, "0"),
        (-7, "-7"),
        (2**70, str(2**70)),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (NewOrder.NEWEST, "newest"),
        (Size.BIG, "3"),
        pytest.param(
            Order.NEWEST,
            "newest",
        ),
        pytest.param(Loud("loud"), "loud"),
    ],
)
async def test_param_accepts_strings_numbers_and_bools(
    make_fake: MakeFake, make_session: MakeSession, value: object, arrives: str
) -> None:
    fake = await make_fake(5)
    await make_session(fake).page(params={"x": value})
    assert fake.requests[0].query["x"] == arrives


@pytest.mark.parametrize("value", [Order.NEWEST, NewOrder.NEWEST])
async def test_genre_may_be_a_string_enum(make_fake: MakeFake, make_session: MakeSession, value: str) -> None:
    fake = await make_fake(5)
    await make_session(fake).page(genre=value)
    assert fake.requests[0].query["genre"] == "newest"


@pytest.mark.parametrize("value", [None, b"x", ["a"], {"a": 1}, object(), 1j])
async def test_param_of_another_type_is_rejected(make_fake: MakeFake, make_session: MakeSession, value: object) -> None:
    fake = await make_fake(5)
    jogg = make_session(fake)
    with pytest.raises(ValueError, match="params"):
        await jogg.page(params={"x": value})
    with pytest.raises(ValueError, match="params"):
        jogg.tracks(params={"x": value})
    assert fake.requests == []


@pytest.mark.parametrize("name", ["", 1, None, b"x", ("a", "b")])
async def test_invalid_name_of_a_param_is_rejected(make_session: MakeSession, fake: FakeJogg, name: Any) -> None:
    with pytest.raises(ValueError, match="params"):
        await make_session(fake).page(params={name: "1"})


@pytest.mark.parametrize("name", ["page", "page_size", "genre", "mood"])
async def test_param_with_the_name_of_an_argument_is_rejected(
    make_session: MakeSession, fake: FakeJogg, name: str
) -> None:
    jogg = make_session(fake)
    with pytest.raises(ValueError, match=name):
        jogg.tracks(params={name: "1"})
    with pytest.raises(ValueError, match=name):
        await jogg.page(params={name: "1"})
    assert fake.requests == []


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:1/\r\nX-Evil: 1",
        "http://127.0.0.1:1/ HTTP/1.1",
        "http://127.0.0.1:1/?page=2",
        "http://127.0.0.1:1/#x",
        "http://127.0.0.1:1\\@example.org",
        "http://127.0.0.1@example.org",
        "http://127.0.0.1:1@example.org/",
        "http://user:word@127.0.0.1:1/",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "http://0x7f000001.example.org/",
        "http://128.0.0.1/",
        "http://[::2]/",
        "http://\u24db\u24de\u24d2alhost.example.org/",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "https:///v2",
        "https://",
    ],
)
def test_base_url_that_could_lead_to_another_host_is_rejected(base_url: str) -> None:
    with pytest.raises(ConfigurationError):
        JoggSession("key", base_url=base_url)
