"""What is told of a message accounts for every value of it, once, however many answers it becomes in FHIR."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.assessment.collecting import RECEIPT, Collector, Told
from converter.assessment.tables import Keys
from converter.engine import Engine
from converter.ledger import leaves_of
from converter.sources import Input
from tests.assessment.answers import KEY

CASES = (
    ("letters/CTL03/positive/message.edi", RECEIPT, 1),
    ("legacy/CTL03/two-letters/message.edi", RECEIPT, 2),
    ("legacy/CTL02/two-letters/message.xml", RECEIPT, 2),
    ("legacy/BIN01/admitted/message.edi", "attachment", 0),
    ("letters/DIS91/references/message.edi", "letter", 0),
    ("letters/REF01/plain/message.edi", "letter", 0),
)


@pytest.fixture(scope="module")
def engine(root: Path) -> Engine:
    return Engine(root / "mappings")


@pytest.mark.parametrize(("name", "role", "answered"), CASES)
def test_a_message_is_one_line_with_all_of_its_values(
    engine: Engine, root: Path, name: str, role: str, answered: int
) -> None:
    data = (root / "fixtures" / name).read_bytes()
    (read,) = engine.letters(data)
    item = Input(name, name, data, explicit=True)
    (line,) = Collector(engine, Keys(KEY)).lines(item, list(engine.convert(data, name=name)))
    told = Told.of(line.output or b"")
    assert read.letter is not None
    assert sum(one.number for one in told.covered if one.disposition != "defaulted") == len(leaves_of(read.letter))
    assert (told.role, len(told.ties.answered_letters)) == (role, answered)
    assert told.size == len(data)


def test_what_was_only_read_is_told_as_far_as_that_goes(engine: Engine, root: Path) -> None:
    data = (root / "fixtures/letters/DIS91/plain/message.edi").read_bytes()
    item = Input("a", "a", data, explicit=True)
    collector = Collector(engine, Keys(KEY))
    (whole,) = (Told.of(one.output or b"") for one in collector.lines(item, list(engine.convert(data))))
    (read,) = (Told.of(one.output or b"") for one in collector.lines(item, list(engine.letters(data)), ()))
    assert (whole.whole, read.whole, read.covered, read.round_trip) == (True, False, [], "none")
    for same in ("cid", "type", "version", "sender", "receiver", "patient", "written", "sent", "content", "ties"):
        assert getattr(read, same) == getattr(whole, same), same
