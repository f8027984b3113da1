from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import APIError, RateLimitError
from jogg_async._api.redaction import Secret, as_secret, redact, redact_error, short_repr

KEY: Final = "canary-2b8e64d07c1f93a5-key"
ODD_KEYS: Final = [
    "canary\\2b8e64d0",
    "canary'2b8e\"64d0",
    "canary/2b8e64d0+==",
    "canary\\/'2b8e\"64d0",
    "\\\\\\'\\\\'/%2F",
]
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "repr": repr,
    "repr beside both quotes": lambda key: repr(f"\"{key}'"),
    "repr of bytes": lambda key: repr(key.encode()),
    "JSON": json.dumps,
    "JSON with an escaped slash": lambda key: json.dumps(key).replace("/", "\\/"),
    "repr of JSON": lambda key: repr(json.dumps(key).encode()),
    "URL": lambda key: f"https://example.org/?key={quote(key, safe='')}",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("key", [KEY, *ODD_KEYS])
def test_the_key_is_masked_however_it_is_escaped(key: str, spell: Callable[[str], str]) -> None:
    text, masked = spell(key), spell("MASK").replace("MASK", "***")
    without = redact(f"before {text} between {text} after", Secret(key))
    same_quotes = str.maketrans('"', "'")  # `repr` chooses them by the text
    expected = f"before {masked} between {masked} after"
    assert without.translate(same_quotes) == expected.translate(same_quotes)


def test_escaped_key_is_masked_as_a_whole() -> None:
    key = "\\canary/2b8e64d0"
    assert redact(repr(key), key) == "'***'"
    assert redact(json.dumps(key).replace("/", "\\/"), key) == '"***"'


@pytest.mark.parametrize(("key", "found"), [("", False), ("4", False), ("1234567", False), ("12345678", True)])
def test_a_key_shorter_than_eight_characters_is_not_searched_for(key: str, found: bool) -> None:
    text = f"page 4 of 12345678 {key}"
    assert (redact(text, key) == text) is not found


class Headers(dict[str, str]):
    """Object whose `repr` contains the key."""


def test_redacted_error_keeps_its_numbers() -> None:
    error = RateLimitError("wait 12345678", code=12345678, http_status=429, rid="12345678")
    error.page, error.attempts, error.retry_after = 12345678, 123456789, 12345678.5
    error.add_note("x")
    redact_error(error, "12345678")
    assert (error.code, error.page, error.attempts, error.retry_after) == (12345678, 12345678, 123456789, 12345678.5)
    assert (error.msg, error.rid, error.args, error.request_line) == ("wait ***", "***", ("wait ***",), None)
    assert str(error).startswith("wait ***")


def test_redaction_replaces_only_arguments_of_an_error_that_contain_the_key() -> None:
    without, number = Headers(x="y"), 10**30
    error = OSError(5, KEY, KEY.encode(), Headers(key=KEY), without, number, True, None, [KEY])
    error.filename = None
    redact_error(error, KEY)
    assert error.args == (5, "***", "b'***'", "{'key': '***'}", without, number, True, None, "['***']")
    assert error.args[4] is without


@pytest.mark.parametrize("before", range(30, 70))
@pytest.mark.parametrize("key", [KEY, *ODD_KEYS])
def test_a_shortened_value_shows_no_part_of_the_key(before: int, key: str) -> None:
    for value in (
        "x" * before + key + "x" * 99,
        ["x" * before, {key: key}, "x" * 99],
        b"x" * before + key.encode() * 9,
    ):
        text = short_repr(value, Secret(key))
        assert key[:4] not in text
        assert len(text) < 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 59}… (81 characters)"),
        (KEY + "x" * 75, f"'***{'x' * 75}'"),
        (KEY + "x" * 76, f"'***{'x' * 56}… (81 characters)"),
        (10**5000, "a very large int"),
        ({"x": [10**5000]}, "a very large dict"),
    ],
    ids=["80 characters", "81 characters", "80 with the mask", "81 with the mask", "int", "int within"],
)
def test_value_is_rendered_in_at_most_80_characters_after_the_key_is_masked(value: object, text: str) -> None:
    assert short_repr(value, Secret(KEY)) == text


@settings(deadline=None)
@given(
    st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters=" *"), min_size=8),
    st.text(),
    st.text(),
)
def test_masked_text_never_holds_the_key(key: str, before: str, after: str) -> None:
    without = redact(f"{before}{key}{after}", key)
    assert key not in without


def test_repr_of_a_slice_of_a_secret_is_masked() -> None:
    secret = Secret(KEY)
    assert str.__str__(secret) == KEY
    assert [repr(each) for each in (secret, secret[3:], secret[0], [secret])] == ["'***'", "'***'", "'***'", "['***']"]
    assert type(secret[:5]) is Secret
    assert secret[:5] == KEY[:5]


@pytest.mark.parametrize(("key", "kept"), [(KEY, KEY), ("", ""), (None, None), (KEY.encode(), ""), (7, "")])
def test_as_secret_turns_anything_but_a_string_or_none_into_an_empty_secret(key: Any, kept: str | None) -> None:
    found = as_secret(key)
    assert found == kept
    assert type(found) is (type(None) if key is None else Secret)


def test_an_error_that_quotes_nothing_of_the_key_is_unchanged() -> None:
    error = APIError("no", code=1, http_status=200, rid="0" * 32)
    redact_error(error, KEY)
    assert (error.args, vars(error)) == (("no",), {"msg": "no", "code": 1, "http_status": 200, "rid": "0" * 32})
