"""What a summary says, under the names of what was planted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from converter.assessment.tables import Keys
from tests.assessment import known

KEY = b"0123456789abcdef0123456789abcdef"


def found(planted: known.Known, summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a summary under the names of what was planted."""
    s = summary
    quality = {row["check"]: row["failed"] for row in s["quality"]}
    receipts, attachments = s["messaging"]["receipts"], s["messaging"]["attachments"]
    (coupling,) = s["flows"]["coupling"]
    keys = Keys(KEY)
    parties = {keys.party(gln): gln for gln in planted.senders}
    types: Counter[str] = Counter()
    for row in s["volume"]["by_type"]:
        types[f"{row['type']} {row['version']}"] += row["messages"]
    return {
        "messages": s["corpus"]["messages"],
        "types": types,
        "months": Counter({row["month"]: row["messages"] for row in s["volume"]["by_month"]}),
        "senders": Counter({parties[row["party"]]: row["messages"] for row in s["volume"]["by_sender"]}),
        "wrong_cpr": quality["cpr"],
        "old": s["old_versions"]["messages"],
        "copies": s["corpus"]["copies"],
        "receipts_expected": receipts["expected"],
        "receipts": receipts["received"],
        "receipts_missing": receipts["missing"],
        "receipts_late": receipts["late"],
        "receipts_orphan": receipts["orphan"],
        "attachments": attachments["joined"],
        "attachments_missing": attachments["missing"],
        "attachments_late": attachments["late"],
        "attachments_orphan": attachments["orphan"],
        "referrals": coupling["referrals"],
        "answered": coupling["answered"],
        "answered_otherwise": coupling["other"],
        "unanswered": coupling["missing"],
    }


def differences(planted: known.Known, numbers: dict[str, Any]) -> list[str]:
    """What was not found as it was planted."""
    wanted = {name: getattr(planted, name) for name in numbers}
    return [
        f"{name}: planted {wanted[name]}, found {numbers[name]}" for name in numbers if wanted[name] != numbers[name]
    ]
