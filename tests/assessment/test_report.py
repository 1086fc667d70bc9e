"""The report of an assessment: both languages, numbers that lead somewhere, nothing that runs, the same bytes."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import string
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from converter.assessment import summary
from converter.assessment.pricing_inputs import COSTS, SCENARIO_RANGES
from converter.assessment.report.blocks import Drawing
from converter.assessment.report.charts import Chart, Series, embedded
from converter.assessment.report.language import LANGUAGES, TEXTS, Language
from converter.assessment.report.spreadsheets import FORMS, write_csv
from converter.assessment.report.subject import Subject
from converter.assessment.report.writing import page, read_subject, sections, write_all
from converter.assessment.scenarios import TERMS
from converter.assessment.tables import FACTS, TABLES, arrow
from converter.cli import program
from converter.naming import Names
from converter.yamlfile import load
from tests.assessment.reported import MARKUP, ROOT, Read, assessment, example

REPORT = ROOT / "converter/assessment/report"
LIBRARY = "e163b3179e31b3a30db8ed1e435343491e167473537a706f2806a909b4cdc406"
FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "a;=1+1",
    "a,=1+1",
    'a;"=1+1',
    " =1",
    "a\t=1",
    "＝1",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assessment(tmp_path_factory.mktemp("assessment"))


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Read]:
    return {code: Read(page(read_subject(folder, ROOT / "mappings", code))) for code in LANGUAGES}


def subject(language: str = "en", **more: Any) -> Subject:
    return Subject(example("summary"), Language(language), Names(ROOT / "mappings"), **more)


# Texts and numbers


def test_every_text_is_in_both_languages_with_the_same_blanks() -> None:
    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    texts = load(TEXTS)
    assert len(texts) > 200
    for key, text in texts.items():
        assert set(text) == set(LANGUAGES), key
        assert blanks(text["da"]) == blanks(text["en"]), key


def test_every_text_is_used() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in REPORT.glob("*.py"))
    code += (ROOT / "converter/templates/assessment.html.j2").read_text(encoding="utf-8")
    families = (
        {"code", "effort", "term", "priced"}
        | set(re.findall(r'known\(\s*"([a-z]+)"', code))
        | set(re.findall(r"""f['"]([a-z]+)\.\{""", code))
    )
    unused = [k for k in load(TEXTS) if f'"{k}"' not in code and k.partition(".")[0] not in families]
    assert unused == []


def test_what_the_measures_name_has_a_text() -> None:
    """What the assessment and its pricing name by code is said in the reader's language."""
    measures, language = load(ROOT / "mappings/assessment.yaml"), Language("da")
    named = [f"code.{one}" for one in (*measures["quality"], *measures["functional"])]
    named += [f"retention.{one['name']}" for one in measures["retentions"]]
    for name, hidden in summary._HIDES.items():
        named += [f"input.{name}", *(f"hides.{one}" for one in hidden)]
    named += [f"priced.{one}" for one in (*COSTS, *SCENARIO_RANGES)] + [f"term.{one}" for one in TERMS]
    schema = json.loads((REPORT.parent / "priced.schema.json").read_bytes())["properties"]
    named += [f"note.{one}" for one in schema["notes"]["items"]["properties"]["note"]["enum"]]
    named += [f"scenario.{one}" for one in schema["scenarios"]["items"]["properties"]["id"]["enum"]]
    named += [f"effort.{one}" for one in measures["effort"]] + [f"not.{one}" for one in measures["not_assessed"]]
    assert [one for one in named if one not in language] == []
    assert "code.nonsense" not in language


@pytest.mark.parametrize(
    ("value", "digits", "danish", "english"),
    [
        (1234567.891, 2, "1.234.567,89", "1,234,567.89"),
        (-1234, 0, "−1.234", "−1,234"),
        (-0.4, 0, "0", "0"),
        (None, 0, "–", "–"),
    ],
)
def test_numbers_are_written_as_the_language_does(value: float | None, digits: int, danish: str, english: str) -> None:
    assert (Language("da").number(value, digits), Language("en").number(value, digits)) == (danish, english)


