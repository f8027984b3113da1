from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import ConfigurationError, JoggError, JoggSession, RetryPolicy
from jogg_async._api.redaction import Secret, as_secret
from jogg_async.settings import api_key_from, base_url_from, is_loopback

TRACKS_DEFAULTS: dict[str, Any] = {
    "genre": None,
    "mood": None,
    "page_size": 100,
    "concurrency": None,
    "limit": None,
    "start_page": 1,
    "end_page": None,
    "ordered": True,
    "on_invalid": "raise",
    "on_drift": "warn",
    "resume": None,
    "params": None,
    "retry": None,
}

BAD_KEYS = [
    pytest.param("", id="empty"),
    pytest.param("   ", id="blank"),
    pytest.param("\t", id="tab"),
    pytest.param("\n", id="newline"),
    pytest.param("s3cret-key\n", id="newline-at-the-end"),
    pytest.param("\ns3cret-key", id="newline-at-the-start"),
    pytest.param("s3cret-key\r\nX-Other: 1", id="header-injection"),
    pytest.param(" s3cret-key", id="space-at-the-start"),
    pytest.param("s3cret-key ", id="space-at-the-end"),
    pytest.param("s3cret key", id="space-inside"),
    pytest.param("s3cret-key\x1f", id="0x1F"),
    pytest.param("s3cret-key\x20", id="0x20"),
    pytest.param("s3cret-key\x7f", id="0x7F"),
    pytest.param("s3cret-key\x80", id="0x80"),
    pytest.param("s3cret-key\x00", id="nul"),
    pytest.param("s3cret-kéy", id="latin"),
    pytest.param("s3cret-ключ", id="cyrillic"),
    pytest.param("s3cret-\ud800", id="lone-surrogate"),
    pytest.param("s3cret-\uff10", id="full-width-digit"),
]


def address(session: JoggSession) -> str:
    return str(session._base_url)


