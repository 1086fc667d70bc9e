"""`explain`: every value of a target has an origin, every source value a fate, and the page lets nothing in or out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from converter import explain
from converter.cli import program
from converter.directory import Directory
from converter.engine import Engine
from converter.explain import Explanation, Leaf, Origin, explanation
from converter.issues import IssueLog, catalog, import_all_kinds
from converter.sources import Input
from converter.yamlfile import load

ROOT = Path(__file__).resolve().parents[1]
LETTERS = ROOT / "fixtures" / "letters" / "DIS91"
TABLE = ROOT / "fixtures" / "organisations.csv"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(directory=Directory.load(TABLE, IssueLog()), validate=False)


def explained(engine: Engine, data: bytes, name: str, to: str | None = None) -> Explanation:
    item = Input(name, name, data, explicit=True)
    (outcome,) = engine.convert(data, to=to, name=name)
    return explanation(item, outcome, engine)


@pytest.fixture(scope="module")
def plain(engine: Engine) -> Explanation:
    return explained(engine, (LETTERS / "plain" / "message.edi").read_bytes(), "message.edi")


def sources(found: Explanation, target: str) -> tuple[str, ...]:
    return found.origins[target].sources


# Origins


def test_every_target_value_has_an_origin_in_words(plain: Explanation) -> None:
    assert {leaf.key for leaf in plain.target} == set(plain.origins)
    assert all(origin.kind for origin in plain.origins.values())
    named = [o for o in plain.origins.values() if o.rule]
    assert len(named) > 30
    assert all(re.match(r"fhir/.+\.yaml:\d+\Z", o.place) for o in named if not o.rule.endswith(".origin"))


def test_values_come_from_the_leaves_that_they_are_made_of(plain: Explanation) -> None:
    values = {leaf.key: leaf.text for leaf in plain.target}
    letter = {leaf.key: leaf.text for leaf in plain.source}
    gln = next(k for k, v in values.items() if v == letter["Sender.EANIdentifier"] and k.endswith("/value"))
    assert sources(plain, gln) == ("Sender.EANIdentifier",)
    cpr = next(k for k, v in values.items() if v == letter["Patient.CivilRegistrationNumber"])
    assert sources(plain, cpr) == ("Patient.CivilRegistrationNumber",)
    assert sources(plain, "/timestamp") == ("Envelope.Sent.Date", "Envelope.Sent.Time")
    recorded = next(k for k in values if k.endswith("/recorded"))
    assert sources(plain, recorded) == ("Envelope.Sent.Date", "Envelope.Sent.Time")


def test_of_several_rules_for_one_place_the_one_in_force_is_named(plain: Explanation) -> None:
    """The endpoint comes from the table here: the receiver's own identifier is no SOR id."""
    origin = plain.origins["/entry/0/resource/destination/0/endpoint"]
    assert origin.rule.endswith(".receiver_endpoint_table")
    assert origin.kind == "from the organisation table"


def test_every_source_value_has_a_home_or_a_reason(plain: Explanation) -> None:
    carried = {source for origin in plain.origins.values() for source in origin.sources}
    homeless = {leaf.key for leaf, _ in plain.homeless()}
    assert {leaf.key for leaf in plain.source} == carried | homeless
    assert not carried & homeless
    for _, entry in plain.homeless():
        assert entry.loss in plain.losses
        assert plain.losses[entry.loss] in explain.why(entry, plain)


@pytest.mark.parametrize("case", sorted(p.parent.name for p in LETTERS.glob("*/message.edi")))
def test_all_fixtures_are_explained_both_ways(engine: Engine, case: str) -> None:
    data = (LETTERS / case / "message.edi").read_bytes()
    (outcome,) = engine.convert(data, name="x")
    there = explained(engine, data, "x")
    known = {leaf.key for leaf in there.source}
    assert all(set(o.sources) <= known for o in there.origins.values())
    if outcome.output is None:
        assert not there.target
        return
    back = explained(engine, outcome.output, "x.json")
    assert {leaf.key for leaf in back.target} == set(back.origins)
    assert {leaf.key for leaf in back.source} == set(back.fates)
    surname = back.origins.get("Patient.PersonSurnameName")
    assert surname is None or surname.sources[0].endswith("/family")


