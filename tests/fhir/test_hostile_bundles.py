"""Bundles that are meant to hurt `validate`: each ends in findings, soon, with little memory, and in no traceback."""

from __future__ import annotations

import copy
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.engine import Engine
from converter.issues import Issue, Severity

MB = 1 << 20
HERE = Path(__file__).parent
MESSAGE = yaml.safe_load((HERE / "rules" / "message.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    made = Engine()
    judge(made, json.dumps(MESSAGE).encode())  # what is compiled once is not measured
    return made


def judge(engine: Engine, data: bytes) -> list[Issue]:
    """What `validate` finds in some bytes."""
    return [issue for outcome in engine.validate(data, name="m.json") for issue in outcome.issues]


def codes(issues: list[Issue]) -> set[str]:
    return {i.code for i in issues if i.severity is not Severity.INFO}


def with_extra(text: str) -> bytes:
    """The sound message with some JSON as one more property of its patient's name."""
    whole = json.dumps(MESSAGE, ensure_ascii=False)
    assert whole.count('"family": "Prøve", "given": ["Anna"') == 1
    return whole.replace('"family": "Prøve", "given": ["Anna"', f'{text}, "family": "Prøve", "given": ["Anna"').encode(
        "utf-8", "surrogatepass"
    )


def many(number: int, change: Callable[[int, Any], None]) -> bytes:
    """The sound message with copies of its first Organization, each changed."""
    document = copy.deepcopy(MESSAGE)
    template = json.dumps(document["entry"][4])
    for i in range(number):
        entry = json.loads(template.replace("00000000-0000-4000-8000-000000000006", f"{i:08d}-0000-4000-9000-{i:012d}"))
        change(i, entry)
        document["entry"].append(entry)
    return json.dumps(document).encode()


def ring(i: int, entry: Any) -> None:
    """Each part of the next, and the last of the first."""
    other = (i + 1) % 2000
    entry["resource"]["partOf"] = {"reference": f"Organization/{other:08d}-0000-4000-9000-{other:012d}"}


def alone(i: int, entry: Any) -> None:
    del entry["resource"]["name"]


def same(i: int, entry: Any) -> None:
    """All under one fullUrl and id."""
    entry["fullUrl"] = MESSAGE["entry"][4]["fullUrl"]
    entry["resource"]["id"] = MESSAGE["entry"][4]["resource"]["id"]


def itself(i: int, entry: Any) -> None:
    entry["resource"]["partOf"] = {"reference": f"Organization/{entry['resource']['id']}"}


def faulty(i: int, entry: Any) -> None:
    entry["resource"] = {"resourceType": "Organization", "id": "a b", "odd": [None], "identifier": [{}], "name": 7}


DEEP = '"extension": [{' * 5000 + "}]" * 5000
ROWS: dict[str, tuple[Callable[[], bytes], str, float, int]] = {
    # name: input, code of a finding, seconds of processor time, MB
    "depth beyond the limit": (lambda: with_extra(DEEP), "PRO007", 1, 20),
    "depth within the limit": (lambda: with_extra('"x": ' + "[" * 140 + "]" * 140), "PRO021", 1, 20),
    "extensions in extensions": (
        lambda: with_extra('"extension": [{"url": "http://acme.dk/x", ' * 60 + '"valueString": "x"' + "}]" * 60),
        "PRO036",
        1,
        20,
    ),
    "resources in resources": (
        lambda: with_extra('"contained": [{"resourceType": "Patient", ' * 40 + '"x": 1' + "}]" * 40),
        "PRO021",
        1,
        20,
    ),
    "a property twice": (lambda: with_extra('"use": "official"'), "PRO005", 1, 20),
    "a number of a million digits": (lambda: with_extra('"x": ' + "9" * 10**6), "PRO006", 2, 40),
    "a number with an immense exponent": (lambda: with_extra('"x": 1e999999999'), "PRO006", 1, 20),
    "a number that is none": (lambda: with_extra('"x": NaN'), "PRO006", 1, 20),
    "half of a character": (lambda: with_extra('"text": "\\ud83d"'), "PRO008", 1, 20),
    "half of a character as a name": (lambda: with_extra('"\\udc00": 1'), "PRO008", 1, 20),
    "half of a character as bytes": (lambda: with_extra('"text": "\ud83d"'), "PRO003", 1, 20),
    "a text of eleven megabytes": (lambda: with_extra('"text": "' + "x" * (11 * MB) + '"'), "PRO010", 2, 200),
    "base64's worst text": (
        lambda: json.dumps(MESSAGE).replace("JVBERi0xLjQ=", "AAAA " * 200_000 + "!").encode(),
        "PRO026",
        1,
        20,
    ),
    "a date's worst text": (lambda: with_extra('"period": {"start": "' + "2026-" * 10_000 + '"}'), "PRO026", 1, 20),
    # Whole resources; only that nothing leads to them from the header is said.
    "a reference to itself": (lambda: many(10, itself), "PRO051", 1, 20),
    "a ring of references": (lambda: many(2000, ring), "PRO051", 8, 60),
    "one fullUrl for all": (lambda: many(2000, same), "PRO042", 8, 60),
    "two thousand faulty entries": (lambda: many(2000, faulty), "PRO020", 8, 80),
    "ten thousand empty entries": (
        lambda: json.dumps({**MESSAGE, "entry": [*MESSAGE["entry"], *({} for _ in range(10_000))]}).encode(),
        "PRO022",
        8,
        80,
    ),
    "a hundred thousand empty entries": (
        lambda: json.dumps({**MESSAGE, "entry": [*MESSAGE["entry"], *({} for _ in range(100_000))]}).encode(),
        "PRO022",
        30,
        400,
    ),
    "a hundred thousand codings": (
        lambda: with_extra('"x": [' + ",".join(['{"code": "x"}'] * 100_000) + "]"),
        "PRO021",
        8,
        150,
    ),
}


LONG = ("a hundred thousand empty",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if n.startswith(LONG) else n for n in ROWS])
def test_a_finding_soon(name: str, engine: Engine) -> None:
    make, code, seconds, _ = ROWS[name]
    data = make()
    begin = time.process_time()
    issues = judge(engine, data)
    # Twice the time that was set, because the machine may be at half speed.
    assert time.process_time() - begin < 2 * seconds
    assert code in codes(issues)
    assert (code == "PRO051") == (codes(issues) == {"PRO051"})


SLOW = (
    "a ring",
    "one fullUrl",
    "two thousand",
    "ten thousand",
    "a hundred thousand",
)  # when every allocation is counted


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if n.startswith(SLOW) else n for n in ROWS])
def test_with_little_memory(name: str, engine: Engine) -> None:
    make, _, _, megabytes = ROWS[name]
    data = make()
    tracemalloc.start()
    try:
        judge(engine, data)
        assert tracemalloc.get_traced_memory()[1] < megabytes * MB
    finally:
        tracemalloc.stop()


@pytest.mark.long
def test_a_hundred_thousand_entries(engine: Engine) -> None:
    """As many whole resources, one of them at fault: it alone is found, besides that nothing leads to the others."""
    data = many(100_000, lambda i, entry: entry["resource"].pop("identifier") if i == 77_777 else None)
    begin = time.process_time()
    issues = judge(engine, data)
    assert time.process_time() - begin < 120
    assert {i.at.path for i in issues if i.severity is Severity.ERROR} == {"/entry/77786/resource"}
    assert codes(issues) >= {"PRO039", "PRO051"}


@pytest.mark.parametrize(
    "number", ["1.0", "1.10", "0.1000000000000000055511151231257827", "1e2", "123456789012345678.90"]
)
def test_decimals_stay_as_they_are(number: str, engine: Engine) -> None:
    """A decimal is neither rounded nor taken for text: only the property is unknown."""
    from converter.fhir.bundle import read_json, write_ndjson
    from converter.issues import IssueLog

    issues = judge(engine, with_extra(f'"x": {number}'))
    assert codes(issues) == {"PRO021"}
    read = read_json(with_extra(f'"x": {number}'), IssueLog())
    assert read is not None
    assert f'"x":{number},'.encode() in write_ndjson(read)