def variables(error: BaseException) -> Iterator[str]:
    """Yield the `repr` of each local variable in the package's frames, as an error tracker shows it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals["__name__"]).startswith("jogg_async"):
            for value in frame.f_locals.values():
                try:
                    yield repr(value)
                except AttributeError:
                    continue


@pytest.mark.parametrize("key", ["k", "!", "~", "!~", "a" * 500, "sk_live-0123.AZaz/+=="])
def test_any_visible_ascii_is_accepted_as_a_key(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(JoggSession(key)._api_key) == key
    monkeypatch.setenv("JOGG_API_KEY", key)
    assert str(JoggSession()._api_key) == key


@pytest.mark.parametrize("key", BAD_KEYS)
def test_invalid_key_is_rejected_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="JOGG_API_KEY") as caught:
        JoggSession(key)
    told = [str(caught.value), repr(caught.value), *variables(caught.value)]
    assert isinstance(caught.value, ValueError)
    assert caught.value.__context__ is None
    assert not [text for text in told if "s3cret" in text]
    assert len(told) > 3


@pytest.mark.parametrize("key", [param for param in BAD_KEYS if param.id not in ("nul", "lone-surrogate")])
def test_invalid_key_in_the_environment_is_rejected_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOGG_API_KEY", key)
    with pytest.raises(ConfigurationError, match="JOGG_API_KEY") as caught:
        JoggSession()
    assert not [text for text in (str(caught.value), *variables(caught.value)) if "s3cret" in text]


def test_error_about_a_missing_key_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="JOGG_API_KEY") as caught:
        JoggSession()
    assert isinstance(caught.value, JoggError)


def test_arguments_take_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOGG_API_KEY", "from-outside")
    monkeypatch.setenv("JOGG_BASE_URL", "https://outside.example")
    session = JoggSession("given", base_url="https://given.example")
    assert (str(session._api_key), address(session)) == ("given", "https://given.example")
    with pytest.raises(ConfigurationError):
        JoggSession("")  # an explicit blank does not fall back


@pytest.mark.parametrize("key", [b"bytes", 12, object(), ["k"], True])
def test_key_that_is_no_string_is_rejected(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="JOGG_API_KEY"):
        JoggSession(key)


@settings(deadline=None)
@given(st.text(max_size=8))
def test_only_visible_ascii_is_accepted_as_a_key(key: str) -> None:
    fit = bool(key) and all(0x21 <= ord(each) <= 0x7E for each in key)
    try:
        assert (str(api_key_from(as_secret(key))) == key) is fit
    except ConfigurationError:
        assert not fit


def test_secret_is_masked_in_every_repr() -> None:
    secret = Secret("s3cret-key")
    shown = [repr(secret), repr([secret]), repr({"k": secret}), f"{secret!r}", "%r" % (secret,), repr((secret, 1))]  # noqa: UP031
    assert not [text for text in shown if "s3cret" in text]
    assert secret.encode() == b"s3cret-key"
    assert "s3cret" not in repr(JoggSession("s3cret-key"))


def test_session_that_failed_to_initialize_has_a_repr() -> None:
    with pytest.raises(ConfigurationError) as caught:
        JoggSession("two words")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert [repr(frame.f_locals["self"]) for frame in frames if isinstance(frame.f_locals.get("self"), JoggSession)]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.jogg.ai", "https://api.jogg.ai"),
        ("https://api.jogg.ai/", "https://api.jogg.ai"),
        ("https://api.jogg.ai///", "https://api.jogg.ai"),
        ("HTTPS://API.JOGG.AI", "https://api.jogg.ai"),
        ("https://host/Proxy/v9", "https://host/Proxy/v9"),
        ("https://host/Proxy/", "https://host/Proxy"),
        ("https://host/a%2Fb/", "https://host/a%2Fb"),
        ("https://host:8443/x", "https://host:8443/x"),
        ("https://10.0.0.7", "https://10.0.0.7"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:8080/proxy", "http://localhost:8080/proxy"),
        ("http://LOCALHOST:1/", "http://localhost:1"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.255.3.9:80/p/", "http://127.255.3.9/p"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_base_url_is_normalized_and_keeps_its_path_prefix(
    given: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert address(JoggSession("k", base_url=given)) == used
    monkeypatch.setenv("JOGG_BASE_URL", given)
    assert address(JoggSession("k")) == used


def test_default_base_url_is_that_of_the_service() -> None:
    assert address(JoggSession("k")) == "https://api.jogg.ai"


@pytest.mark.parametrize(
    "given",
    [
        *["", " ", "https://", "https:///x", "api.jogg.ai", "//api.jogg.ai", "/v2", "https:api.jogg.ai", "https://:80"],
        *["ftp://host", "ws://localhost", "file://localhost/x", "javascript:alert(1)"],
        *["http://api.jogg.ai", "http://10.0.0.1", "http://0.0.0.0", "http://[::]", "http://128.0.0.1", "http://[::2]"],
        *["http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://evil-localhost", "http://127.1"],
        *["http://localhost@evil.example", "http://localhost:pw@evil.example", "http://2130706433"],
        *["http://evil.example#@localhost", "http://evil.example\\@localhost", "https://host\\path"],
        *["https://user@host", "https://user:s3cret@host", "https://:s3cret@host", "https://:@host"],
        *["https://host?", "https://host?a=b", "https://host/p?a=b", "https://host#", "https://host/#top"],
        *[" https://host", "https://host ", "https://host\n", "https://ho st", "https://host/a b", "https://host\t/x"],
        *["https://host\u00a0", "https://host/\u200b", "https://host\x00"],
        *["https://host:0", "https://host:65536", "https://host:http", "https://[::1", "https://host:-1"],
    ],
)
def test_invalid_base_url_is_rejected(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        JoggSession("k", base_url=given)
    assert isinstance(caught.value, ValueError)
    assert "s3cret" not in str(caught.value)
    if "\x00" not in given:
        monkeypatch.setenv("JOGG_BASE_URL", given)
        with pytest.raises(ConfigurationError, match="JOGG_BASE_URL"):
            JoggSession("k")


@pytest.mark.parametrize("given", ["https://@host", "https://@localhost:9/x"])
def test_base_url_with_an_empty_user_name_is_rejected(given: str) -> None:
    with pytest.raises(ConfigurationError):
        JoggSession("k", base_url=given)


@settings(deadline=None)
@given(st.ip_addresses())
def test_plain_http_is_accepted_for_loopback_addresses_only(ip: Any) -> None:
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    try:
        assert base_url_from(f"http://{host}:8000").port == 8000
        assert ip.is_loopback
    except ConfigurationError:
        assert not ip.is_loopback
    assert base_url_from(f"https://{host}").scheme == "https"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[("localhost", True), ("LocalHost", True), ("localhost.", True), ("127.0.0.1", True), ("127.9.9.9", True)],
        *[("::1", True), ("::2", False), ("126.255.255.255", False), ("128.0.0.0", False), ("notlocalhost", False)],
        *[("localhost.com", False), ("", False), ("0.0.0.0", False)],
    ],
)
def test_loopback_hosts_are_recognized(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "arguments",
    [
        *[{"concurrency": value} for value in (0, -1, 1.0, 2.5, "8", None, True, math.inf, math.nan)],
        *[{"timeout": value} for value in (0, 0.0, -0.001, math.inf, -math.inf, math.nan, "30", None, True)],
        *[{"retry": value} for value in (None, 3, (), "5")],
        *[{"limiter": value} for value in ((), 3, open)],
    ],
    ids=repr,
)
def test_invalid_settings_of_a_session_are_rejected_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))) as caught:
        JoggSession("k", **arguments)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("concurrency", "timeout"), [(1, 0.001), (8, 30), (1000, 86400.0)])
def test_settings_in_range_are_accepted(concurrency: int, timeout: float) -> None:
    session = JoggSession("k", concurrency=concurrency, timeout=timeout)
    assert (session._concurrency, session._timeout) == (concurrency, timeout)


def test_timeout_beyond_the_range_of_floats_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        JoggSession("k", timeout=10**400)


@pytest.mark.parametrize(
    ("call", "defaults"),
    [
        (
            JoggSession,
            {
                "api_key": None,
                "base_url": None,
                "concurrency": 8,
                "retry": RetryPolicy(8, 120.0, 0.1, 30.0, 0.2, 300.0),
                "timeout": 30.0,
                "limiter": None,
                "http": None,
            },
        ),
        (JoggSession.tracks, TRACKS_DEFAULTS),
        (
            JoggSession.page,
            {
                "number": 1,
                "page_size": 10,
                "genre": None,
                "mood": None,
                "on_invalid": "raise",
                "params": None,
                "retry": None,
            },
        ),
        (JoggSession.count, {"genre": None, "mood": None, "retry": None}),
    ],
)
def test_defaults_are_the_documented_ones(call: Any, defaults: dict[str, Any]) -> None:
    parameters = inspect.signature(call).parameters.values()
    assert {each.name: each.default for each in parameters if each.name != "self"} == defaults
