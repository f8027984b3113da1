from __future__ import annotations

import pytest

from jogg_async._requests.refusal import Refusal, accepted_rate


def refusal(*, span: float = 0.1, wait: float = 1.0, accepted: int = 20, recent: float = 200.0) -> Refusal:
    return Refusal(None, span, wait, accepted, recent)


CAUSES = """\
??CCCCCCC
?????CCCC
L??????CC
LLL??????
LLLLL????
LLLLLLL??
"""
"""Cause (limit, chance, unknown) by the number of others refused (line) and accepted (column), each from 0."""


@pytest.mark.parametrize("refused", range(6))
@pytest.mark.parametrize("accepted", range(9))
def test_cause_of_a_refusal_follows_from_the_other_requests_in_flight(refused: int, accepted: int) -> None:
    found = refusal()
    found.others_refused += refused
    found.others_accepted += accepted
    assert found.cause.name[0].replace("U", "?") == CAUSES.splitlines()[refused][accepted]


@pytest.mark.parametrize(("accepted", "refusals"), [(0, 2), (1, 4), (2, 21), (3, None), (20, None)])
def test_refusals_after_few_accepted_requests_add_up_to_a_rate_limit(accepted: int, refusals: int | None) -> None:
    earlier, found = 0.0, []
    for _ in range(30):
        found.append(refusal(accepted=accepted))
        found[-1].earlier = earlier
        earlier = found[-1].evidence
    first = next((number for number, each in enumerate(found, 1) if each.repeated), None)
    assert first == refusals
    assert 0 <= earlier <= 5


@pytest.mark.parametrize(
    ("span", "immediate", "frequent"),
    [(0.0, True, True), (0.49, True, True), (0.5, False, True), (1.99, False, True), (2.0, False, False)],
)
def test_time_since_the_pause_decides_if_a_refusal_is_immediate_or_frequent(
    span: float, immediate: bool, frequent: bool
) -> None:
    assert (refusal(span=span).immediate, refusal(span=span).frequent) == (immediate, frequent)


def test_sustained_rate_includes_the_pause() -> None:
    assert refusal(span=3.0, wait=1.0, accepted=100).sustained == 25
    assert refusal(span=0.0, wait=0.0, accepted=1).sustained == 10  # no measurement is shorter than 0.1 s


@pytest.mark.parametrize(
    ("measured", "start"),
    [
        ({"span": 0.2, "wait": 1.0, "accepted": 24, "recent": 120.0}, 30),
        ({"span": 0.2, "wait": 1.0, "accepted": 2, "recent": 10.0}, 10),  # no faster than it went before
        ({"span": 0.2, "wait": 1.0, "accepted": 2, "recent": 100.0}, 12.5),  # as if ten had been accepted
        ({"span": 9.0, "wait": 1.0, "accepted": 500, "recent": 52.0}, 52),
        ({"span": 9.0, "wait": 1.0, "accepted": 500, "recent": 0.0}, 50),
    ],
)
def test_search_starts_from_the_accepted_rate(measured: dict[str, float], start: float) -> None:
    assert Refusal(None, **measured).search_from == pytest.approx(start)  # type: ignore[arg-type]


def test_accepted_rate_is_that_of_the_last_second() -> None:
    assert accepted_rate(30, 5.0, 1.0) == 30
    assert accepted_rate(30, 0.5, 1.0) == 60
    assert accepted_rate(3, 0.001, 1.0) == 30
