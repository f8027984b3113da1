"""Valid pages with random changes are decoded as by a plain decoder, or raise a `JoggError`."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.api.plain_decoder_comparison import compare
from tests.api.random_bodies import JUNK, Change, body
from tests.model import LONG_RUN

NUMBER = st.integers(0, 10**6)
CHANGES = st.lists(st.builds(Change, NUMBER, NUMBER, NUMBER), max_size=4)
SELDOM = st.integers(-30, 8).map(lambda number: max(0, number))
BODIES = st.builds(body, st.integers(0, 3), CHANGES, unknown=st.booleans(), before=SELDOM, after=SELDOM, cut=SELDOM)


ORDERS = [Change(50000, 63, 0), Change(76, 60, 0), Change(1950, 0, 0), Change(17231, 10**6, 0)]
"""Changes that put the undocumented fields of two records into different orders."""


@settings(deadline=None, max_examples=1500 if LONG_RUN else 500)
@example(body(2, ORDERS, unknown=True, before=0, after=0, cut=0), False)
@given(BODIES, st.booleans())
def test_random_bodies_are_decoded_as_by_a_plain_decoder(given: bytes, skip_invalid: bool) -> None:
    compare(given, skip_invalid=skip_invalid)


@pytest.mark.parametrize("skip_invalid", [False, True])
@pytest.mark.parametrize("unknown", [False, True])
def test_every_kind_of_junk_at_every_place_is_decoded_as_by_a_plain_decoder(unknown: bool, skip_invalid: bool) -> None:
    places = 4 + 2 + 4 + 1 + (6 if unknown else 4) + (2 if unknown else 0)
    kinds = {
        compare(body(1, [Change(what, place, value)], unknown=unknown), skip_invalid=skip_invalid)
        for what in (0, 4, 6)
        for place in range(places)
        for value in range(0, len(JUNK) * (2 if what == 4 else 1), 1 if LONG_RUN else 3)
    }
    assert kinds == {"page", "no page", "no envelope", "failure"}
