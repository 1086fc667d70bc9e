"""Narratives of hostile and odd content, and the words in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fhir.narrative import FOLDER, Narratives
from converter.fhir.wording import Labels, Wording, anything, moment, moments, person
from tests.fhir.narrative_samples import OURS, everything, ref, seen, told

NARRATIVES = Narratives.load()


@pytest.fixture
def narratives() -> Narratives:
    return NARRATIVES


def communication(narratives: Narratives, content: str) -> str:
    resource: dict[str, Any] = {"resourceType": "Communication", "id": "c", "payload": [{"contentString": content}]}
    narratives.add({"entry": [{"resource": resource}]})
    return str(resource["text"]["div"])


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src="x" onerror="alert(1)">',
        "</div><iframe src='https://x.example'>",
        "&lt;b&gt; &amp;amp; &#60;",
        "]]> <!-- <![CDATA[ x ]]>",
        "{{ id }} {% for x in y %} {# c #}",
        "\u202etxet desrever",
    ],
)
def test_markup_in_a_text_is_text(narratives: Narratives, hostile: str) -> None:
    assert hostile in seen(communication(narratives, hostile))


def spiced(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: spiced(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [spiced(item, key) for item in value]
    kept = key in ("resourceType", "reference", "fullUrl", "system", "url", "div") or not isinstance(value, str)
    return value if kept else value + "<&>\"'"


def test_what_is_told_anywhere_is_escaped_once(narratives: Narratives) -> None:
    bundle = everything()
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for key in resource.keys() - {"id"}:
            resource[key] = spiced(resource[key], key)
    narratives.add(bundle)
    assert len(bundle["entry"]) > 10
    for entry in bundle["entry"]:
        div = entry["resource"]["text"]["div"]
        assert seen(div)
        assert "&amp;lt;" not in div
        assert "&amp;amp;" not in div
        assert "&lt;&amp;&gt;&#34;&#39;" in div


def test_line_breaks_are_kept(narratives: Narratives) -> None:
    div = communication(narratives, "a\nb\r\nc\rd\n\ne\n")
    assert div.count("<br/>") == 6
    assert "a\nb\nc\nd\n\ne\n" in seen(div)
    assert seen(communication(narratives, "\n")).count("\n") == 1


def test_a_text_of_any_length_is_told_in_full(narratives: Narratives) -> None:
    content = "\n".join(f"Linje {number}" for number in range(3000))
    assert content in seen(communication(narratives, content))


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_what_xml_cannot_hold_is_replaced_visibly(narratives: Narratives, character: str) -> None:
    assert "a\ufffdb" in seen(communication(narratives, f"a{character}b"))


@pytest.mark.parametrize("character", ["\t", "æ", "\ufffd", "\ufeff", "\ud7ff", "\ue000", "\U0001f600", "\x7f", "\x85"])
def test_what_xml_can_hold_is_kept(narratives: Narratives, character: str) -> None:
    assert f"a{character}b" in communication(narratives, f"a{character}b")


@pytest.mark.parametrize("examples", [70, pytest.param(200, marks=pytest.mark.long)])
def test_any_text_anywhere_gives_a_well_formed_div(examples: int) -> None:
    @given(st.text(max_size=40))
    @settings(max_examples=examples, deadline=None)
    def law(text: str) -> None:
        bundle = json.loads(
            json.dumps(everything()).replace("Fornavn", "@").replace("Line one", "@").replace("Holdet", "@")
        )
        bundle = json.loads(json.dumps(bundle).replace('"@"', json.dumps(text)))
        NARRATIVES.add(bundle)
        for entry in bundle["entry"]:
            seen(entry["resource"]["text"]["div"])

    law()


anything_at_all = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["reference", "coding", "text"]), inner)
    ),
    max_leaves=4,
)


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from nodes(value[key])


@pytest.mark.parametrize("examples", [100, pytest.param(300, marks=pytest.mark.long)])
def test_elements_of_any_shape_give_a_narrative_and_no_error(examples: int) -> None:
    @given(st.data())
    @settings(max_examples=examples, deadline=None)
    def law(data: st.DataObject) -> None:
        bundle = everything()
        for _ in range(3):
            places = list(nodes(bundle["entry"]))
            where, key = data.draw(st.sampled_from(places))
            where[key] = data.draw(anything_at_all)
        NARRATIVES.add(bundle)
        for entry in bundle["entry"]:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict) and resource.get("resourceType") not in ("Bundle", "Binary", "Parameters"):
                seen(resource["text"]["div"])

    law()


def test_an_unexpected_shape_is_told_leaf_by_leaf(narratives: Narratives) -> None:
    bundle = everything()
    patient = told(bundle)["Patient"]
    patient["name"] = "En tekst"
    narratives.add(bundle)
    text = seen(patient["text"]["div"])
    assert "name: En tekst" in text
    assert "identifier.0.value: 0201609995" in text


def test_of_resources_with_one_name_the_first_gives_it() -> None:
    pair = [{"resourceType": "Organization", "id": "1", "name": name} for name in ("first", "second")]
    for resources, names in ((pair, "first"), ([*pair, {"id": "odd"}], "first"), (pair[1:], "second")):
        wording = Wording(Labels({}), {"entry": [{"resource": resource} for resource in resources]})
        assert wording.names["Organization/1"] == names
        assert wording.resources == resources


def test_references_that_go_in_circles_come_to_an_end(narratives: Narratives) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": ref("PractitionerRole", "r")}
    narratives.add({"entry": [{"resource": role}]})
    assert "PractitionerRole/r" in seen(role["text"]["div"])  # type: ignore[index]


# Wording


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2031-05-17T09:41:00+02:00", "17-05-2031 kl. 09:41"),
        ("2031-01-17T09:41:00+01:00", "17-01-2031 kl. 09:41"),
        ("2031-05-17T09:41:05+02:00", "17-05-2031 kl. 09:41:05"),
        ("2031-05-17T09:41:05.120Z", "17-05-2031 kl. 09:41:05.120 (UTC+00:00)"),
        ("2031-05-17T09:41:00-03:00", "17-05-2031 kl. 09:41 (UTC-03:00)"),
        ("2031-05-17T09:41", "17-05-2031 kl. 09:41"),
        ("2031-05-17T09:41:00", "17-05-2031 kl. 09:41"),
        ("2031-05-17", "17-05-2031"),
        ("2031-05", "2031-05"),
        ("2031", "2031"),
        ("i går", "i går"),
        ("en lang tekst uden dato", "en lang tekst uden dato"),
        ("", ""),
    ],
)
def test_moments(value: str, said: str) -> None:
    assert moment(value) == said


def test_persons() -> None:
    assert person({"given": ["A", "B"], "family": "C", "prefix": ["Dr."]}) == "Dr. A B C"
    assert person({"text": "Hele navnet", "family": "C"}) == "Hele navnet"
    assert person({"family": "C"}) == "C"
    assert person({}) == ""


def test_codes_are_told_by_display_then_label_then_code() -> None:
    wording = Wording(Labels({"urn:s": {"a": "Etiket"}}), {})
    assert wording.coding({"system": "urn:s", "code": "a", "display": "Vist"}) == "Vist"
    assert wording.coding({"system": "urn:s", "code": "a"}) == "Etiket"
    assert wording.coding({"system": "urn:s", "code": "b"}) == "b"
    assert wording.coding({"system": "urn:t", "code": "a"}) == "a"
    assert wording.concept({"text": "Vist", "coding": [{"display": "Vist"}]}) == "Vist"
    assert wording.concept({"coding": [{"code": "b"}, {"system": "urn:s", "code": "a"}]}) == "b, Etiket"


def test_an_organisation_without_a_name_is_told_by_its_numbers() -> None:
    bundle = everything()
    del told(bundle)["Organization"]["name"]
    wording = Wording(Labels(json.loads((FOLDER / "labels.json").read_text())), bundle)
    assert "Lokationsnummer (GLN) 5790000120314" in wording.reference(ref("Organization", "id-sender"))


def test_attached_bytes_are_not_told() -> None:
    resource = {"resourceType": "DocumentReference", "content": [{"attachment": {"data": "QUFBQQ=="}}]}
    assert ("content.0.attachment.data", "…") in anything(resource)


def test_an_extension_that_says_nothing_we_know_is_told_leaf_by_leaf(narratives: Narratives) -> None:
    bundle = everything()
    told(bundle)["Patient"]["extension"][0] = {"url": OURS + "occupation-text", "valueInteger": 41}
    narratives.add(bundle)
    assert "extension.0.valueInteger: 41" in seen(told(bundle)["Patient"]["text"]["div"])


def test_a_reference_by_full_url_is_told(narratives: Narratives) -> None:
    bundle = everything()
    told(bundle)["Encounter"]["serviceProvider"] = {"reference": "https://x.example/Organization/copy"}
    told(bundle)["Communication"]["subject"] = {"reference": "Patient/id-patient/_history/2"}
    narratives.add(bundle)
    assert "Kopihuset" in seen(told(bundle)["Encounter"]["text"]["div"])
    assert "Patient: Fornavn Mellemnavn" in seen(told(bundle)["Communication"]["text"]["div"])


@pytest.mark.parametrize("odd", ["text", ["item"], 7, True])
@pytest.mark.parametrize("place", ["identifier.0", "name.0", "address.0", "telecom.0", "extension.0"])
def test_an_element_of_any_other_shape_is_told_leaf_by_leaf(narratives: Narratives, place: str, odd: Any) -> None:
    bundle = everything()
    where: Any = told(bundle)["Patient"]
    where["gender"] = "unknown"  # no template shows it
    *above, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    for step in above:
        where = where[step]
    where[last] = odd
    narratives.add(bundle)
    assert "gender: unknown" in seen(told(bundle)["Patient"]["text"]["div"])


def test_what_is_remembered_of_dates_stays_small() -> None:
    for year in range(2000, 4500):
        assert moment(f"{year}-01-02") == f"02-01-{year}"
    assert 0 < len(moments) <= 1000


def test_only_dates_are_remembered() -> None:
    for text in ("i går", "Nancy Ann", "2031-05-1x" + "x" * 30):
        moment(text)
        assert text not in moments


def test_what_is_remembered_of_codes_stays_small_and_is_no_number_of_a_person() -> None:
    labels = Labels({"urn:s": {"a": "Etiket"}})
    wording = Wording(labels, {})
    for code in ("0201609995", "Hansen", *(f"A{number}" for number in range(1500))):
        assert wording.coding({"system": "urn:t", "code": code}) == code
    assert ("urn:t", "A1") in labels.codes
    assert ("urn:t", "0201609995") not in labels.codes
    assert ("urn:t", "Hansen") not in labels.codes
    assert len(labels.codes) == 1001


def test_what_is_told_leaf_by_leaf_does_not_depend_on_what_was_told_before() -> None:
    odd = {"resourceType": ["x"], "data": {"data": "QQ=="}, "Hansen": "v", "text": "t"}
    resource = {"resourceType": "List", "mode": "snapshot", "data": "QQ==", "Hansen": "v", "text": {"div": "d"}}
    for _ in range(2):
        assert anything(odd) == [("resourceType.0", "x"), ("data.data", "…"), ("?2", "v"), ("text", "t")]
        assert anything(resource) == [("mode", "snapshot"), ("data", "…"), ("?3", "v")]


def test_without_the_fast_escape_narratives_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markupsafe._speedups", None)
    slow, fast = everything(), everything()
    for bundle, by in ((slow, Narratives.load()), (fast, NARRATIVES)):
        told(bundle)["Patient"]["name"][0]["family"] = "<b> & \"'"
        by.add(bundle)
    assert slow == fast
    assert "&lt;b&gt; &amp; &#34;&#39;" in told(fast)["Patient"]["text"]["div"]
