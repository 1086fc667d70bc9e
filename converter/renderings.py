"""Findings for people and for machines: text, JSON, SARIF 2.1.0, JUnit, GitHub annotations, OperationOutcome.

Values of messages are left out unless asked for. File names and messages cannot forge a line or steer a terminal:
control characters and those that reverse the reading direction are written as escapes (threats L1 to L4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from converter.issues import Issue, IssueKind, Severity

FORMATS = ("text", "json", "sarif", "junit", "github", "operationoutcome")

# C0 and C1 controls, line and paragraph separators, bidirectional marks and overrides, lone surrogates, BOM.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def neutral(text: str) -> str:
    """The text on one line, without anything that a terminal or a log reader would obey."""
    return _UNSAFE.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


def neutral_lines(text: str) -> str:
    """The same for text of several lines: line feeds stay."""
    return "\n".join(neutral(line) for line in text.split("\n"))


def render(
    issues: Sequence[Issue],
    form: str,
    *,
    show_values: bool = False,
    fail_on: Severity = Severity.ERROR,
    files: Iterable[str] = (),
    version: str = "",
) -> str:
    """All findings as one document in a form of `FORMATS`, ending in a line feed unless empty.

    `files` names what was looked at, so that JUnit can say that a file passed.
    """
    documents: dict[str, Callable[[], str]] = {
        "text": lambda: "".join(text(issue, show_values=show_values) for issue in issues),
        "github": lambda: "".join(github(issue) for issue in issues),
        "json": lambda: document([as_json(issue, show_values=show_values) for issue in issues]),
        "sarif": lambda: document(sarif(issues, version)),
        "junit": lambda: junit(issues, fail_on, files),
        "operationoutcome": lambda: document(operation_outcome(issues)),
    }
    return documents[form]()


def document(content: object) -> str:
    """Plain data as JSON text, ending in a line feed."""
    # ASCII only: whatever a file name holds, it cannot steer the terminal that it is printed on.
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


# Text


def text(issue: Issue, *, show_values: bool = False) -> str:
    """`file:line:column CODE severity message`; indented below it what to do, and what else is known of the place."""
    at = issue.at
    # What has no line is a matter of the file as a whole; editors and CI want a line that is there.
    place = f"{neutral(at.file) or '-'}:{at.line or 1}:{at.column or 1}"
    lines = [f"{place} {issue.code} {issue.severity} {neutral(issue.message)}"]
    lines.append(f"    help: {neutral(issue.kind.help)}")
    where = _where(issue)
    if where:
        lines.append(f"    at: {neutral(where)}")
    if show_values and issue.value is not None:
        lines.append(f"    value: {neutral(issue.value)}")
    return "\n".join(lines) + "\n"


def _where(issue: Issue) -> str:
    at, parts = issue.at, []
    if at.segment:
        parts.append(f"segment {at.ordinal} {at.segment}" if at.ordinal else at.segment)
        if at.element:
            parts.append(f"element {at.element}" + (f" component {at.component}" if at.component else ""))
    if at.path:
        parts.append(at.path)
    if issue.target:
        parts.append(f"target {issue.target}")
    if issue.rule:
        parts.append(f"rule {issue.rule}")
    if issue.count > 1:
        parts.append(f"{issue.count} times")
    return ", ".join(parts)


# JSON


def as_json(issue: Issue, *, show_values: bool = False) -> dict[str, Any]:
    """A finding as plain data: everything but the value, which is there only on request."""
    at = issue.at
    found: dict[str, Any] = {
        "code": issue.code,
        "name": issue.kind.name,
        "severity": str(issue.severity),
        "message": issue.message,
        "help": issue.kind.help,
        "file": at.file,
        "line": at.line,
        "column": at.column,
    }
    optional = {
        "offset": at.offset if at.offset >= 0 else None,
        "segment": at.segment or None,
        "ordinal": at.ordinal or None,
        "element": at.element or None,
        "component": at.component or None,
        "path": at.path or None,
        "target": issue.target or None,
        "expression": fhirpath(issue.target) if issue.target.startswith("/") else None,
        "rule": issue.rule or None,
        "contrl": issue.kind.contrl,
        "value": issue.value if show_values else None,
    }
    return {**found, "count": issue.count, **{k: v for k, v in optional.items() if v is not None}}


# SARIF 2.1.0 (OASIS standard, 27 March 2020)

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(issues: Sequence[Issue], version: str = "") -> dict[str, Any]:
    """A SARIF log of one run. Only the rules that fired are listed."""
    kinds = {issue.code: issue.kind for issue in issues}
    order = {code: number for number, code in enumerate(sorted(kinds))}
    driver: dict[str, Any] = {"name": "medcom-fhir", "rules": [_sarif_rule(kinds[code]) for code in order]}
    if version:
        driver["version"] = version
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(issue, order[issue.code]) for issue in issues],
            }
        ],
    }


def _sarif_rule(kind: IssueKind) -> dict[str, Any]:
    return {
        "id": kind.code,
        "name": kind.name,
        "shortDescription": {"text": kind.name.replace("-", " ")},
        "fullDescription": {"text": kind.why},
        "help": {"text": kind.help},
        "defaultConfiguration": {"level": _LEVELS[kind.severity]},
    }


def _sarif_result(issue: Issue, index: int) -> dict[str, Any]:
    at = issue.at
    place: dict[str, Any] = {}
    if at.file:
        place["physicalLocation"] = {"artifactLocation": {"uri": quote(at.file.replace("\\", "/"), errors="replace")}}
        if at.line:
            place["physicalLocation"]["region"] = {"startLine": at.line, "startColumn": max(at.column, 1)}
    if at.path:
        place["logicalLocations"] = [{"fullyQualifiedName": neutral(at.path)}]
    result: dict[str, Any] = {
        "ruleId": issue.code,
        "ruleIndex": index,
        "level": _LEVELS[issue.severity],
        "message": {"text": neutral(issue.message)},
    }
    if place:
        result["locations"] = [place]
    if issue.count > 1:
        result["occurrenceCount"] = issue.count
    return result


# JUnit (no normative schema: the elements and attributes that the schema of Jenkins' xUnit plug-in has)


def junit(issues: Sequence[Issue], fail_on: Severity, files: Iterable[str] = ()) -> str:
    """One test case a file, failed if it has a finding at or above `fail_on`; the others stand in its output."""
    by_file: dict[str, list[Issue]] = {file: [] for file in files}
    for issue in issues:
        by_file.setdefault(issue.at.file, []).append(issue)
    cases, failed = [], 0
    for file, found in by_file.items():
        grave = [i for i in found if counts(i, fail_on)]
        failed += bool(grave)
        cases.append(_junit_case(file, grave, [i for i in found if not counts(i, fail_on)]))
    totals = f'tests="{len(cases)}" failures="{failed}" errors="0"'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="medcom-fhir" {totals}>\n'
        f'<testsuite name="medcom-fhir" {totals} skipped="0">\n{"".join(cases)}</testsuite>\n</testsuites>\n'
    )


def _junit_case(file: str, grave: list[Issue], other: list[Issue]) -> str:
    start = f'<testcase classname="medcom-fhir" name={_attribute(file or "-")}'
    if not grave and not other:
        return f"{start}/>\n"
    parts = [start, ">\n"]
    if grave:
        summary = f"{grave[0].code} {grave[0].message}" + (f" (and {len(grave) - 1} more)" if len(grave) > 1 else "")
        parts.append(f"<failure type={_attribute(grave[0].code)} message={_attribute(summary)}>")
        parts.append(f"{_element(''.join(text(i) for i in grave))}</failure>\n")
    if other:
        parts.append(f"<system-out>{_element(''.join(text(i) for i in other))}</system-out>\n")
    return "".join((*parts, "</testcase>\n"))


def _element(content: str) -> str:
    return neutral_lines(content).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(content: str) -> str:
    return quoteattr(neutral(content))


# GitHub workflow commands


def github(issue: Issue) -> str:
    """One annotation. Without escaping, a file name could end the command and start another one."""
    at, level = issue.at, {"info": "notice"}.get(issue.severity.value, issue.severity.value)
    properties = {"file": at.file, "line": at.line, "col": at.column, "title": f"{issue.code} {issue.kind.name}"}
    settings = ",".join(f"{k}={_property(str(v))}" for k, v in properties.items() if v)
    return f"::{level} {settings}::{_command(f'{issue.message}. {issue.kind.help}')}\n"


def _command(content: str) -> str:
    return neutral(content).replace("%", "%25")


def _property(content: str) -> str:
    return _command(content).replace(":", "%3A").replace(",", "%2C")


# OperationOutcome (FHIR R4)

_TYPES = {"EDI": "structure", "XML": "structure", "LTR": "invalid", "PRO": "invalid", "NCK": "not-supported"}
_TYPES |= {"MAP": "processing", "DIR": "not-found", "LNT": "processing", "BAT": "processing", "SYS": "exception"}
_TYPES |= {"FLW": "business-rule", "VAN": "structure", "RTE": "not-found"}


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An R4 OperationOutcome; without findings it says so in its one issue, as the resource must have one."""
    entries = [_outcome_issue(issue) for issue in issues]
    nothing = {"severity": "information", "code": "informational", "diagnostics": "No findings"}
    return {"resourceType": "OperationOutcome", "issue": entries or [nothing]}


