"""Danish local time without zone, as letters hold it, and FHIR's instants.

The two hours a year that have no single answer (loss ALL-08): a time that exists twice, on the last Sunday of October,
is read as the first one (summer time); a time that does not exist, on the last Sunday of March, is read with the offset
of winter time. Both are reported. Seconds are written as `:00` (letters have none unless their type says so).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Copenhagen")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?\Z")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?\Z")


@lru_cache(maxsize=4096)
def _offset(hour: str) -> tuple[str, bool] | None:
    """Offset that holds for an hour `YYYY-MM-DDTHH`, and whether the hour is doubtful; None if it is no hour."""
    try:
        at = datetime.fromisoformat(hour + ":30:00")
    except ValueError:
        return None
    first, second = at.replace(tzinfo=ZONE, fold=0), at.replace(tzinfo=ZONE, fold=1)
    chosen = first
    minutes = int((chosen.utcoffset() or timedelta()).total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}", first.utcoffset() != second.utcoffset()


@lru_cache(maxsize=4096)
def to_instant(date: str | None, time: str | None) -> tuple[str | None, bool]:
    """`2024-10-27`, `02:30` → `2024-10-27T02:30:00+02:00` and True, as the time is doubtful. None if not a time."""
    if not date or not time or not _DATE.match(date) or not _TIME.match(time):
        return None, False
    known = _offset(f"{date}T{time[:2]}")
    if known is None or time[3:5] > "59" or time[6:8] > "59":
        return None, False
    return f"{date}T{time if len(time) == 8 else time + ':00'}{known[0]}", known[1]


def as_written(value: str, *, seconds: bool = False) -> tuple[str, str] | None:
    """The local date and time that `to_instant` made this instant from, doubtful hours included; None if it did not."""
    local = (value[:10], value[11 : 19 if seconds else 16])
    return local if to_instant(*local)[0] == value else None


def from_instant(value: str, *, seconds: bool = False) -> tuple[tuple[str, str] | None, bool]:
    """Local date and `HH:MM` (or `HH:MM:SS`) of an instant, and whether anything was lost; None without a zone."""
    match = _INSTANT.match(value)
    if not match or not match[2] or not match[4]:
        return None, True
    try:
        at = datetime.fromisoformat(f"{match[1]}T{match[2]}:{match[3] or '00'}{match[4].replace('Z', '+00:00')}")
        local = at.astimezone(ZONE)
        utc = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None, True
    text = (local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S" if seconds else "%H:%M"))
    again = to_instant(*text)[0]
    same = again is not None and datetime.fromisoformat(again).astimezone(UTC) == utc
    return text, not same or "." in value
