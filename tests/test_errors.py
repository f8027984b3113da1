from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import jogg_async
from jogg_async import (
    APIError,
    CatalogueChangedError,
    CatalogueChangedWarning,
    ConfigurationError,
    DecodeError,
    JoggError,
    RateLimitError,
    ServerError,
    SessionClosedError,
    Track,
    TrackList,
    TransportError,
    errors,
)
from jogg_async._api.redaction import short_repr

API_ERRORS: list[type[APIError]] = [
    APIError,
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.InsufficientCreditError,
    errors.NotFoundError,
    errors.ParameterError,
    RateLimitError,
    ServerError,
]
OTHERS: list[type[JoggError]] = [
    JoggError,
    ConfigurationError,
    SessionClosedError,
    TransportError,
    DecodeError,
    CatalogueChangedError,
]
RID = "00112233445566778899aabbccddeeff"
ADDRESS = "https://api.jogg.ai/v2/musics?page_size=100&page=3"


def filled(kind: type[JoggError]) -> JoggError:
    """Return an error with every attribute set."""
    error: JoggError
    if issubclass(kind, APIError):
        error = kind("No luck", code=77, http_status=418, rid=RID)
    elif issubclass(kind, DecodeError):
        error = kind("$.code is 'x'", path="$.code", value="'x'", rid=RID)
    elif issubclass(kind, TransportError):
        error = kind("broken", transient=True)
    else:
        error = kind("No luck")
    error.page, error.attempts, error.rid, error.request_line = 3, 5, RID, f"GET {ADDRESS}"
    error.tracks = TrackList([Track(1)])
    if isinstance(error, RateLimitError | ServerError):
        error.retry_after = 2.5
    return error


def test_every_error_is_tested_and_public() -> None:
    public = {getattr(errors, name) for name in errors.__all__}
    assert public == {*API_ERRORS, *OTHERS, CatalogueChangedWarning}
    for name in errors.__all__:
        assert getattr(jogg_async, name) is getattr(errors, name)
        assert name in jogg_async.__all__


@pytest.mark.parametrize("kind", [*API_ERRORS, *OTHERS])
def test_each_error_has_its_documented_bases(kind: type[JoggError]) -> None:
    assert issubclass(kind, JoggError)
    assert issubclass(kind, APIError) == (kind in API_ERRORS)
    assert issubclass(kind, ValueError) == (kind is ConfigurationError)
    parents = {APIError} if kind in API_ERRORS[1:] else {JoggError, Exception, ValueError}
    assert set(kind.__bases__) <= parents
    assert kind.__doc__


def test_catalogue_changed_warning_is_no_jogg_error() -> None:
    assert issubclass(CatalogueChangedWarning, UserWarning)
    assert not issubclass(CatalogueChangedWarning, JoggError)


@pytest.mark.parametrize("kind", [*API_ERRORS, *OTHERS])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_pickle_and_copy_with_all_they_hold(kind: type[JoggError], protocol: int) -> None:
    error = filled(kind)
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert twin is not error
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)
        assert twin.tracks == TrackList([Track(1)])


@pytest.mark.parametrize("kind", [*API_ERRORS, *OTHERS])
def test_errors_without_arguments_pickle(kind: type[JoggError]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(kind(), protocol))
        assert (type(twin), twin.args, str(twin)) == (kind, kind().args, str(kind()))


@pytest.mark.parametrize("kind", [*API_ERRORS, *OTHERS])
def test_attributes_of_an_error_are_none_until_known(kind: type[JoggError]) -> None:
    error = kind("x")
    assert (error.page, error.attempts, error.rid, error.request_line, error.tracks) == (None,) * 5
    if isinstance(error, APIError):
        assert (error.code, error.msg, error.http_status) == (None, "x", None)
    if isinstance(error, RateLimitError | ServerError):
        assert error.retry_after is None
    if isinstance(error, DecodeError):
        assert (error.path, error.value) == (None, None)


@pytest.mark.parametrize("kind", [*API_ERRORS, *OTHERS])
def test_text_of_an_error_names_the_request_the_response_and_the_advice(kind: type[JoggError]) -> None:
    error = filled(kind)
    text = str(error)
    assert text.startswith(f"GET {ADDRESS} failed after 5 attempts: ")
    assert str(error.args[0]) in text
    assert f"rid {RID}" in text
    assert text.endswith(kind.advice)
    assert kind.advice or kind in {JoggError, ConfigurationError}
    if issubclass(kind, APIError):
        assert "code 77" in text
        assert "HTTP 418" in text
    if kind is RateLimitError:
        assert "retry after 2.5 s" in text