def _outcome_issue(issue: Issue) -> dict[str, Any]:
    place = ":".join((neutral(issue.at.file), str(issue.at.line), str(issue.at.column)))
    entry: dict[str, Any] = {
        "severity": "information" if issue.severity is Severity.INFO else str(issue.severity),
        "code": _TYPES[issue.code[:3]],
        "details": {"coding": [{"code": issue.code, "display": issue.kind.name}], "text": neutral(issue.message)},
        "diagnostics": f"{place} {neutral(_where(issue))}".strip(),
    }
    # `expression` is FHIRPath; JSON pointers and letter paths stand in the diagnostics as well.
    if issue.target:
        entry["expression"] = [fhirpath(issue.target)]
    return entry


def fhirpath(target: str) -> str:
    """A place in a Bundle as FHIRPath: `/entry/2/resource/topic` becomes `Bundle.entry[2].resource.topic`.

    The step of a choice is written as in JSON (`contentAttachment`), which says which type was found there.
    """
    if not target.startswith("/"):
        return target
    return "Bundle" + "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in target[1:].split("/"))


def counts(issue: Issue, fail_on: Severity) -> bool:
    """Whether a finding changes the exit code. "Not checked" never does, whatever was asked for."""
    return issue.severity.rank >= fail_on.rank and not issue.code.startswith("NCK")


def page(kind: IssueKind) -> str:
    """The page of a kind of issue, as `explain CODE` prints it."""
    lines = [f"{kind.code} {kind.name} ({kind.severity})", ""]
    lines += [f"What:   {kind.message}", f"Why:    {kind.why}", f"Help:   {kind.help}"]
    if kind.example:
        lines.append(f"E.g.:   {kind.example}")
    if kind.source:
        lines.append(f"Source: {kind.source}")
    if kind.contrl is not None:
        lines.append(f"CONTRL: syntax error code {kind.contrl} (data element 0085)")
    return "\n".join(lines) + "\n"