def test_leaves_that_the_way_back_restores_name_what_they_come_from(engine: Engine, plain: Explanation) -> None:
    (outcome,) = engine.convert((LETTERS / "plain" / "message.edi").read_bytes(), name="x")
    assert outcome.output is not None
    back = explained(engine, outcome.output, "x.json")
    assert sources(back, "Envelope.Sent.Date") == sources(back, "Envelope.Sent.Time") == ("/timestamp",)
    assert sources(back, "Letter.Identifier") == ("/identifier/value",)
    assert back.origins["Letter.TypeCode"].rule.endswith("header.event")
    without = [k for k, o in back.origins.items() if not o.sources and not o.rule]
    assert set(without) <= {"Envelope.AcknowledgementCode", "Letter.StatisticalCode", "Letter.VersionCode"}


def test_letters_explain_across_syntaxes(engine: Engine) -> None:
    found = explained(engine, (LETTERS / "plain" / "message.edi").read_bytes(), "x", "oioxml")
    assert all(origin.sources == (leaf,) for leaf, origin in found.origins.items())


def test_the_text_names_segment_and_position(plain: Explanation) -> None:
    shown = explain.text(plain)
    assert "/entry/2/resource/identifier/0/value" in shown
    place = re.search(r"from Patient.CivilRegistrationNumber at \d+:\d+, segment \d+ PNA, element 2 component 1", shown)
    assert place
    assert "C91-03: address and speciality" in shown


def test_values_are_shown_only_on_request(plain: Explanation) -> None:
    family = next(leaf.text for leaf in plain.source if leaf.key == "Patient.PersonSurnameName")
    for hidden, shown in (
        (explain.text(plain), explain.text(plain, show_values=True)),
        (explain.page([plain]), explain.page([plain], show_values=True)),
    ):
        assert family not in hidden
        assert family in shown


# The page


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text of its scripts and styles."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.raw:
            self.raw[self._open].append(data)
        else:
            self.text += data

    def policy(self) -> str:
        metas = [attributes for tag, attributes in self.tags if tag == "meta"]
        return next(str(m["content"]) for m in metas if m.get("http-equiv") == "Content-Security-Policy")


def hash_of(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>*{display:none}",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe",
    "a\x00b\x1b[31m",
    "' onmouseover='alert(1)",
]