@pytest.mark.parametrize(("attempts", "told"), [(None, False), (0, False), (1, False), (2, True), (5, True)])
def test_text_of_an_error_counts_attempts_if_there_were_several(attempts: int | None, told: bool) -> None:
    error = TransportError("broken")
    error.request_line, error.attempts = f"GET {ADDRESS}", attempts
    assert (f"after {attempts} attempts" in str(error)) is told
    assert f"GET {ADDRESS} failed" in str(error)


def test_text_of_an_error_shows_code_0() -> None:
    assert "code 0" in str(APIError("x", code=0, http_status=400))


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind.advice])
def test_advice_of_an_error_is_a_sentence_of_its_own(kind: type[JoggError]) -> None:
    assert str(kind("what came")) == f"what came. {kind.advice}"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (JoggError(), ""),
        (JoggError("what came"), "what came"),
        (JoggError("What came."), "What came."),
        (SessionClosedError(), SessionClosedError.advice),
        (SessionClosedError("What came."), f"What came. {SessionClosedError.advice}"),
    ],
)
def test_full_stop_is_added_only_between_a_text_and_its_advice(error: JoggError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("path", "in_record"),
    [(None, False), ("$.data.pagination", False), ("$.data.music", False), ("$.data.music[3]", True)],
)
def test_decode_error_advises_to_skip_invalid_records_only_for_a_record(path: str | None, in_record: bool) -> None:
    error = DecodeError("what came", path=path)
    assert (error.in_record, "on_invalid='skip'" in str(error)) == (in_record, in_record)
    assert ("Check the base_url" in str(error)) is not in_record
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(("status", "redirect"), [(299, False), (300, True), (399, True), (400, False), (None, False)])
def test_error_of_a_redirect_advises_to_check_the_address(status: int | None, redirect: bool) -> None:
    error = APIError("what came", http_status=status)
    assert str(error).endswith("Check the address of the service.") is redirect


@pytest.mark.parametrize(
    "error", [APIError(msg="No luck"), TransportError(message="No luck"), DecodeError(message="No luck")]
)
def test_message_given_by_keyword_is_in_the_text(error: JoggError) -> None:
    assert str(error).startswith("No luck")


def test_transport_error_is_not_transient_by_default() -> None:
    assert TransportError("broken").transient is False


@pytest.mark.parametrize("kind", [errors.ArgumentError, ConfigurationError])
def test_error_about_an_argument_holds_its_name(kind: type[errors.ArgumentError | ConfigurationError]) -> None:
    error = errors.argument_error("page_size", "must be at most 100", kind)
    assert (error.argument, str(error)) == ("page_size", "page_size must be at most 100")


@pytest.mark.parametrize(("length", "text"), [(1000, "m" * 1000), (1001, f"{'m' * 1000}… (1001 characters)")])
def test_text_of_an_error_quotes_a_thousand_characters(length: int, text: str) -> None:
    assert str(JoggError("m" * length)) == text


@pytest.mark.parametrize("kind", API_ERRORS)
def test_text_of_an_api_error_is_message_code_and_advice(kind: type[APIError]) -> None:
    assert str(kind("No luck", code=77)) == f"No luck (code 77). {kind.advice}"


def test_every_api_error_is_caught_as_api_error() -> None:
    caught: list[Any] = []
    for kind in API_ERRORS:
        try:
            raise kind("x")
        except APIError as error:
            caught.append(type(error))
    assert caught == API_ERRORS


@pytest.mark.parametrize("kind", [*API_ERRORS, DecodeError])
def test_rid_given_to_the_constructor_is_kept(kind: type[APIError | DecodeError]) -> None:
    error = kind("x", rid=RID)
    assert error.rid == RID
    assert RID in str(error)


@pytest.mark.parametrize("kind", API_ERRORS)
def test_long_message_of_the_service_is_shortened_in_the_text_only(kind: type[APIError]) -> None:
    error = kind("m" * 10**6, rid="r" * 10**6)
    assert 2000 < len(str(error)) < 2500
    assert "m… (1000000 characters)" in str(error)
    assert (error.msg, error.rid) == ("m" * 10**6, "r" * 10**6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 78, repr("x" * 78)),
        ("x" * 79, f"'{'x' * 59}… (81 characters)"),
        (10**100, f"1{'0' * 59}… (101 characters)"),
        (10**5000, "a very large int"),
        (None, "None"),
    ],
    ids=["as long as it may be", "too long", "many digits", "more digits than Python prints", "none"],
)
def test_long_value_in_a_text_is_shortened(value: object, text: str) -> None:
    assert short_repr(value) == text
