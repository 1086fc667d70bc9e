"""Letter types that become no FHIR message, each with its reason (`no_target.yaml` of the mapping folder)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.mapping.rules import BAD_FORM, UNKNOWN_NAME
from converter.yamlfile import Map, fault, load

FILE = "no_target.yaml"
NO_MAPPING = declare(
    "MAP006",
    "no-mapping",
    Severity.ERROR,
    "there is no mapping {direction} for {what}",
    why="The message is understood, but nobody has said what becomes of its parts.",
    help="`medcom-fhir doctor` lists the mappings; a new one is one file under mappings/fhir.",
)
NO_TARGET = declare(
    "MAP060",
    "no-target",
    Severity.ERROR,
    "{type} becomes no FHIR message: {reason}",
    why="No FHIR message says what this letter says, and none is made up.",
    help="Send it as a letter: `--to oioxml` and `--to edifact` convert it. `mappings/no_target.yaml` has the reasons.",
)


def no_target(
    folder: Path, known: Callable[[str], bool], mapped: Mapping[str, str]
) -> tuple[dict[str, str], list[Issue]]:
    """Reason by letter type, and the faults of the file: types that no definition knows, or that have a mapping."""
    if not (folder / FILE).is_file():
        return {}, []
    reasons, faults = load(folder / FILE, name=FILE).get("no_target"), []
    if not isinstance(reasons, Map):
        return {}, [fault(BAD_FORM, load(folder / FILE, name=FILE), problem="`no_target` is needed: TYPE: reason")]
    # Without any definition there is nothing to compare with; that they do not load is told elsewhere.
    defined = any(known(type_) for type_ in (*reasons, *mapped))
    for type_ in reasons:
        if defined and not known(type_):
            faults.append(fault(UNKNOWN_NAME, type_, what="the letter type", name=str(type_)))
        elif type_ in mapped:
            faults.append(fault(BAD_FORM, type_, problem=f"{type_} has a mapping, {mapped[type_]}"))
    return {str(type_): str(reason) for type_, reason in reasons.items()}, faults


def unmapped(type_: str, without: Mapping[str, str], at: Location, log: IssueLog) -> None:
    """Say why a letter becomes no FHIR message: it was decided so, or nobody has written a mapping."""
    if type_ in without:
        log.add(NO_TARGET, at, type=type_, reason=without[type_])
    else:
        log.add(NO_MAPPING, at, direction="to FHIR", what=type_)
