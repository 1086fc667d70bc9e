"""The report in headless Chromium: what a reader sees, clicks and prints, in both languages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from converter.assessment.report.language import LANGUAGES
from converter.assessment.report.writing import write_all
from tests.assessment.browsing import Page, browser
from tests.assessment.reported import ROOT, assessment

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(browser() is None, reason="no Chromium on the PATH: the report is not opened in a browser"),
]

CHARTS = 10
FIGURES = (
    """[...document.querySelectorAll(".figure > a")].map((link, i) => { link.id = "figure-" + i; return link.hash; })"""
)
SEEN = """(() => { const at = document.getElementById(%s).getBoundingClientRect();
    return at.bottom > 0 && at.top < innerHeight; })()"""
MIDDLE = """(() => { const link = document.getElementById(%s); link.scrollIntoView({block: "center"});
    const at = link.getBoundingClientRect(); return [at.left + at.width / 2, at.top + at.height / 2]; })()"""
DRAWN = """[...document.querySelectorAll(".chart")].map(chart => [chart.id, chart.dataset.drawn,
    chart.querySelectorAll("svg path").length, chart.querySelectorAll("svg text").length,
    chart.getBoundingClientRect().width, [...chart.querySelectorAll("svg path")].some(path =>
        path.getBoundingClientRect().width > 20 && !["none", "transparent"].includes(path.getAttribute("fill")))])"""
BAR = """(() => { const chart = document.getElementById("drawn-scenarios-chart");
    chart.scrollIntoView({block: "center"});
    const at = chart.getBoundingClientRect(); return [at.left + at.width / 2, at.top + at.height / 2]; })()"""


def quoted(text: str) -> str:
    """A text as a literal of JavaScript."""
    assert re.fullmatch(r"[\w:-]+", text), text
    return f'"{text}"'


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_reader_sees_charts_and_follows_numbers(code: str, tmp_path: Path) -> None:
    folder = assessment(tmp_path)
    (path, *_) = write_all(folder, ROOT / "mappings", code)
    with Page(browser() or "", tmp_path / "profile") as page:
        page.open(path)
        drawn = page.value(DRAWN)
        assert len(drawn) == CHARTS
        for name, done, paths, texts, width, filled in drawn:
            assert done == "yes", name
            assert min(paths, texts) >= 3, name
            assert width > 500, name
            assert filled or "months" in name or "volume" in name or "curve" in name, name
        followed = page.value(FIGURES)
        assert len(followed) == 12
        for number, target in enumerate(followed):
            x, y = page.value(MIDDLE % quoted(f"figure-{number}"))
            page.click(x, y)
            assert page.value("location.hash") == target
            assert page.value(SEEN % quoted(target.removeprefix("#"))), f"{target} is out of sight"
        x, y = page.value(BAR)
        before = page.value('document.querySelectorAll("#drawn-scenarios-chart svg text").length')
        page.hover(x, y)
        page.value("new Promise(done => setTimeout(done, 400))")
        after = page.value('document.querySelectorAll("#drawn-scenarios-chart svg text").length')
        assert after > before, "pointing at a bar tells its figures"
        assert page.complaints() == []
        assert page.requests() == [path.as_uri()]
        picture = tmp_path / "page.png"
        page.picture(picture)
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size > 30_000, "not an empty page"
        page.printed(tmp_path / "page.pdf")
    _is_printed(tmp_path / "page.pdf")


def _is_printed(path: Path) -> None:
    """Pages with their numbers on A4; what is folded on the screen is on the paper."""
    assert path.read_bytes()[:5] == b"%PDF-"
    if shutil.which("pdftotext") is None:
        return
    told = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    pages = told.rstrip("\f").split("\f")
    assert len(pages) > 8
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page
    assert told.count("2030") > 12, "the months of the folded table"
    sizes = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True).stdout
    assert "(A4)" in sizes


@pytest.mark.parametrize("code", LANGUAGES)
def test_planted_markup_does_nothing(code: str, tmp_path: Path) -> None:
    folder = assessment(tmp_path, hostile=True)
    (path, *_) = write_all(folder, ROOT / "mappings", code, form="none")
    with Page(browser() or "", tmp_path / "profile") as page:
        page.open(path)
        x, y = page.value(BAR)
        page.hover(x, y)
        page.value("new Promise(done => setTimeout(done, 400))")
        assert page.value("window.planted") is None
        assert page.value('document.querySelectorAll("img").length') == 0
        assert page.value('document.querySelectorAll(".chart[data-drawn]").length') == CHARTS
        assert page.complaints() == []
        assert page.requests() == [path.as_uri()]


def test_complaints_and_requests_are_noticed(tmp_path: Path) -> None:
    """The control: a page that does all that ours must not."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src=missing.png onerror='window.planted=1'><script>console.error('x'); throw 1</script>")
    with Page(browser() or "", tmp_path / "profile") as page:
        page.open(bad)
        assert page.value("window.planted") == 1
        assert len(page.complaints()) >= 2
        assert len(page.requests()) == 2