def hostile_page() -> str:
    """Hostile text wherever the page has a place for text."""
    found = Explanation("".join(HOSTILE), "".join(HOSTILE), "m")
    for number, text in enumerate(HOSTILE):
        found.source.append(Leaf(f"{text}.{number}", text))
        found.target.append(Leaf(f"/{number}", text))
        found.origins[f"/{number}"] = Origin((f"{text}.{number}",), text, text, text, text)
    found.target_bundle = {text: {"x" + text: text} for text in HOSTILE}
    found.target += [
        Leaf(f"/{text.replace('~', '~0').replace('/', '~1')}/x{text.replace('~', '~0').replace('/', '~1')}", text)
        for text in HOSTILE
    ]
    return explain.page([found], show_values=True)


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(plain: Explanation) -> None:
    parsed = Page(explain.page([plain]))
    (script,), (style,) = parsed.raw["script"], parsed.raw["style"]
    directives = dict(d.strip().split(" ", 1) for d in parsed.policy().split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == f"'{hash_of(script)}'"
    assert directives["style-src"] == f"'{hash_of(style)}'"
    assert "unsafe" not in parsed.policy()


def test_the_page_asks_for_nothing(plain: Explanation) -> None:
    parsed = Page(explain.page([plain], show_values=True))
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "form", "a"}
    for _, attributes in parsed.tags:
        assert not {"src", "href", "style", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_hostile_text_stays_text() -> None:
    content = hostile_page()
    parsed = Page(content)
    assert len(parsed.raw["script"]) == len(parsed.raw["style"]) == 1
    assert not {tag for tag, _ in parsed.tags} & {"img"}
    for _, attributes in parsed.tags:
        assert not [name for name in attributes if name.startswith("on")]
    # Negative control: the hostile text is really there, as text.
    assert "<script>alert(1)</script>" in parsed.text
    assert "{{ 7*7 }}" in parsed.text
    for character in "\u202e\x00\x1b":
        assert character not in content
    assert "\\u202egnp.exe" in parsed.text


def test_partners_share_a_link_and_every_value_can_be_reached_by_keyboard(plain: Explanation) -> None:
    parsed = Page(explain.page([plain]))
    values = [attributes for tag, attributes in parsed.tags if tag == "button"]
    assert len(values) == len(plain.source) + len(plain.target)
    links: dict[str, int] = {}
    for value in values:
        for link in str(value["data-links"]).split():
            links[link] = links.get(link, 0) + 1
    with_source = [o for o in plain.origins.values() if o.sources]
    assert sum(count > 1 for count in links.values()) == len(with_source)
    assert all(value["data-note"] for value in values)


def test_the_page_is_the_same_on_every_run(plain: Explanation, engine: Engine) -> None:
    again = explained(engine, (LETTERS / "plain" / "message.edi").read_bytes(), "message.edi")
    assert explain.page([plain]) == explain.page([again])


NODE = """
const value = (links, note, side) => ({
  dataset: { links, note }, lit: false, scrolled: false, side,
  classList: { add() { this.owner.lit = true; }, remove() { this.owner.lit = false; } },
  closest(what) { return what === ".side" ? side : this; },
  scrollIntoView() { this.scrolled = true; },
});
const [left, right] = ["left", "right"];
const values = [value("0-1 0-2", "the rule", left), value("0-2", "other", right), value("0-3", "third", right)];
for (const one of values) one.classList.owner = one;
const status = { textContent: "No value chosen." };
const listeners = {};
global.document = {
  querySelector: (query) => (query.startsWith("button") ? null : status),
  querySelectorAll: (query) => values.filter((v) => v.dataset.links.split(" ").includes(query.match(/"(.*)"/)[1])),
  addEventListener: (kind, listener) => { listeners[kind] = listener; },
};
require(process.argv[2]);
listeners.focusin({ target: values[0] });
console.log(JSON.stringify([values.map((v) => v.lit), values[1].scrolled, status.textContent]));
listeners.mouseover({ target: values[2] });
console.log(JSON.stringify([values.map((v) => v.lit), status.textContent]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is absent: the script of the page is not run")
def test_the_script_lights_partners_and_names_the_rule(plain: Explanation, tmp_path: Path) -> None:
    (tmp_path / "page.js").write_text(Page(explain.page([plain])).raw["script"][0])
    (tmp_path / "driver.js").write_text(NODE)
    command = ["node", tmp_path / "driver.js", tmp_path / "page.js"]
    done = subprocess.run(command, capture_output=True, check=True)
    focused, pointed = map(json.loads, done.stdout.splitlines())
    assert focused == [[True, True, False], True, "the rule"]
    assert pointed == [[False, False, True], "third"]


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent: the page is not looked at")
@pytest.mark.parametrize("hostile", [False, True])
def test_the_page_in_a_browser(plain: Explanation, tmp_path: Path, hostile: bool) -> None:
    """The browser runs the script, refuses nothing of ours, and shows no alert."""
    content = hostile_page() if hostile else explain.page([plain])
    (tmp_path / "page.html").write_text(content)
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom")
    done = subprocess.run(
        [str(CHROMIUM), *flags, (tmp_path / "page.html").as_uri()], capture_output=True, check=True, timeout=120
    )
    assert b"No value chosen." in done.stdout
    assert b"CONSOLE" not in done.stderr


# Commands


def test_explain_prints_and_writes_a_page(tmp_path: Path) -> None:
    letter = LETTERS / "plain" / "message.edi"
    printed = run("explain", letter, "--sor", TABLE)
    assert printed.exit_code == 0
    assert "In the target: " in printed.stdout
    page = tmp_path / "page.html"
    assert run("explain", letter, "--sor", TABLE, "-o", page).exit_code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert run("explain", letter, "-o", page).exit_code == 2
    assert run("explain", letter, "--sor", TABLE, "-o", page, "--force").exit_code == 0


def test_an_existing_path_wins_over_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "archive-damaged" in run("explain", "BAT004").stdout
    shutil.copy(LETTERS / "plain" / "message.edi", tmp_path / "BAT004")
    assert "In the target: " in run("explain", "BAT004").stdout


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "x.edi").write_bytes(b"UNB+UNOC:3+broken")
    result = run("explain", tmp_path / "x.edi")
    assert result.exit_code == 1
    assert " error " in result.stderr


def all_codes() -> list[str]:
    import_all_kinds()
    return list(catalog())


@pytest.mark.parametrize("code", all_codes())
def test_every_kind_of_issue_has_a_page(code: str, engine: Engine) -> None:
    shown = explain.subject(code.lower(), engine.definitions)
    kind = catalog()[code]
    assert shown is not None
    assert shown.startswith(f"{code} {kind.name} ({kind.severity})")
    for part in (kind.why, kind.help):
        assert part in shown
        assert part.endswith((".", ")", "?", "`"))
        assert len(part.split()) >= 2


def test_the_catalog_is_whole() -> None:
    families = {code[:3] for code in all_codes()}
    assert families >= {"EDI", "XML", "LTR", "MAP", "LNT", "PRO", "NCK", "DIR", "BAT", "SYS"}


def test_a_letter_type_is_shown_as_its_table(engine: Engine) -> None:
    for word, version in (("DIS91", "D9134L"), ("dis91", "D9134L"), ("XDIS91", "D9134L"), ("DIS91@D9133L", "D9133L")):
        shown = explain.subject(word, engine.definitions)
        assert shown is not None
        assert shown.startswith(f"DIS91 {version} ")
        assert "Patient.CivilRegistrationNumber" in shown
        assert "PNA" in shown
    assert explain.subject("DIS91@D0000L", engine.definitions) is None
    assert explain.subject("NONSENSE", engine.definitions) is None


def test_messages_without_a_definition_are_shown_by_their_segments(tmp_path: Path) -> None:
    """Also the second of a file; values only where they are asked for."""
    body = "UNH+L{n}+MEDRPT:D:93A:UN:R0130K+RPT01'BGM+LRP++9+NA'FTX+NC+P00++hemmeligt {n}'UNT+4+L{n}'"
    head = "UNA:+.? 'UNB+UNOC:3+5790000120314:14+5790000121526:14+260301:1020+K1++++0'"
    path = tmp_path / "reports.edi"
    text = head + body.format(n=1) + body.format(n=2) + "UNZ+2+K1'"
    path.write_text(text)
    lines = run("explain", path).stdout.splitlines()
    assert lines.count("In the message, which has no FHIR message of its own: 15 values") == 2
    column = text.index("hemmeligt 1") + 1
    assert f"  FTX 4.1 at 1:{column}, segment 4 FTX, element 4 component 1" in lines
    assert not any("hemmeligt" in line for line in lines)
    assert "= hemmeligt 2" in run("explain", path, "--show-values").stdout


def test_letters_without_a_mapping_are_shown_by_their_leaves(root: Path, engine: Engine) -> None:
    folders = sorted((root / "fixtures" / "legacy").glob("DIS*"))
    unmapped = next(folder for folder in folders if engine.mappings.for_letter(folder.name) is None)
    path = next(unmapped.rglob("message.xml"))
    assert "  Sender.EANIdentifier at " in run("explain", path).stdout


def test_a_letter_type_is_shown_with_its_names(engine: Engine) -> None:
    def lines(word: str) -> list[str]:
        return (explain.subject(word, engine.definitions, engine.folder / explain.NAMES) or "").splitlines()

    assert lines("DIS20")[1] == "Indlæggelsesadvis (da), notification of admission (en)"
    assert lines("DIS01@D0134L")[2] == "OIOXML only: the EDIFACT layout of this version is not published"
    assert lines("DIS19")[2] == "EDIFACT layout untested against real letters"
    assert lines("DIS20")[2].startswith("leaf ")
    assert {d.type for d in engine.definitions if d.untested} == {"DIS10", "DIS16", "DIS18", "DIS19", "REF10", "REF12"}
    assert run("explain", "CTL03").stdout.splitlines()[1] == "Positiv kvittering (da), positive receipt (en)"
    assert set(load(engine.folder / explain.NAMES)) <= set(engine.definitions.types)


def test_show_prints_what_was_compiled() -> None:
    both = run("show", "DIS91-carecommunication").stdout
    assert "def to_fhir(" in both
    assert "def from_fhir(" in both
    assert "def to_fhir(" not in run("show", "DIS91-carecommunication", "--direction", "back").stdout
    assert "def from_fhir(" not in run("show", "DIS91-carecommunication", "--direction", "forth").stdout
    assert "Patient.CivilRegistrationNumber" in run("show", "DIS91").stdout
    url = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message"
    for name in (url, "medcom-careCommunication-message"):
        assert "def " in run("show", name).stdout


def test_bundles_show_their_lines(engine: Engine, tmp_path: Path) -> None:
    (outcome,) = engine.convert((LETTERS / "plain" / "message.edi").read_bytes(), name="x")
    assert outcome.output is not None
    found = explained(engine, outcome.output, "x.json")
    lines = outcome.output.decode().splitlines()
    for leaf in found.source:
        assert leaf.at is not None
        name = leaf.key.rpartition("/")[2]
        assert name.isdigit() or json.dumps(name) in lines[leaf.at.line - 1]
