"""Mapping files are read when a message needs them; what is wrong with one stops whoever uses it, and nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.content import Content
from converter.engine import Engine
from converter.errors import MappingError
from converter.mapping import Mappings
from converter.yamlfile import top
from tests.rehearsal.folders import ROOT, edit
from tests.rehearsal.folders import run as command

OTHER = "fhir/other.yaml"
SMALL = "fhir/small.yaml"
BUNDLE = {"resourceType": "Bundle"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small folder: `other.yaml`, for letters TWIN, extends `small.yaml`, for letters SMALL."""
    return Path(shutil.copytree(Path(__file__).with_name("cases") / "base", tmp_path / "mappings"))


def faults(act: Callable[[], object]) -> list[tuple[str, str]]:
    """Code and file of the faults that something comes upon."""
    with pytest.raises(MappingError) as caught:
        act()
    return [(issue.code, issue.at.file) for issue in caught.value.issues]


def test_a_fault_stops_messages_that_need_the_file_and_no_others(folder: Path) -> None:
    edit(folder / OTHER, "to: Sender.Kind", "to: Sender.Kin")
    edit(folder / OTHER, "version: S0200L", "version: &anchor S0200L")
    mappings = Content(folder).mappings
    small = mappings.for_letter("SMALL")
    assert small is not None
    assert small is mappings.named("small")
    assert mappings.for_letter("NONE") is mappings.named("none") is None
    told = [("LNT002", OTHER)]
    assert faults(lambda: mappings.for_letter("TWIN")) == told
    assert faults(lambda: mappings.named("other")) == told
    assert faults(lambda: mappings.mappings) == told
    assert faults(lambda: mappings.for_bundle(BUNDLE, ["http://example.org/message|1"])) == told
    assert mappings.for_bundle(BUNDLE, ["http://example.org/other"]) is None
    assert faults(Engine(folder).load) == told


def test_a_fault_of_a_file_is_one_of_those_that_extend_it_and_all_are_told(folder: Path) -> None:
    edit(folder / SMALL, "<-> topic.text |", "<-> topic[x].text |")
    mappings = Content(folder).mappings
    told = faults(lambda: mappings.for_letter("TWIN"))
    assert told == faults(lambda: mappings.for_letter("SMALL"))
    assert len(told) == 2


@pytest.mark.parametrize(
    ("was", "now", "code"),
    [
        ("letter: TWIN", "letter: SMALL", "LNT071"),
        ("mapping: other", "mapping: small", "LNT071"),
        ("letter: TWIN", "letter: TST01", "LNT063"),  # of which no_target.yaml says that it has none
        ("letter: TWIN\n", "", "LNT063"),
        ("mapping: ", "mapping: [", "LNT001"),
    ],
)
def test_where_it_is_not_sure_which_mapping_is_whose_none_is_used(folder: Path, was: str, now: str, code: str) -> None:
    (folder / "no_target.yaml").write_text("no_target: {TST01: nobody reads it}\n")
    assert Content(folder).mappings.without == {"TST01": "nobody reads it"}
    edit(folder / OTHER, was, now)
    assert code in dict(faults(lambda: Content(folder).mappings))


def test_what_is_changed_after_the_first_message_counts_for_the_next_engine_only(folder: Path) -> None:
    mappings = Content(folder).mappings
    for file in (OTHER, SMALL, "fhir/parts/shared.yaml"):
        (folder / file).write_text("nonsense: &x y\n")
    assert len(mappings.mappings) == 2
    assert faults(lambda: Content(folder).mappings)


def test_a_bundle_is_known_by_what_its_mapping_extends(folder: Path) -> None:
    known = Content(folder).definitions
    mappings = Mappings.load(folder, known.leaves, known.types)
    edit(folder / SMALL, "bundle: http://example.org/message", "bundle: [")
    assert mappings.for_bundle(BUNDLE, ["http://example.org/message"]) is not None
    mappings = Mappings.load(folder, known.leaves, known.types)
    assert ("LNT001", SMALL) in faults(lambda: mappings.for_bundle(BUNDLE, []))


def test_the_commands_say_so(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "mappings", tmp_path / "m", ignore=shutil.ignore_patterns("profiles")))
    edit(folder / "fhir/REF07-referral.yaml", "letter: REF07", "letter: REF07\nnonsense: &anchor x")
    edit(folder / "attachments.yaml", "  - Envelope.Sent.Time", "  - Envelope.Sent.Tim")
    convert = "convert", "--no-validate", "--mappings", folder, "-o", tmp_path / "out", "--force"
    assert command(*convert, ROOT / "fixtures/letters/DIS91/plain/message.edi").exit_code == 0
    attachment = command(*convert, ROOT / "fixtures/legacy/BIN01/admitted/message.edi")
    assert (attachment.exit_code, " LNT286 error " in attachment.stderr) == (4, True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\n", {"a": "1", "b": "2"}),
        ("x: {a: 3, b: 4}\nz: [[a], {b: 5}]\na: 1\n? b\n: '2'\n", {"a": "1", "b": "2"}),
        ("{b: 2, c: {}, a: 1}", {"a": "1", "b": "2"}),
        ("a: 1\nb: [2]\na: 3\n", {"a": "1"}),
        ("[a, b]", {}),
        ("a", {}),
        ("", {}),
    ],
)
def test_texts_at_the_top(text: str, found: dict[str, str]) -> None:
    assert top(text.encode(), ("a", "b"), name="x") == found


@pytest.mark.parametrize("data", [b"a: [", b"a: \xff"])
def test_what_cannot_be_parsed_has_no_top(data: bytes) -> None:
    with pytest.raises(MappingError):
        top(data, ("z",), name="x")
