"""The short way of the profile validator says yes only where the exact functions find nothing: no finding is lost."""

from __future__ import annotations

import copy
import itertools
import json
import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter import generated
from converter.fhir.codes import FORMS
from converter.fhir.elements import Site
from converter.fhir.profiles import Pack, Profile
from converter.fhir.rules import binding, bundles, identifiers, invariants, references
from converter.fhir.rules.narrative import check_narrative, clean_text, clean_texts
from converter.fhir.rules.primitives import FAST, LONGEST
from converter.fhir.run import Run
from converter.issues import Issue, IssueLog
from tests.fhir.test_examples import FOLDERS, pack_of, profile_of

CARE = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message"
HERE = Path(__file__).parent
OTHERS: list[Any] = [
    None, True, 0, 1.5, "", " ", "x", " x ", "a\nb", "a\x01b", "\ud800", "2026-02-30", "Patient/none", "#", [], {},
    ["x"], [None], [{}], {"id": "x"}, {"reference": "#x"}, {"display": "x"}, {"value": "x"}, {"extension": []},
    {"coding": [{"system": "http://loinc.org", "code": "x", "display": "y"}]},
    [{"url": "http://example.org/x", "valueString": "x"}],
]  # fmt: skip
PROPERTIES = [
    "id",
    "_id",
    "extension",
    "modifierExtension",
    "_value",
    "_status",
    "text",
    "contained",
    "strange",
    "system",
]
PLAIN = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><h3>A</h3><p><b>B:</b> c<br/>d &amp; e</p><hr/><ul><li>f</li></ul></div>'
)

FORMATTED = (
    '<div xmlns="http://www.w3.org/1999/xhtml" style="white-space: pre-wrap">A<br/><b>B<br/><tt>c</tt></b>&#13;'
    '<span style="text-decoration: underline">d</span><i> <tt>e</tt>\nf</i><div style="text-align: right">g</div></div>'
)


@pytest.fixture(scope="module")
def pack(root: Path) -> Pack:
    return Pack.load(root / "mappings/profiles/medcom.fhir.dk.carecommunication-5.0.2.json.gz")