def test_a_share_is_never_rounded_to_nothing_or_all() -> None:
    danish, english = Language("da"), Language("en")
    assert danish.percent(0.1234) == "12,3\u00a0%"
    assert (english.percent(0), english.percent(1)) == ("0.0%", "100.0%")
    assert english.percent(0.0001) == "<\u00a00.1%"
    assert danish.percent(0.9999) == ">\u00a099,9\u00a0%"


# The page


def test_order_of_the_sections_is_that_of_the_specification(told: dict[str, Read]) -> None:
    wanted = ["answer", "drivers", "moves", "stays", "top", "scenarios", "method"]
    wanted += [f"appendix-{letter}" for letter in "abcd"]
    for read in told.values():
        assert [one for one in read.ids if one in wanted] == wanted


@pytest.mark.parametrize("code", LANGUAGES)
def test_links_lead_somewhere_and_nothing_is_fetched(told: dict[str, Read], code: str) -> None:
    read = told[code]
    assert len(read.ids) == len(set(read.ids))
    assert {link for link in read.links if link.removeprefix("#") not in read.ids} == set()
    assert read.resources == []
    assert [link for link in read.links if not link.startswith("#")] == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_each_main_number_leads_to_its_finding_with_id_and_count(told: dict[str, Read], code: str) -> None:
    read, one = told[code], subject(code)
    assert len(read.figures) == len(set(read.figures)) == 12
    names = {str(one.language(key)) for key in ("mark.measured", "mark.given", "mark.assumed")}
    behind = {}
    for target in read.figures:
        _, count, _, origin, finding = read.rows[target.removeprefix("#")]
        assert re.fullmatch(r"[\d.,–]+( \w+)?", count), target
        assert origin in names
        behind[target] = (count, finding)
    ids = {finding["finding"] for finding in one.findings}
    with_finding = [target for target, (_, told_as) in behind.items() if any(id_ in told_as for id_ in ids)]
    assert set(behind) - set(with_finding) == {"#figure-senders", "#figure-change", "#figure-best", "#figure-worst"}
    assert behind["#figure-automatic"][0] == "700"
    assert "F3 loss:C91-03:XX91:Sender.StreetName" in behind["#figure-automatic"][1]
    for label in (label for label in one.labels.values() if f"#{label}" in read.links):
        assert read.rows[label][0] == label


def test_however_many_findings_there_are_each_number_leads_to_its_own() -> None:
    held = example("summary")
    (last,) = (one for one in held["findings"] if one["kind"] == "flow" and one["type"] == "XX01")
    more = [{**last, "finding": f"loss:X{n}:XX01:", "kind": "loss", "messages": 900} for n in range(1200)]
    held["findings"] += more
    read = Read(page(Subject(held, Language("en"), Names(ROOT / "mappings"))))
    assert {link for link in read.links if link.removeprefix("#") not in read.ids} == set()
    assert any(last["finding"] in row[1] for row in read.rows.values() if len(row) == 7)
    assert 500 < sum(name.startswith("F") for name in read.rows) < 600


def test_every_chart_has_a_table_that_says_the_same() -> None:
    for section in sections(subject("da", priced=example("priced"))):
        for block in section.blocks:
            if isinstance(block, Drawing):
                assert [row.cells[0] for row in block.table.rows] == list(block.chart.categories)
                assert len(block.table.heads) == 1 + len(block.chart.series)


