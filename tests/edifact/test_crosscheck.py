"""The second reader agrees with ours, and says so when it does not or cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from converter.edifact import splitting
from converter.edifact.crosscheck import cross_check
from converter.edifact.segments import Segment
from converter.issues import Issue, IssueLog, Severity
from tests.edifact.interchanges import ALL, LINED, PLAIN, errors, write_segments
from tests.edifact.test_syntax import bodies


def checked(data: bytes, **options: str) -> list[Issue]:
    log = IssueLog()
    cross_check(data, log, file="letter.edi", **options)  # type: ignore[arg-type]
    return log.issues


@pytest.mark.parametrize("name", ["plain", "lined", "two letters", "two interchanges", "without UNA"])
def test_both_readers_agree(name: str) -> None:
    assert checked(ALL[name]) == []


@given(bodies())
@settings(max_examples=60, deadline=None)
def test_both_readers_agree_about_anything_well_formed(segments: list[Segment]) -> None:
    assert checked(write_segments(segments)) == []


def test_both_readers_agree_about_wrapped_lines_and_other_character_sets() -> None:
    assert checked(PLAIN[:9] + b"\n".join(LINED[i : i + 60] for i in range(0, len(LINED), 60))) == []
    utf8 = PLAIN.replace(b"UNOC", b"UNOY").decode("latin-1").encode()
    assert checked(utf8) == []
    assert checked(utf8.replace(b"UNOY", b"UNOC"), encoding="utf-8") == []


@pytest.mark.parametrize(("name", "reason"), [("binary", "binary objects"), ("own separators", "its own separators")])
def test_what_cannot_be_compared_is_said(name: str, reason: str) -> None:
    (issue,) = checked(ALL[name])
    assert (issue.code, issue.severity) == ("EDI092", Severity.INFO)
    assert reason in issue.message


def test_of_several_interchanges_each_is_judged_or_said_not_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ALL["binary"] + b"\r\n" + PLAIN
    assert [i.code for i in checked(both)] == ["EDI092"]
    assert [i.code for i in checked(both + b"\r\n" + ALL["own separators"])] == ["EDI092", "EDI092"]
    monkeypatch.setattr(splitting, "_park", lambda body, _: (body.replace("?", ""), 0))
    assert {i.code for i in checked(both)} == {"EDI092", "EDI090"}  # the other one is compared all the same


def test_what_was_left_out_cannot_be_compared() -> None:
    for data in (PLAIN[:-5], PLAIN.replace(b"SEQ++1'", b"SEQ++1'UNA:+.? '"), PLAIN.replace(b"SEQ", b"S" + b"+" * 1100)):
        assert {i.code for i in checked(data)} == {"EDI092"}


def test_a_reader_that_splits_wrongly_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a reader that takes released separators for separators."""
    monkeypatch.setattr(splitting, "_park", lambda body, _: (body.replace("?", ""), 0))
    issues = checked(PLAIN)
    assert errors(issues) == {"EDI090"}
    assert (issues[0].at.segment, issues[0].at.ordinal, issues[0].at.element) == ("FTX", 10, 4)
    assert issues[0].at.file == "letter.edi"


@pytest.mark.parametrize("kept", [slice(1, None), slice(None, -1), slice(None, 5)])
@pytest.mark.parametrize("name", ["plain", "two interchanges"])
def test_a_reader_that_loses_segments_is_caught(name: str, kept: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = splitting.Splitter.split
    monkeypatch.setattr(splitting.Splitter, "split", lambda self, start, end: whole(self, start, end)[kept])
    assert "EDI090" in errors(checked(ALL[name]))


def test_junk_outside_is_said() -> None:
    assert {i.code for i in checked(b"junk\n" + PLAIN)} == {"EDI092"}
    assert {i.code for i in checked(b"\xef\xbb\xbf" + PLAIN)} == {"EDI092"}


def test_a_failing_second_reader_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydifact.tokenizer import Tokenizer

    def broken(*_: object) -> None:
        raise IndexError("secret")

    monkeypatch.setattr(Tokenizer, "get_tokens", broken)
    (issue,) = checked(PLAIN)
    assert (issue.code, issue.severity) == ("EDI091", Severity.WARNING)
    assert "IndexError" in issue.message
    assert "secret" not in issue.message


def test_no_values_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "_park", lambda body, _: (body.replace("?", ""), 0))
    assert all("tlf" not in i.message and i.value is None for i in checked(PLAIN))


def test_samples(shared: Path) -> None:
    files = sorted((shared / "samples" / "medcom-2014").rglob("*.edi"))
    assert len(files) >= 30
    found = {path.name: {i.code for i in checked(path.read_bytes())} for path in files}
    assert {name for name, codes in found.items() if codes - {"EDI092"}} == set()
    assert [name for name, codes in found.items() if codes] == ["BIN01_synthetic.edi"]


def test_nothing_to_compare() -> None:
    assert checked(b"") == []
