"""The two hours a year without a single answer follow the stated rule, and every other minute comes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.mapping.local_time import from_instant, to_instant


@pytest.mark.parametrize(
    ("date", "time", "instant", "doubtful"),
    [
        ("2024-10-27", "01:59", "2024-10-27T01:59:00+02:00", False),
        ("2024-10-27", "02:00", "2024-10-27T02:00:00+02:00", True),
        ("2024-10-27", "02:59", "2024-10-27T02:59:00+02:00", True),
        ("2024-10-27", "03:00", "2024-10-27T03:00:00+01:00", False),
        ("2024-03-31", "01:59", "2024-03-31T01:59:00+01:00", False),
        ("2024-03-31", "02:30", "2024-03-31T02:30:00+01:00", True),
        ("2024-03-31", "03:00", "2024-03-31T03:00:00+02:00", False),
        ("1998-12-13", "12:02", "1998-12-13T12:02:00+01:00", False),
        ("2024-07-01", "12:02:33", "2024-07-01T12:02:33+02:00", False),
    ],
)
def test_local_times(date: str, time: str, instant: str, doubtful: bool) -> None:
    assert to_instant(date, time) == (instant, doubtful)


@pytest.mark.parametrize("value", [("2024-02-30", "10:00"), ("2024-01-01", "24:00"), ("2024-01-01", "10:60"), ("", "")])
def test_what_is_no_time_is_not_carried(value: tuple[str, str]) -> None:
    assert to_instant(*value) == (None, False)


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2089, 12, 31)))
def test_every_time_that_is_not_doubtful_comes_back(at: datetime) -> None:
    local = (at.strftime("%Y-%m-%d"), at.strftime("%H:%M"))
    instant, doubtful = to_instant(*local)
    assert instant is not None
    if not doubtful:
        assert from_instant(instant) == (local, False)


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2089, 12, 31)),
    st.integers(min_value=-12 * 4, max_value=14 * 4),
)
def test_any_offset_is_the_same_moment_in_denmark(at: datetime, quarters: int) -> None:
    sign, minutes = "-" if quarters < 0 else "+", abs(quarters) * 15
    offset = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    local, _ = from_instant(at.strftime("%Y-%m-%dT%H:%M:00") + offset)
    utc, _ = from_instant((at - timedelta(minutes=quarters * 15)).strftime("%Y-%m-%dT%H:%M:00Z"))
    assert local == utc is not None


@pytest.mark.parametrize("value", ["2024-01-01", "2024-01-01T10:00:00", "nonsense", "9999-12-31T23:59:59-14:00"])
def test_a_time_without_zone_is_not_guessed(value: str) -> None:
    assert from_instant(value)[0] is None


def test_seconds_are_reported_as_lost() -> None:
    assert from_instant("2024-05-03T09:25:17+02:00") == (("2024-05-03", "09:25"), True)