def test_nothing_stands_in_the_page_that_is_not_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """Two folders with the same files, at another time and place: the same bytes."""
    other = shutil.copytree(folder, tmp_path / "other")
    first = write_all(folder, ROOT / "mappings", "da", output=tmp_path / "first.html")
    second = write_all(other, ROOT / "mappings", "da", output=tmp_path / "second.html")
    assert [path.name for path in first[1:]] == [path.name for path in second[1:]] == ["types.csv", "scenarios.csv"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_answer_has_five_sentences_and_ranges(folder: Path) -> None:
    answer = sections(read_subject(folder, ROOT / "mappings", "da"))[0].blocks[0]
    assert len(answer.items) == 5  # type: ignore[union-attr]
    words = re.sub("<[^>]+>", "", " ".join(answer.items))  # type: ignore[union-attr]
    assert "28–61" in words
    assert "3.780.000–8.640.000" in words


def test_without_costs_it_says_what_is_missing_and_what_that_hides() -> None:
    read = Read(page(subject("en")))
    for words in (
        "medcom-fhir assess price DIR",
        "Cost file (costs.toml)",
        "what each timing costs",
        "System inventory (assess inventory)",
        "which vendors must change something",
        "Organisation table (--sor)",
        "the names of parties",
        "Training of users",
    ):
        assert words in read.words
    priced = Read(page(subject("en", priced=example("priced"))))
    assert "Cost file (costs.toml)" not in priced.words
    hours = {**example("priced"), "currency": None}
    assert "The tool has no built-in prices" in Read(page(subject("en", priced=hours))).words


def test_a_sample_and_its_error_are_told() -> None:
    held = example("summary")
    error = {"without-loss": 0.0213, "automatic": 0.0181}
    held["corpus"]["sample"] = {"least": 30, "strata": 12, "assessed": 360, "messages": 1000, "error": error}
    words = Read(page(Subject(held, Language("da"), Names(ROOT / "mappings")))).words
    assert "(70,0\u00a0% ± 1,8\u00a0%)" in words
    assert "(63,0\u00a0% ± 2,1\u00a0%)" in words
    assert "360 af dem er vurderet" in words


def test_an_inventory_is_told() -> None:
    by_type = [
        {"type": "XX91", "sends": 75, "receives": 71, "fhir": 5},
        {"type": "YY99", "sends": 1, "receives": 1, "fhir": 0},
    ]
    held = {**example("summary"), "inventory": {"systems": 176, "vendors": 92, "by_type": by_type}}
    words = Read(page(Subject(held, Language("da"), Names(ROOT / "mappings")))).words
    assert "176 systemer fra 92 leverandører" in words
    assert "75" in words
    assert "YY99" not in words, "no such message was sent"


def test_small_numbers_of_one_sender_are_not_told() -> None:
    one = subject()
    assert [one.few(number) for number in (0, 1, 4, 5, None)] == ["0", "<5", "<5", "5", "<5"]

    def rows(*numbers: int | None) -> list[dict[str, Any]]:
        return [{"party": name, "messages": number} for name, number in zip("abcd", numbers, strict=False)]

    def shown(total: int, *numbers: int | None) -> list[str]:
        return list(one.guarded(rows(*numbers), total).values())

    assert shown(37, 28, 9) == ["28", "9"]
    assert shown(39, 28, None, 9) == ["28", "·", "·"], "else 28 and 9 off the total would tell it"
    assert shown(35, 28, None, None) == ["28", "·", "·"], "5 and 2, or 3 and 4"
    assert shown(33, 28, None, None) == ["28", "<5", "<5"]
    assert shown(40, 28, None, None, None) == ["28", "<5", "<5", "<5"]
    assert shown(19, None, None) == ["·", "·"]
    assert shown(3, None) == ["<5"]


def test_where_a_number_comes_from_is_said_in_letters(told: dict[str, Read]) -> None:
    told_by = {code: Read(page(subject(code, priced=example("priced")))) for code in LANGUAGES}
    assert {code: sorted(set(re.findall(r"[A-F0-9]\u00a0([a-z])", read.words))) for code, read in told_by.items()} == {
        "da": ["a", "m", "o"],
        "en": ["a", "g", "m"],
    }


# Nothing runs


def test_markup_in_names_codes_and_file_names_is_text(tmp_path: Path, told: dict[str, Read]) -> None:
    hostile = assessment(tmp_path, hostile=True)
    content = page(read_subject(hostile, ROOT / "mappings", "en"))
    read, clean = Read(content), told["en"]
    assert read.words.count(MARKUP) > 50, "it was planted"
    assert set(read.elements) == set(clean.elements)
    assert read.attributes == clean.attributes
    assert read.elements.count("script") == 3
    assert read.comments == 0
    assert "49" not in re.findall(r"\u2028(\d+)", content), "no template runs in it"
    figures = json.loads(read.scripts[0])
    assert any(MARKUP in one for chart in figures["charts"] for one in chart["categories"])
    assert not set("<>&\u2028\u2029") & set(read.scripts[0])


def test_a_plain_dump_would_have_ended_the_script() -> None:
    """The control of the test before: the markup does what it is meant to where nobody looks after it."""
    chart = Chart("x", "bars", "", "", "", (MARKUP,), (Series("", (1,)),))
    plain = json.dumps(chart.figures, ensure_ascii=False)
    assert Read(f"<script>{plain}</script>").elements == ["script", "img"]
    assert Read(f"<script>{embedded([chart])}</script>").elements == ["script"]


@pytest.mark.parametrize("form", FORMS)
def test_no_cell_is_a_formula(tmp_path: Path, form: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    held = pyarrow.table(
        {"text": list(FORMULAS), "number": list(range(len(FORMULAS))), "share": [-1.5] * len(FORMULAS)}
    )
    write_csv(held, tmp_path / "x.csv", form)
    content = (tmp_path / "x.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.reader(content.splitlines(), delimiter=FORMS[form][0]))
    assert [row[1] for row in rows[1:]] == [str(number) for number in range(len(FORMULAS))]
    assert {row[2] for row in rows[1:]} == {f"-1{FORMS[form][1]}5"}
    texts = [row[0] for row in rows[1:]]
    assert texts[:4] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)"]
    for delimiter in ",;\t":
        for row in csv.reader(content.splitlines()[1:], delimiter=delimiter):
            cells = [cell for cell in row if re.search("[a-zA-Z=＝@+]", cell)]
            assert [cell for cell in cells if re.match(r'[\s"]*[=+\-@＝]', cell)] == [], (delimiter, row)


def test_tables_are_copied_as_csv(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    folder = assessment(tmp_path)
    schema = arrow(FACTS)
    blank: dict[str, Any] = {"int": 1, "text": "=x", "flag": True}
    rows = [{column.name: blank[column.type] for column in FACTS.columns}]
    pq.write_table(schema.empty_table().from_pylist(rows, schema=schema), folder / FACTS.file)
    done = CliRunner().invoke(program, ["assess", "report", str(folder), "--lang", "da"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} >= {"report.html", "facts.csv", "types.csv", "scenarios.csv"}
    (head, row) = (folder / "facts.csv").read_text(encoding="utf-8-sig").splitlines()
    assert head.startswith('message;"type";')
    assert row.startswith('1;"\'=x";')
    assert ";0,714286;" in (folder / "types.csv").read_text(encoding="utf-8-sig")
    assert not {table.file for table in TABLES} & {"types.parquet", "scenarios.parquet"}


def test_wrong_use_says_why(tmp_path: Path) -> None:
    done = CliRunner().invoke(program, ["assess", "report", str(tmp_path)])
    assert (done.exit_code, "holds no assessment" in done.stderr) == (2, True)
    (tmp_path / "summary.json").write_text("{")
    done = CliRunner().invoke(program, ["assess", "report", str(tmp_path)])
    assert (done.exit_code, "as JSON" in done.stderr) == (2, True)


# The charting library


def test_the_library_is_the_one_that_was_built_and_its_licences_are_told(told: dict[str, Read]) -> None:
    library = (REPORT / "vendor/charts.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == LIBRARY
    assert len(library) < 600_000
    recipe = (REPORT / "vendor/charts.mjs").read_text(encoding="utf-8")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    version = re.search(r"echarts@([\d.]+)", recipe)
    assert version is not None
    assert f"Apache ECharts {version[1]}" in notice
    assert f"Apache ECharts {version[1]}".encode() in library[:200]
    for read in told.values():
        assert all(holder in read.words for holder in ("Apache Software Foundation", "Baidu", "Bostock", "Microsoft"))
