"""A letter whose type nobody defined: the one kind of issue that both syntaxes report it with."""

from __future__ import annotations

import re

from converter.issues import IssueLog, Location, Severity, declare

NO_DEFINITION = declare(
    "LTR001",
    "no-definition",
    Severity.ERROR,
    "There is no letter definition for {what}.",
    why="Without a definition nobody knows what the parts of the letter mean, so it is refused as a whole; the other "
    "letters beside it are not affected.",
    help="`medcom-fhir doctor` lists the types and versions that are defined; a new one is one file under "
    "mappings/letters.",
)

# A type or version (DIS90, XD9034L), or a root element of two words or more (ClinicalEmail). A name is neither.
_NAME = re.compile(r"(X?[A-Z]{1,6}[0-9]{1,4}[A-Z]?|[A-Z][a-z]{1,20}([A-Z][a-z]{1,20}){1,4})\Z")


def report_no_definition(log: IssueLog, at: Location, *names: str) -> None:
    """Add LTR001 for a letter known by these names (type and version, or root element and VersionCode).

    A name that does not look like one is shown as `?`: whatever else stands in its place may be a patient's data.
    """
    log.add(NO_DEFINITION, at, what=" ".join(name if _NAME.match(name) else "?" for name in names))
