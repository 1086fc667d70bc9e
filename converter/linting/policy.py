"""Findings that the authors of mapping files have looked at and accepted, each with its reason (`lint.yaml`).

    accepted:
      - {code: LNT133, file: codes/attachment-types.yaml, because: "…"}
      - {code: LNT142, file: fhir/A.yaml, rule: request.notes.text, because: "…"}

A line accepts every finding of its code in its file, or only those of a rule. One that accepts nothing is a finding.
"""

from __future__ import annotations

from pathlib import Path

from converter.issues import Issue, IssueLog, Severity, declare
from converter.yamlfile import Fields, Map, Seq, Str, load, place

FILE = "lint.yaml"
BAD_POLICY = declare(
    "LNT190",
    "bad-acceptance",
    Severity.ERROR,
    "{problem}",
    why="Nobody could say which findings are accepted, and by whose reason.",
    help="A line of `accepted` has `code`, `file` and `because`, and may have `rule`.",
)
NOT_NEEDED = declare(
    "LNT191",
    "acceptance-unused",
    Severity.WARNING,
    "no finding {code} in {file} is there to accept",
    why="A later fault of that kind would be accepted unseen.",
    help="Remove the line.",
)


class Policy:
    """The accepted findings of one folder. Raises `MappingError` for a file that is wrong."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[Map] = []
        self.used: set[int] = set()
        path = folder / FILE
        if path.is_file():
            self._read(load(path, name=FILE))

    def _read(self, document: Map) -> None:
        fields = Fields(BAD_POLICY)
        fields.keys(document, (), ("accepted",), "the file")
        lines = document.get("accepted", Seq())
        for line in lines if isinstance(lines, Seq) else ():
            if not isinstance(line, Map):
                fields.fault(line, "a line is a mapping")
                continue
            fields.keys(line, ("code", "file", "because"), ("rule",), "a line")
            if all(isinstance(line.get(key), Str) for key in ("code", "file", "because")):
                self.lines.append(line)
        fields.raise_faults()

    def accepts(self, issue: Issue) -> bool:
        """Whether a finding is accepted."""
        for number, line in enumerate(self.lines):
            rule = line.get("rule")
            same = line["code"] == issue.code and line["file"] == issue.at.file
            if same and (rule is None or issue.rule.partition(".")[2] == rule):
                self.used.add(number)
                return True
        return False

    def unused(self, log: IssueLog) -> None:
        """Note the lines that accepted nothing."""
        for number, line in enumerate(self.lines):
            if number not in self.used:
                log.add(NOT_NEEDED, place(line), code=str(line["code"]), file=str(line["file"]))
