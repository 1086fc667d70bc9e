"""`lint` finds letter types and leaves that do not exist, in every file beside the mappings, at their place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from converter.engine import mappings_folder
from converter.issues import Issue, IssueLog
from converter.linting import lint

SPOILT = [
    ("names.yaml", "DIS91: {", "DIS99: {", "LNT204", "letter type DIS99"),
    ("routes.yaml", "letters: [DIS91]", "letters: [DIS99]", "LNT204", "letter type DIS99"),
    ("routes.yaml", "key: [Envelope.Identifier,", "key: [Envelope.Number,", "LNT204", "leaf Envelope.Number"),
    ("rules/organisations.yaml", '["**.EANIdentifier"]', '["**.EANNumber"]', "LNT300", "**.EANNumber"),
    (
        "rules/organisations.yaml",
        "{IdentifierCode: [sorkode]}",
        "{IdentifierKind: [sorkode]}",
        "LNT300",
        "IdentifierKind",
    ),
    ("rules/persons.yaml", "beside: [RelationCode]", "beside: [Relation]", "LNT300", "Relation"),
    ("rules/message.yaml", "Envelope.Sent.Date]", "Envelope.Sent.Day]", "LNT300", "Envelope.Sent.Day"),
    ("flows.yaml", "holds: BinaryObject.", "holds: BinaryThing.", "LNT281", "BinaryThing."),
    ("flows.yaml", "  Letter.VersionCode: ", "  Letter.VersionCodes: ", "LNT281", "Letter.VersionCodes"),
    ("flows.yaml", "tells_of_forwarding: [DIS91]", "tells_of_forwarding: [DIS99]", "LNT281", "letter type DIS99"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Letters and what names their parts; without mappings and packs, which take most of the time."""
    copy = tmp_path_factory.mktemp("lint") / "mappings"
    shutil.copytree(mappings_folder(), copy, ignore=shutil.ignore_patterns("profiles", "fhir", "lint.yaml"))
    return copy


def found(folder: Path) -> list[Issue]:
    log = IssueLog()
    lint(folder, log)
    return [issue for issue in log if issue.code in {"LNT204", "LNT281", "LNT300"}]


def test_ours_name_what_is_there(folder: Path) -> None:
    assert found(folder) == []


def test_every_name_of_nothing_is_found_at_its_place(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(folder, copy)
    places = set()
    for file, old, new, code, said in SPOILT:
        path = copy / file
        text = path.read_text(encoding="utf-8")
        assert old in text, old
        start = text.index(old) + next(n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
        line = text.count("\n", 0, start) + 1
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        places.add((code, file, line, said))
    issues = found(copy)
    for code, file, line, said in places:
        (issue,) = [i for i in issues if i.code == code and (i.at.line, said in i.message) == (line, True)]
        assert Path(issue.at.file).relative_to(copy).as_posix() == file
        assert issue.at.column > 0
    assert len(issues) == len(places)
