"""`medcom-fhir docs`: pages that say what the mapping files say, whose links lead somewhere, without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from converter.cli import program
from converter.docs.facts import Facts
from converter.docs.writing import INDEX, pages
from converter.engine import Engine
from converter.mapping import Mapping
from converter.mapping.backward import compile_back
from converter.mapping.codes import CodeMap
from converter.naming import Names
from converter.rehearsal.rules import named
from converter.rehearsal.testing import Engines
from converter.yamlfile import load
from tests.rehearsal.folders import run


class Page(HTMLParser):
    """The ids, links and visible words of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.resources: list[str] = []
        self.words = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            elif key == "href" and tag == "a":
                self.links.append(value or "")
            elif key in ("src", "href", "srcset", "action", "data"):
                self.resources.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words += data


def dead_links(read: dict[str, Page]) -> list[tuple[str, str]]:
    """Links that lead to no page or to no place on it."""
    dead = []
    for name, page in read.items():
        for link in page.links:
            target, _, place = link.partition("#")
            there = read.get(target or name)
            if there is None or (place and place not in there.ids):
                dead.append((name, link))
    return dead


@pytest.fixture(scope="module")
def written(root: Path) -> dict[str, str]:
    return dict(pages(Engines(root / "mappings", None, validate=False), root))


@pytest.fixture(scope="module")
def read(written: dict[str, str]) -> dict[str, Page]:
    return {name: Page(content) for name, content in written.items()}


def test_every_letter_type_has_a_page(written: dict[str, str], engine: Engine) -> None:
    assert set(written) == {INDEX, *(f"{type_}.html" for type_ in engine.definitions.types)}


def test_links_lead_somewhere_and_places_have_one_name(read: dict[str, Page]) -> None:
    assert dead_links(read) == []
    assert sum(len(page.links) for page in read.values()) > 2000
    for name, page in read.items():
        assert [one for one, times in Counter(page.ids).items() if times > 1] == [], name


def test_dead_links_are_found() -> None:
    read = {
        "a.html": Page('<a href="b.html#x"></a><a href="#y"></a><a href="c.html"></a><p id="y">'),
        "b.html": Page(""),
    }
    assert dead_links(read) == [("a.html", "b.html#x"), ("a.html", "c.html")]


def test_pages_need_no_network(written: dict[str, str], read: dict[str, Page]) -> None:
    for name, page in read.items():
        assert page.resources == [], name
        assert [link for link in page.links if "//" in link] == [], name
        assert "default-src 'none'" in written[name]
        assert "@import" not in written[name]
        assert "url(" not in written[name]


def test_a_page_says_what_the_mapping_says(read: dict[str, Page], engine: Engine) -> None:
    for mapping in engine.mappings.mappings:
        page = read[f"{mapping.letter}.html"]
        for name, rule in named(mapping.document):
            assert f"rule-{name}" in page.ids, name
            for loss in (getattr(rule, "loss", ""), getattr(rule, "lossy", "")):
                assert not loss or f"loss-{loss}" in page.ids, (name, loss)
        for declared in mapping.document.declared:
            assert f"field-{declared.leaf}" in page.ids or declared.leaf not in _leaves(engine, mapping.letter)
        facts = Facts(engine, Names(engine.folder), engine.definitions.get(mapping.letter, mapping.document.version))  # type: ignore[arg-type]
        assert {codes.name for codes in facts.codes} == _asked_for(mapping, engine), mapping.letter
        for loss in facts.losses:
            assert loss.reason in page.words
            assert loss.what in page.words
        for codes in facts.codes:
            assert all(row[column] in page.words for row in codes.rows for column in codes.columns)


class Watched(dict[str, CodeMap]):
    """Code maps that note which of them are asked for."""

    def __init__(self, codes: dict[str, CodeMap]) -> None:
        super().__init__(codes)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> CodeMap:
        self.asked.add(name)
        return super().__getitem__(name)


def _asked_for(mapping: Mapping, engine: Engine) -> set[str]:
    """The code maps that the converter needs to compile a mapping, there and back."""
    watched = Watched(engine.mappings.codes)
    anew = Mapping(mapping.document, watched, engine.mappings.losses)
    assert anew.source_forward
    assert anew.source_backward
    assert compile_back(mapping.document, watched)
    return watched.asked


def _leaves(engine: Engine, type_: str) -> set[str]:
    definition = engine.definitions.get(type_, next(iter(engine.definitions.types[type_])))
    assert definition is not None
    return {row.leaf for row in definition.table()}


def test_fields_of_mapped_letters_have_danish_and_english_names(engine: Engine) -> None:
    known = set(load(engine.folder / "fields.yaml"))
    wanted = {
        element
        for mapping in engine.mappings.mappings
        for version in engine.definitions.types[mapping.letter]
        for row in engine.definitions.get(mapping.letter, version).table()  # type: ignore[union-attr]
        for element in row.leaf.split(".")
    }
    assert wanted <= known
    assert Names(engine.folder).of_path("Patient.CivilRegistrationNumber") == (
        "Patient · CPR-nummer",
        "patient · CPR number",
    )
    assert Names(engine.folder).of_path("Nothing.KnownHere") == ("nothing · known here", "nothing · known here")


def test_values_of_the_example_light_what_they_became(written: dict[str, str]) -> None:
    page = written["DIS91.html"]
    wire = re.search(r'<pre class="wire">(.*?)</pre>', page, re.DOTALL)
    assert wire is not None
    links = re.search(r'data-links="([^"]+)" data-note="([^"]*)">Elmer<', wire[1])
    assert links is not None
    assert "rule DIS91-carecommunication.patient.family (fhir/parts/patient.yaml:" in links[2]
    assert f'data-links="{links[1]}"' in page[wire.end() :]
    text = re.sub(r"<[^>]+>", "", wire[1]).replace("&#39;", "'").replace("&amp;", "&").replace("&gt;", ">")
    folder = Path(__file__).parents[2] / "fixtures/letters/DIS91/plain"
    assert text == (folder / "message.edi").read_bytes().decode("latin-1").replace("\r", ""), "the letter is whole"


def test_the_command_writes_pages_and_replaces_none_unasked(tmp_path: Path, root: Path) -> None:
    mappings = tmp_path / "mappings"
    shutil.copytree(root / "mappings", mappings, ignore=shutil.ignore_patterns("DIS0*-*", "REF*-*"))
    shown = run("docs", mappings, "-o", tmp_path / "pages")
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "pages" / "DIS91.html").read_text(encoding="utf-8")
    assert "An example, side by side" not in page, "there is none below this folder"
    assert run("docs", mappings, "-o", tmp_path / "pages").exit_code == 2
    assert run("docs", mappings, "-o", tmp_path / "pages", "--force").exit_code == 0
    assert "docs" in program.commands


@pytest.mark.long
def test_a_browser_opens_the_pages(written: dict[str, str], tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on the PATH: the pages are not opened in a browser")
    for name, content in written.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]

    def browse(*more: str) -> str:
        done = subprocess.run([browser, *options, *more], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    for name in (INDEX, "DIS91.html", "REF01.html"):
        seen = Page(browse("--dump-dom", (tmp_path / name).as_uri()))
        assert seen.links == Page(written[name]).links
    lit = re.findall(r'class="lit"', browse("--dump-dom", (tmp_path / "DIS91.html").as_uri()))
    assert len(lit) >= 2, "the script of the page ran: a value and what it became are lit"
    picture = tmp_path / "page.png"
    browse(f"--screenshot={picture}", "--window-size=1300,1000", (tmp_path / "DIS91.html").as_uri())
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 50_000, "not an empty page"