@pytest.fixture(scope="module")
def message() -> Any:
    return yaml.safe_load((HERE / "rules" / "message.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def letter(root: Path) -> Any:
    """The message that a letter became, with identifiers of organisations."""
    return json.loads((root / "fixtures" / "letters" / "DIS91" / "admitted" / "bundle.json").read_bytes())


def care(pack: Pack) -> Profile:
    found = pack.profile(CARE)
    assert found
    return found


def found(pack: Pack, document: Any) -> list[Issue]:
    log = IssueLog()
    care(pack).validate(document, log)
    return list(log)


@contextmanager
def exactly(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is judged the short way, and no Bundle passes as a plain one."""
    with monkeypatch.context() as patch:
        patch.setattr(Pack, "quick", lambda *_: lambda *_: False)
        patch.setattr(pack, "quick_profiles", {})
        patch.setattr(bundles, "index_plainly", lambda _: False)
        yield


def found_exactly(pack: Pack, document: Any, monkeypatch: pytest.MonkeyPatch) -> list[Issue]:
    with exactly(pack, monkeypatch):
        return found(pack, document)


def owners(value: Any) -> Iterator[Any]:
    """All objects and arrays of a document."""
    if isinstance(value, dict | list):
        yield value
        for below in value.values() if isinstance(value, dict) else value:
            yield from owners(below)


def mutants(document: Any) -> Iterator[Any]:
    """Every property and item removed, doubled and replaced, every object with a property more."""
    text = json.dumps(document)
    for number, original in enumerate(owners(document)):
        keys = list(original) if isinstance(original, dict) else list(range(len(original)))
        changes: list[tuple[str, Any, Any]] = [("remove", k, None) for k in keys]
        changes += [
            ("set", k, OTHERS[(number * 7 + i * 5 + n) % len(OTHERS)]) for i, k in enumerate(keys) for n in range(4)
        ]
        if isinstance(original, dict):
            changes += [("set", p, o) for p in PROPERTIES if p not in original for o in ("x", [{"id": "x"}])]
        else:
            changes += [("append", k, original[k]) for k in keys] + [("append", 0, None)]
        for kind, key, value in changes:
            mutant = json.loads(text)
            owner = next(itertools.islice(owners(mutant), number, None))
            if kind == "remove":
                del owner[key]
            elif kind == "set":
                owner[key] = copy.deepcopy(value)
            else:
                owner.append(copy.deepcopy(value))
            yield mutant


def test_mutants_get_the_same_findings(pack: Pack, message: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same issues in the same order with and without the short way; both verdicts occur often."""
    sound = faulty = 0
    for mutant in mutants(message):
        quick = found(pack, mutant)
        assert quick == found_exactly(pack, mutant, monkeypatch)
        sound, faulty = sound + (not quick), faulty + bool(quick)
    assert sound > 30
    assert faulty > 1000


def test_texts_that_are_too_long_are_told(pack: Pack, message: Any) -> None:
    """The short way does not ask for so long a one: what holds it does not go there."""
    told = []
    for type_, put in (
        ("Patient", lambda resource, text: resource["name"][0].update(family=text)),
        ("Communication", lambda resource, text: resource.update(topic={"text": text})),
        ("MessageHeader", lambda resource, text: resource["eventCoding"].update(display=text)),
    ):
        mutant = copy.deepcopy(message)
        resource = next(e["resource"] for e in mutant["entry"] if e["resource"]["resourceType"] == type_)
        for more in (0, 1):
            put(resource, "x" * (LONGEST + more))
            told.append(any("longer than 1 MB" in issue.message for issue in found(pack, mutant)))
    assert told == [False, True] * 3


def test_sound_message_needs_no_exact_function(pack: Pack, message: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the comparison above compares something."""
    monkeypatch.setattr(Pack, "function", lambda *_: pytest.fail("the exact way was gone"))
    assert not found(pack, message)
    run = Run(pack, message)
    assert bundles.index_plainly(run)
    plain = [(e.number, e.type, e.base, e.resource) for e in run.entries], run.by_type, list(run.by_url), list(run.near)
    run = Run(pack, message)
    bundles.index_entries(run)
    assert run.bare
    indexed = [(e.number, e.type, e.base, e.resource) for e in run.entries], run.by_type, list(run.by_url)
    assert plain == (*indexed, list(run.near))


def test_references_that_lead_out_of_the_bundle(pack: Pack, message: Any) -> None:
    """They are certain only where the exact way has nothing to say; both verdicts occur."""
    certain = doubted = 0
    modes, allowed = [(), ("referenced",), ("bundled",)], [{}, {"Patient": []}, {"Organization": []}]
    texts = ["Patient/1", "Nobody/1", "https://example.dk/Patient/1", "Patient", "#1", "Patient/1/_history/2"]
    for aggregation, types, text in itertools.product(modes, allowed, texts):
        target = references.Target(Site("Provenance", "Provenance.target"), aggregation, types)
        run = Run(pack, message)
        bundles.index_entries(run)
        run.current = run.entries[0]
        sure = references.leads({"reference": text}, run, target)
        references.check_reference({"reference": text}, "/target", run, target)
        assert not (sure and run.found), (aggregation, types, text)
        certain, doubted = certain + sure, doubted + bool(run.found)
    assert certain == 5
    assert doubted > 20


def test_rules_about_entries_that_are_resources(root: Path) -> None:
    """They hold of any Bundle, so they need not be asked; a rule about the resources of entries is none of them."""
    rules = [
        rule
        for name in ("medcom.fhir.dk.hospitalnotification-3.0.2", "medcom.fhir.dk.acknowledgement-2.0.3")
        for rule in Pack.load(root / f"mappings/profiles/{name}.json.gz").rules
    ]
    about = {f"{r['key']}/{r['digest']}": r["tree"] for r in rules if "conformsTo" in json.dumps(r["tree"])}
    for name, tree in about.items():
        entries = ["call", ["member", None, "entry"], "ofType"]
        assert (name in invariants.OF_NO_ENTRY) == (tree[1][:3] == entries and tree[2] == "all"), name
    assert set(about) > invariants.OF_NO_ENTRY


def test_choices_of_five_types_need_no_exact_function(root: Path) -> None:
    pack = Pack.load(root / "mappings/profiles/medcom-fhir.draft-0.1.0.json.gz")
    answer = pack.quick(pack.base("Procedure"))
    sound = {"resourceType": "Procedure", "status": "completed", "subject": {"display": "Somebody"}}
    sound |= {"text": {"status": "generated", "div": PLAIN}}
    for value, certain in {"2026-03-18": True, "2026-13-18": False, "": False}.items():
        given = {**sound, "performedDateTime": value}
        assert answer(given, Run(pack, given)) is certain
    several = {**sound, "performedDateTime": "2026-03-18", "performedString": "in March"}
    assert not answer(several, Run(pack, several))


def test_rules_that_plain_bundles_keep(pack: Pack, message: Any, root: Path) -> None:
    every = ["call", ["member", ["member", None, "entry"], "resource"], "all"]
    tree = [*every, ["call", ["member", ["member", None, "meta"], "profile"], "exists"]]
    letters = Pack.load(root / "mappings/profiles/medcom-fhir.draft-0.1.0.json.gz")
    known = {(rule["key"], rule["digest"]): rule["tree"] for rule in letters.rules}
    assert {known[identity] == tree for identity in bundles.KEPT_BY_PLAIN} == {True}
    found(pack, message)
    assert bundles.index_plainly(Run(pack, message))
    changed = copy.deepcopy(message)
    del changed["entry"][1]["resource"]["meta"]["profile"]
    assert not bundles.index_plainly(Run(pack, changed))


def test_entries_of_a_type_are_counted_in_the_index(pack: Pack, message: Any) -> None:
    name = pack.quick(care(pack).key).__code__.co_filename
    assert any("len(allPatient) == 1" in line for line in linecache.getlines(name))
    changed = copy.deepcopy(message)
    patient = next(part for part in changed["entry"] if part["resource"]["resourceType"] == "Patient")
    second = {**patient["resource"], "id": "second"}
    changed["entry"].append({"fullUrl": patient["fullUrl"].replace(patient["resource"]["id"], "second")})
    changed["entry"][-1]["resource"] = second
    assert any(issue.rule.endswith("careCommunication-2") for issue in found(pack, changed))
    assert not any(issue.rule.endswith("careCommunication-2") for issue in found(pack, message))


@pytest.mark.long
def test_official_examples_get_the_same_findings(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, guide, _ in FOLDERS:
        pack = pack_of(guide, shared / "fhir/packages")
        for name in json.loads((shared / "fhir/examples" / folder / "expected.json").read_text("utf-8")):
            document = json.loads((shared / "fhir/examples" / folder / name).read_text("utf-8"))
            profile = profile_of(pack, document)
            quick, exact = IssueLog(), IssueLog()
            profile.validate(document, quick)
            with exactly(pack, monkeypatch):
                profile.validate(document, exact)
            assert list(quick) == list(exact), name


def remembered(pack: Pack) -> Iterator[Any]:
    """Codings, concepts, Identifiers and lists of these that the short ways remember."""
    yield from (row for alike in pack.codings.values() for row in alike)
    for answer in pack.quick_profiles.values():
        for name, rows in getattr(answer, "__globals__", {}).items():
            if name.startswith("ALIKE"):
                yield from (row for alike in rows.__self__.values() for row in alike)


def test_only_what_code_systems_say_is_remembered(pack: Pack, message: Any) -> None:
    """A code of another system, and a display that the system does not have, could be anything that a message says.

    What generated code writes could not.
    """
    codes = message["entry"][1]["resource"]["category"][0]["coding"]
    other = {"system": "https://example.dk/own", "code": "0123", "display": "Anything"}
    loinc = {"system": "http://loinc.org", "code": "11502-2", "display": "Anything"}
    for listed in (codes, [{**codes[0], "display": "OTHER"}], [other], [loinc], [*codes, loinc]):
        changed = copy.deepcopy(message)
        changed["entry"][1]["resource"]["category"][0]["coding"] = listed
        changed["entry"][1]["resource"]["topic"] = {"coding": listed, "text": "Anything"}
        found(pack, changed)
    codings = [
        {**c}
        for row in remembered(pack)
        if isinstance(row, dict) and "value" not in row
        for c in row.get("coding", [row])
    ]
    assert len(codings) > 2
    for coding in codings:
        if generated.texts.issuperset(coding.values()):
            continue
        system, code = coding.pop("system"), coding.pop("code")
        if coding:
            assert coding.popitem() in {("display", shown) for shown in pack.systems[system][code]}
            assert not coding
        else:
            by_form = FORMS.get(system, lambda _, system=system: system.startswith(binding.CODE_SYSTEMS))
            assert code in pack.systems[system] if system in pack.systems else by_form(code)


@pytest.mark.parametrize(
    ("code", "kept"), [("511", True), ("tekstfil", True), ("1234567", False), ("two words", False)]
)
def test_codes_of_well_known_systems_are_remembered_if_short(code: str, kept: bool) -> None:
    """A number that could be a person's, and what could be a text, is not."""
    own = {"system": f"{binding.CODE_SYSTEMS[1]}own", "code": code}
    known = binding.Known()
    known.learn(own, {})
    known.learn({"system": "https://example.dk/CodeSystem/own", "code": code}, {})
    assert known == ({code: [own]} if kept else {})


def test_only_identifiers_of_organisations_are_remembered(pack: Pack, letter: Any) -> None:
    found(pack, letter)
    lists = [row for row in remembered(pack) if isinstance(row, list)]
    rows = [row for row in remembered(pack) if "value" in row]
    rows += [row for listed in lists for row in listed]
    assert lists
    assert all(row.keys() == {"system", "value"} and row["system"] in identifiers.ORGANISATIONS for row in rows)
    known = identifiers.Known()
    known.learn({"system": "urn:oid:1.2.208.176.1.2", "value": "x"})
    known.learn({"system": "https://www.gs1.org/gln", "value": "x", "period": {}})
    assert not known
    listed = [{"system": "https://www.gs1.org/gln", "value": "x"}, {"system": "urn:oid:1.2.208.176.1.2", "value": "x"}]
    lists = identifiers.Lists()
    lists.learn(listed)
    assert not lists


def test_lists_of_numbers_are_judged_once_and_only_the_same_list_passes_again(
    pack: Pack, letter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Identifier of a remembered list removed, doubled or changed, and the list without order."""
    assert not found(pack, letter)
    at = next(i for i, e in enumerate(letter["entry"]) if e["resource"]["resourceType"] == "Organization")
    listed = letter["entry"][at]["resource"]["identifier"]
    assert [row for row in remembered(pack) if row == listed]
    odd: list[Any] = [[*reversed(listed)], {}, [], listed[0], [[*listed]], {"0": listed}, "x", None]
    for i, one in enumerate(listed):
        odd += [listed[:i] + listed[i + 1 :], [*listed, one], [*listed[:i], {**one, "value": "x"}, *listed[i + 1 :]]]
    faulty = 0
    for identifier in odd:
        changed = copy.deepcopy(letter)
        changed["entry"][at]["resource"]["identifier"] = identifier
        quick = found(pack, changed)
        assert quick == found_exactly(pack, changed, monkeypatch)
        faulty += bool(quick)
    assert len(odd) > faulty > 8


def test_a_number_known_in_one_system_is_judged_in_another(
    pack: Pack, letter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered is the whole Identifier, of that element."""
    assert not found(pack, letter)
    rows = [row for row in remembered(pack) if "value" in row]
    assert rows
    for row in rows:
        changed = json.loads(json.dumps(letter).replace(f'"value": "{row["value"]}"', '"value": "5790000000001"', 1))
        quick = found(pack, changed)
        assert quick == found_exactly(pack, changed, monkeypatch)


def texts(plain: str) -> Iterator[str]:
    """A plain narrative with every stretch cut out, and with odd pieces put in everywhere."""
    pieces = [
        "<",
        ">",
        "&",
        "]]>",
        "]",
        "&#39;",
        "&nbsp;",
        "\x01",
        "\ufffe",
        "\ud800",
        " ",
        "æ",
        "<i>x</i>",
        "</p>",
        "<p>",
        "<!--x-->",
    ]
    for at in [m.start() for m in re.finditer(r"\b|(?=[<>&;])", plain)]:
        for size in (1, 3, 4, 9):
            yield plain[:at] + plain[at + size :]
        for piece in pieces:
            yield plain[:at] + piece + plain[at:]
    yield from (re.sub(r"(?<=>)[^<]+", fill, plain) for fill in ("", " ", "\n", "\xa0"))


@pytest.mark.parametrize("plain", [PLAIN, FORMATTED, FORMATTED.replace("&#13;", "x"), PLAIN.replace('"', "'")])
def test_clean_texts_are_good_texts(pack: Pack, plain: str) -> None:
    assert clean_text(plain)
    clean = 0
    for text in texts(plain):
        run = Run(pack, {})
        check_narrative(text, "", run, Site("Narrative", "Narrative.div"))
        assert clean_texts([PLAIN, text]) is clean_text(text), text
        if clean_text(text):
            clean += 1
            assert not run.found, text
    assert clean > 50


def test_narratives_are_clean_only_one_by_one() -> None:
    assert clean_texts([PLAIN, PLAIN])
    # What is sound put behind each other need not be so apart.
    for whole in (PLAIN, PLAIN + PLAIN, f"{PLAIN}<\0{PLAIN}"):
        for at in range(1, len(whole)):
            halves = [whole[:at], whole[at:]]
            assert clean_texts(halves) is all(map(clean_text, halves)), halves
    for sign in map(chr, range(ord(" "))):
        assert clean_texts([PLAIN, PLAIN.replace("</p>", sign + "</p>")]) is (sign in "\t\n\r")


def test_a_place_is_judged_once_and_only_the_same_text_passes_again(
    pack: Pack, message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """URIs that were sound are kept; the next one is judged, and a place that is no text is no place."""
    endpoint = message["entry"][0]["resource"]["source"]["endpoint"]
    assert not found(pack, message)
    for text, good in ((endpoint, True), (endpoint + " x", False), ("", False), ([endpoint], False), (endpoint, True)):
        changed = copy.deepcopy(message)
        changed["entry"][0]["resource"]["source"]["endpoint"] = text
        quick = found(pack, changed)
        assert quick == found_exactly(pack, changed, monkeypatch)
        assert (not quick) is good


def test_sections_are_judged_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narratives of one resource are looked at by one call; one that is at fault is found as before."""
    pack = Pack.load(root / "mappings/profiles/medcom-fhir.draft-0.1.0.json.gz")
    profile = pack.profile("https://medcom-fhir.org/fhir/StructureDefinition/discharge-composition")
    assert profile
    bad = '<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>'
    for texts in ([PLAIN, FORMATTED], [PLAIN, bad], [bad, PLAIN], [PLAIN, None], [PLAIN, PLAIN + "\x01"]):
        sections = [{"title": "x", "text": {"status": "additional", "div": text}} for text in texts]
        document = {"resourceType": "Composition", "status": "final", "section": sections}
        quick, exact = IssueLog(), IssueLog()
        profile.validate(document, quick)
        with exactly(pack, monkeypatch):
            profile.validate(document, exact)
        assert list(quick) == list(exact)
        assert any("div" in (i.target or "") for i in quick) is (texts != [PLAIN, FORMATTED])


@pytest.mark.parametrize(("kind", "least"), [("integer", -(2**31)), ("unsignedInt", 0), ("positiveInt", 1)])
def test_numbers_at_their_bounds(kind: str, least: int) -> None:
    values = (least - 1, least, 2**31 - 1, 2**31, 2**31 + 1, True, float(least))
    taken = [eval(FAST[kind], {"v": value}) for value in values]  # noqa: S307 - our own text
    assert taken == [False, True, True, False, False, False, False]


_SOUND = {"system": "http://example.org/codes", "code": "a-1"}


@pytest.mark.parametrize(
    ("concept", "plain"),
    [
        ({"text": "Blood"}, True),
        ({"coding": [_SOUND]}, True),
        ({"text": "Blood", "coding": [_SOUND]}, True),
        ({"text": ""}, False),
        ({"text": " Blood"}, False),
        ({"text": "B\x07lood"}, False),
        ({"text": " Blood", "coding": [_SOUND]}, False),
        ({"text": "Blood", "id": "1"}, False),
        ({"text": "Blood", "coding": [_SOUND], "id": "1"}, False),
        ({"coding": [_SOUND], "id": "1"}, False),
        ({"coding": [_SOUND, _SOUND]}, False),
        ({"coding": [_SOUND | {"code": "a  1"}]}, False),
        ({"coding": [_SOUND | {"display": ""}]}, False),
        ({"coding": [_SOUND | {"version": "1"}]}, False),
        ({}, False),
    ],
)
def test_plain_concepts_have_nothing_else(concept: dict[str, Any], plain: bool) -> None:
    assert binding.plain_concept(concept, binding.Known(), {}) is plain


@pytest.mark.parametrize(
    ("tree", "around"),
    [
        (["member", ["this"], "code"], False),
        (["member", ["constant", "resource"], "id"], True),
        (["call", ["this"], "resolve"], True),
        (["call", ["this"], "exists"], False),
        (["call", ["call", ["this"], "resolve"], "exists"], True),
    ],
)
def test_rules_that_look_around(tree: list[Any], around: bool) -> None:
    assert invariants.looks_around({"tree": tree}) is around
