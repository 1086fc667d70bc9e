"""Assessments to report: the invented examples, and the same with markup and formulas in everything that has a name."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARKUP = "</script><!--<script>window.planted=1</script><img src=x onerror=window.planted=1>\u2028{{7*7}}"
NAMES = {"name", "what", "path", "version", "type", "referral", "says", "code", "cluster", "check", "month", "syntax"}
NAMES |= {"loss", "role", "kind", "input", "scenario", "term", "id", "finding", "retention", "newest", "party"}
KINDS_KEPT = {"headline", "drivers"}


def example(name: str) -> dict[str, Any]:
    """One of the example files."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.example.json").read_text(encoding="utf-8"))
    return found


def planted(value: Any, key: str = "") -> Any:
    """The same with markup behind every name."""
    if isinstance(value, dict):
        return {name: one if name in KINDS_KEPT else planted(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [planted(one, key) for one in value]
    return value + MARKUP if isinstance(value, str) and key in NAMES else value


def assessment(folder: Path, *, priced: bool = True, hostile: bool = False) -> Path:
    """A folder with an assessment to report."""
    for name in ("summary", *(["priced"] if priced else [])):
        content = example(name)
        (folder / f"{name}.json").write_text(json.dumps(planted(content) if hostile else content), encoding="utf-8")
    return folder


class Read(HTMLParser):
    """A page as a reader of HTML sees it."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.figures: list[str] = []
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.resources: list[str] = []
        self.scripts: list[str] = []
        self.comments = 0
        self.words = ""
        self.rows: dict[str, list[str]] = {}
        self._row = ""
        self._main = False
        self._script = False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {key: value or "" for key, value in attrs}
        self.elements.append(tag)
        self.attributes |= held.keys()
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")
        if "id" in held:
            self.ids.append(held["id"])
        if tag == "tr":
            self._row = held.get("id", "")
            self.rows.setdefault(self._row, [])
        if tag in ("td", "th") and self._row:
            self.rows[self._row].append("")
        if tag == "a":
            self.links.append(held["href"])
            if self._main:
                self.figures.append(held["href"])
        elif any(key in held for key in ("src", "href", "srcset", "action", "data")):
            self.resources.append(tag)
        self._main = tag == "span" and held.get("class") == "figure"

    def handle_endtag(self, tag: str) -> None:
        self._script = False
        if tag == "tr":
            self._row = ""

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data
            return
        self.words += data
        if self._row:
            self.rows[self._row][-1] += data
