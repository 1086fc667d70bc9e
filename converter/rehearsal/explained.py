"""Faults that no example can show, each with its reason (`mutants.yaml` in the mapping folder).

    explained:
      - {file: fhir/parts/a.yaml, rule: receiver.name, faults: [guard when dropped], because: "…"}

They survive and count as survivors; whoever reads the list need not look into them again.
"""

from __future__ import annotations

from pathlib import Path

from converter.issues import IssueLog, Location, Severity, declare
from converter.rehearsal.mutants import Mutant
from converter.rehearsal.rules import in_folder
from converter.yamlfile import Fields, Map, Seq, Str, load, place

FILE = "mutants.yaml"
EXPLAINED = declare(
    "LNT531",
    "mutant-explained",
    Severity.INFO,
    "no example notices this fault: {what} ({name}); {because}",
    why="It was looked into: no message shows the difference.",
    help="Nothing to do, unless the reason no longer holds.",
)
NOT_NEEDED = declare(
    "LNT532",
    "explanation-unused",
    Severity.WARNING,
    "no fault survives that this line explains: {what} ({name})",
    why="A later fault there would be passed over by a reason that was given for another one.",
    help="Remove the line, or the fault from it.",
)
BAD_EXPLANATION = declare(
    "LNT533",
    "bad-explanation",
    Severity.ERROR,
    "{problem}",
    why="Nobody could say which faults are meant, and why no example shows them.",
    help="A line of `explained` has `file`, `rule`, `faults` (a list) and `because`.",
)

Key = tuple[str, str, str]
"""File below the mapping folder, name of the rule, and the words for the fault."""


def reasons(folder: Path) -> dict[Key, tuple[str, Location]]:
    """The reasons of a folder, and where they stand. Raises `MappingError` for a file that is wrong."""
    path, fields, found = folder / FILE, Fields(BAD_EXPLANATION), {}
    if not path.is_file():
        return {}
    document = load(path, name=FILE)
    fields.keys(document, ("explained",), (), "the file")
    lines = document.get("explained")
    for line in lines if isinstance(lines, Seq) else ():
        if not isinstance(line, Map):
            fields.fault(line, "a line is a mapping")
            continue
        fields.keys(line, ("file", "rule", "faults", "because"), (), "a line")
        faults, texts = line.get("faults"), [line.get(key) for key in ("file", "rule", "because")]
        if not isinstance(faults, Seq) or not all(isinstance(one, Str) for one in (*faults, *texts)):
            fields.fault(line, "`faults` is a list of texts, the others are texts")
            continue
        for fault in faults:
            found[str(texts[0]), str(texts[1]), str(fault)] = (str(texts[2]), place(fault))
    fields.raise_faults()
    return found


def key(mutant: Mutant) -> Key:
    """What names a mutant in the file."""
    return mutant.at.file, mutant.name, mutant.what


def report(
    survivors: list[Mutant], known: dict[Key, tuple[str, Location]], log: IssueLog, folder: str, *, all_tried: bool
) -> list[Mutant]:
    """Tell those that have a reason, and reasons that nothing needs; gives the survivors that have none."""
    for mutant in survivors:
        if key(mutant) in known:
            because = known[key(mutant)][0]
            log.add(EXPLAINED, in_folder(mutant.at, folder), what=mutant.what, name=mutant.name, because=because)
    left = {key(mutant) for mutant in survivors}
    for one in known if all_tried else ():
        if one not in left:
            log.add(NOT_NEEDED, in_folder(known[one][1], folder), what=one[2], name=one[1])
    return [mutant for mutant in survivors if key(mutant) not in known]
