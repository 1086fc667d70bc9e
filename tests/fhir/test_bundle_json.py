"""Reading and writing FHIR JSON: exact numbers, every fault with its place, leaves and references."""

from __future__ import annotations

import copy
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fhir.bundle import Number, index, leaves, read_json, resolve, write_json, write_ndjson
from converter.issues import Issue, IssueLog
from converter.limits import Limits


def read(data: bytes | str, limits: Limits = Limits()) -> tuple[Any, list[Issue]]:  # noqa: B008
    log = IssueLog()
    found = read_json(data.encode() if isinstance(data, str) else data, log, file="m.json", limits=limits)
    assert (found is None) == bool(list(log)), "refused if and only if there is an issue"
    return found, list(log)


# Numbers

NUMBERS = [
    *("1.10", "0.050", "100.0", "1E+2", "1e-7", "-0", "-0.0", "0", "-17", "123456789012345678901", "1." + "0" * 30),
    *("-9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809", "1e-999999"),
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "form", ['{"a":%s}', '{"a":[%s]}', '{"a":[1,"x",%s,null]}', '{ "a" : { "b" : [ { "c" : %s } ] } }']
)
def test_a_number_is_written_as_it_was_read(number: str, form: str) -> None:
    found, _ = read(form % number)
    assert write_ndjson(found).decode() == (form % number).replace(" ", "") + "\n"


def test_decimals_count_as_numbers_and_keep_their_text() -> None:
    found, _ = read('{"a": 1.10, "b": 12, "c": true}')
    assert isinstance(found["a"], Number)
    assert (str(found["a"]), found["a"] * 2, found["a"] == 1.1) == ("1.10", 2.2, True)
    assert type(found["b"]) is int
    assert found["c"] is True
    for again in (copy.deepcopy(found["a"]), pickle.loads(pickle.dumps(found["a"]))):
        assert again.text == "1.10"


@pytest.mark.parametrize("form", ['{"a":1.5}', '{"a":[1.5]}', '{"a":["x",-2.5]}', '{"a": {"b": -0.5}, "c": "d"}'])
def test_decimals_are_never_plain_floats_in_whatever_form_the_input_is(form: str) -> None:
    for text in (form, json.dumps(json.loads(form)), json.dumps(json.loads(form), indent=2)):
        numbers = [value for _, value, _ in leaves(read(text)[0]) if isinstance(value, float)]
        assert [type(value) for value in numbers] == [Number]


@pytest.mark.parametrize("wrong", ["1e999999", "9" * 401, "x", ""])
def test_numbers_that_cannot_be_kept_cannot_be_made(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Number(wrong)


def test_negative_control_a_plain_float_would_lose_its_digits() -> None:
    assert json.dumps(json.loads("1.10")) == "1.1"
    with pytest.raises(TypeError):
        write_json({"a": object()})


class Raw(str):
    """The text of a number in a document made here."""


def render(value: Any, colon: str, comma: str, escape: bool) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        pairs = (json.dumps(k, ensure_ascii=escape) + colon + render(v, colon, comma, escape) for k, v in value.items())
        return "{" + comma.join(pairs) + "}"
    if isinstance(value, list):
        return "[" + comma.join(render(item, colon, comma, escape) for item in value) + "]"
    return json.dumps(value, ensure_ascii=escape)


numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?\Z").map(Raw)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['": 5', '":5', '\\": 1.5,', "[1.5]", ",0.10,", "\n5", "a: 1.10", '"', "\\", "  "]
)
documents = st.dictionaries(
    texts,
    st.recursive(
        texts | numbers | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


EXAMPLES = pytest.mark.parametrize("examples", [40, pytest.param(120, marks=pytest.mark.long)])


@EXAMPLES
def test_write_read_keeps_names_texts_and_the_digits_of_numbers(examples: int) -> None:
    @given(
        documents, st.sampled_from([":", ": ", " : ", ":\n"]), st.sampled_from([",", ", ", ",\r\n\t"]), st.booleans()
    )
    @settings(max_examples=examples, deadline=None)
    def law(document: dict[str, Any], colon: str, comma: str, escape: bool) -> None:
        found, _ = read(render(document, colon, comma, escape))
        written = write_ndjson(found)
        as_texts = {"parse_float": Raw, "parse_int": Raw}
        assert json.loads(written, **as_texts) == json.loads(render(document, ":", ",", False), **as_texts)
        assert write_ndjson(read(write_json(found))[0]) == written

    law()


@EXAMPLES
def test_a_property_that_stands_twice_is_always_found(examples: int) -> None:
    @given(documents, st.data())
    @settings(max_examples=examples, deadline=None)
    def law(document: dict[str, Any], data: st.DataObject) -> None:
        inner = render(document, ":", ",", False)
        key = json.dumps(data.draw(texts), ensure_ascii=data.draw(st.booleans()))
        _, issues = read(f'{{"x":[{{{key}:1.5,"other\\u0020one":{inner},{json.dumps(json.loads(key))}:"a"}}]}}')
        assert [issue.code for issue in issues] == ["PRO005"]

    law()


@EXAMPLES
def test_any_damage_gives_an_issue_or_what_a_strict_reader_gives(examples: int) -> None:
    @given(documents, st.data())
    @settings(max_examples=examples, deadline=None)
    def law(document: dict[str, Any], data: st.DataObject) -> None:
        whole = bytearray(render(document, ":", ",", False).encode())
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(whole)))
            whole[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        found, issues = read(bytes(whole))
        if found is not None:
            as_texts = {"parse_float": Raw, "parse_int": Raw}
            assert json.loads(write_ndjson(found), **as_texts) == json.loads(whole.decode(), **as_texts)
        assert all(issue.code.startswith("PRO0") and issue.at.line > 0 for issue in issues)

    law()


# Faults

FAULTS = [
    ("empty", b"", "PRO001", 1, 1, ""),
    ("blank", b" \n\t ", "PRO001", 1, 1, ""),
    ("byte order mark", b'\xef\xbb\xbf{"a":1}', "PRO003", 1, 1, ""),
    ("UTF-16", '{"a":1}'.encode("utf-16"), "PRO003", 1, 1, ""),
    ("UTF-16 without mark", '{"a":1}'.encode("utf-16-le"), "PRO003", 1, 1, ""),
    ("Latin-1", '{"a":\n "å"}'.encode("latin-1"), "PRO003", 2, 3, ""),
    ("surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}', "PRO003", 1, 7, ""),
    ("cut off", b'{"a":\n [1, {"b":', "PRO004", 2, 11, "/a/1/b"),
    ("cut off in a string", b'{"a": "bc', "PRO004", 1, 7, "/a"),
    ("trailing junk", b'{"a":1}\n x', "PRO004", 2, 2, ""),
    ("second document", b'{"a":1}{"a":1}', "PRO004", 1, 8, ""),
    ("line comment", b'{\n// x\n"a":1}', "PRO004", 2, 1, ""),
    ("block comment", b'{"a":/* x */1}', "PRO004", 1, 6, "/a"),
    ("trailing comma", b'{"a":1,}', "PRO004", 1, 8, "/a"),
    ("trailing comma in a list", b'{"a":[1,]}', "PRO004", 1, 9, "/a/1"),
    ("no comma", b'{"a":1 "b":2}', "PRO004", 1, 8, "/a"),
    ("no colon", b'{"a" 1}', "PRO004", 1, 6, "/a"),
    ("no value", b'{"a":}', "PRO004", 1, 6, "/a"),
    ("wrong bracket", b'{"a":[1}', "PRO004", 1, 8, "/a/0"),
    ("closing bracket", b"}", "PRO004", 1, 1, ""),
    ("single quotes", b"{'a':1}", "PRO004", 1, 2, ""),
    ("no quotes", b"{a:1}", "PRO004", 1, 2, ""),
    ("control character", b'{"a":"x\ny"}', "PRO004", 1, 6, "/a"),
    ("wrong escape", b'{"a":"\\x41"}', "PRO004", 1, 6, "/a"),
    ("short escape", b'{"a":"\\u12"}', "PRO004", 1, 6, "/a"),
    ("Python literal", b'{"a":None}', "PRO004", 1, 6, "/a"),
    ("leading zero", b'{"a":[0,012]}', "PRO004", 1, 9, "/a/1"),
    ("leading plus", b'{"a":+1}', "PRO004", 1, 6, "/a"),
    ("naked point", b'{"a":1.}', "PRO004", 1, 6, "/a"),
    ("hexadecimal", b'{"a":0x1F}', "PRO004", 1, 6, "/a"),
    ("NUL", b'{"a":1}\x00', "PRO004", 1, 8, ""),
    ("form feed as blank", b'{"a":\x0c1}', "PRO004", 1, 6, "/a"),
    ("duplicate key", b'{"a":{"b":1,\n"c":2,\n"b":3}}', "PRO005", 3, 1, "/a/b"),
    ("duplicate key written with an escape", b'{"a":1,"\\u0061":2}', "PRO005", 1, 8, "/a"),
    ("duplicate key with one value", b'{"a":"x","a":"x"}', "PRO005", 1, 10, "/a"),
    ("NaN", b'{"a":NaN}', "PRO006", 1, 6, "/a"),
    ("Infinity", b'{"a":[-Infinity]}', "PRO006", 1, 7, "/a/0"),
    ("out of range", b'{"a":\n1e999999}', "PRO006", 2, 1, "/a"),
    ("ten thousand digits", b'{"a":' + b"1" * 10_000 + b"}", "PRO006", 1, 6, "/a"),
    ("ten thousand decimals", b'{"a":0.' + b"1" * 10_000 + b"}", "PRO006", 1, 6, "/a"),
    ("high surrogate alone", b'{"a":"x\\ud83d"}', "PRO008", 1, 6, "/a"),
    ("low surrogate alone", b'{"a":["\\ude00 x"]}', "PRO008", 1, 7, "/a/0"),
    ("surrogates in the wrong order", b'{"a":"\\ude00\\ud83d"}', "PRO008", 1, 6, "/a"),
    ("surrogate in a key", b'{"\\ud83d":1}', "PRO008", 1, 2, "/*"),
    ("list", b'[{"a":1}]', "PRO009", 1, 1, ""),
    ("string", b'"a"', "PRO009", 1, 1, ""),
    ("number", b"5", "PRO009", 1, 1, ""),
    ("null", b"null", "PRO009", 1, 1, ""),
]


@pytest.mark.parametrize(
    ("data", "code", "line", "column", "pointer"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_each_fault_has_its_code_and_its_place(data: bytes, code: str, line: int, column: int, pointer: str) -> None:
    found, issues = read(data)
    assert found is None
    assert [issue.code for issue in issues] == [code]
    at = issues[0].at
    assert (at.file, at.line, at.column, at.path) == ("m.json", line, column, pointer)


def test_offsets_count_bytes() -> None:
    _, issues = read('{"å":"æøå",\n "b":NaN}')
    assert issues[0].at.offset == '{"å":"æøå",\n "b":NaN}'.encode().index(b"NaN")


def test_all_duplicates_are_reported_up_to_a_hundred() -> None:
    _, issues = read('{"a":1,"a":2,"b":{"c":1,"c":NaN}}')
    assert [(i.code, i.at.path) for i in issues] == [("PRO005", "/a"), ("PRO005", "/b/c"), ("PRO006", "/b/c")]
    _, issues = read("{" + ",".join(['"a":1'] * 50_000) + "}")
    assert len(issues) == 100


def test_names_in_pointers_are_property_names_and_never_values() -> None:
    _, issues = read('{"0201609995":{"Navn Navnesen":NaN}}')
    assert issues[0].at.path == "/*/*"
    assert not any("0201609995" in i.message or "Navn" in i.message for i in issues)


@pytest.mark.parametrize(
    "deep",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":[' * 50_000,
        b'{"a":[' * 76 + b"1.5" + b"]}" * 76,
    ],
)
def test_depth_is_an_issue_within_a_second_and_no_recursion_error(deep: bytes) -> None:
    start = time.perf_counter()
    _, issues = read(deep)
    assert time.perf_counter() - start < 1
    assert issues[-1].code == "PRO007"


@pytest.mark.parametrize("core", [b"", b"1", b"1.5", b'{"x":"]"}'])
@pytest.mark.parametrize("depth", [149, 150, 151, 200])
def test_depth_counts_objects_and_lists_and_the_limit_itself_is_allowed(core: bytes, depth: int) -> None:
    lists = depth - 1 - core.count(b"{")
    found, issues = read(b'{"a":' + b"[" * lists + core + b"]" * lists + b"}")
    assert (found is not None) == (depth <= 150)
    assert [issue.code for issue in issues] == ([] if depth <= 150 else ["PRO007"])


def test_the_depth_limit_can_be_changed_up_to_what_can_be_written() -> None:
    nested = b'{"a":' + b"[" * 199 + b"]" * 199 + b"}"
    found, _ = read(nested, Limits(json_depth=200))
    assert write_ndjson(found) == nested + b"\n"
    deeper = b'{"a":' + b"[" * 400 + b"]" * 400 + b"}"
    assert [issue.code for issue in read(deeper, Limits(json_depth=10_000))[1]] == ["PRO007"]


def test_brackets_in_texts_are_no_depth() -> None:
    found, _ = read(json.dumps({"a": "[{" * 500, "b": '"' + "[" * 500}))
    assert found is not None


def test_sizes_have_limits() -> None:
    assert [i.code for i in read(b'{"a":1}', Limits(message=6))[1]] == ["PRO002"]
    limits = Limits(text=20, attachment=30)
    (issue,) = read(json.dumps({"a": [{"b": "x" * 21}], "c": "y" * 20}), limits)[1]
    assert (issue.code, issue.at.path) == ("PRO010", "/a/0/b")
    assert [i.code for i in read(json.dumps({"a": "å" * 11}, ensure_ascii=False), limits)[1]] == ["PRO010"]
    assert read(json.dumps({"data": "A" * 40}), limits)[0] is not None
    assert [i.code for i in read(json.dumps({"data": "A" * 45}), limits)[1]] == ["PRO010"]


def test_large_input_is_read_with_the_same_rules() -> None:
    filler = '"data":"' + "A" * 1_100_000 + '"'
    found, _ = read("{" + filler + ',"a":1.10}')
    assert found["a"].text == "1.10"
    assert [i.code for i in read("{" + filler + ',"a":1,"a":1}')[1]] == ["PRO005"]
    assert [i.code for i in read("{" + filler + ',"a":' + "[" * 150 + "]" * 150 + "}")[1]] == ["PRO007"]
    # It is read by another reader than small input; faults that a reader may miss are the same.
    filler = " " * 1_100_000
    for name, data, code, *_ in FAULTS:
        if code > "PRO004":
            assert [i.code for i in read(filler.encode() + data)[1]] == [code], name
    found, issues = read(filler + '{"a":"\\ud83d\\ude00 æ","æ":{"c":[-0.50]}}')
    assert not issues
    assert write_ndjson(found).decode() == '{"a":"😀 æ","æ":{"c":[-0.50]}}\n'


# Writing


def test_files_are_indented_and_end_with_a_line_feed() -> None:
    assert write_json({"a": ["å"], "b": Number("1.0")}) == '{\n  "a": [\n    "å"\n  ],\n  "b": 1.0\n}\n'.encode()
    assert write_ndjson({"a": ["å\n"]}) == '{"a":["å\\n"]}\n'.encode()


# Leaves and references

BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "id": "b1",
    "meta": {"profile": ["p"]},
    "entry": [
        {
            "fullUrl": "https://example.org/Patient/p1",
            "resource": {
                "resourceType": "Patient",
                "id": "p1",
                "text": {"status": "generated", "div": "<div><p>x</p></div>"},
                "name": [{"given": ["A", None, "B"], "_given": [None, {"id": "g2"}, None], "text": "A B"}],
                "deceasedBoolean": False,
                "multipleBirthInteger": 0,
                "extension": [{"url": "u/~", "valueDecimal": Number("1.10")}],
                "a/b~c": [[1]],
                "photo": [{}],
            },
        },
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Basic", "subject": {"reference": "Patient/p1"}}},
    ],
}


def test_leaves_are_the_primitive_values_in_order_with_pointers() -> None:
    patient = "/entry/0/resource"
    assert leaves(BUNDLE) == [
        ("/id", "b1", True),
        ("/meta/profile/0", "p", True),
        ("/entry/0/fullUrl", "https://example.org/Patient/p1", True),
        (f"{patient}/id", "p1", True),
        (f"{patient}/text/status", "generated", True),
        (f"{patient}/text/div", "<div><p>x</p></div>", True),
        (f"{patient}/name/0/given/0", "A", False),
        (f"{patient}/name/0/given/2", "B", False),
        (f"{patient}/name/0/_given/1/id", "g2", True),
        (f"{patient}/name/0/text", "A B", False),
        (f"{patient}/deceasedBoolean", False, False),
        (f"{patient}/multipleBirthInteger", 0, False),
        (f"{patient}/extension/0/url", "u/~", False),
        (f"{patient}/extension/0/valueDecimal", Number("1.10"), False),
        (f"{patient}/?7/0/0", 1, False),
        ("/entry/1/fullUrl", "urn:uuid:1", True),
        ("/entry/1/resource/subject/reference", "Patient/p1", True),
    ]


def test_every_pointer_leads_to_its_value() -> None:
    for pointer, value, _ in leaves(BUNDLE):
        place: Any = BUNDLE
        for step in pointer.split("/")[1:]:
            # What no property is called may be a value; it is shown as its place in the object.
            name = list(place)[int(step[1:])] if step.startswith("?") else step
            place = place[int(name)] if isinstance(place, list) else place[name]
        assert place == value


def test_long_lists_have_pointers_too() -> None:
    assert leaves({"a": ["x"] * 1100})[-1] == ("/a/1099", "x", False)


def test_references_resolve_by_type_and_id_or_by_full_url() -> None:
    indexed = index(BUNDLE)
    patient = BUNDLE["entry"][0]["resource"]
    for reference in (
        {"reference": "Patient/p1"},
        "https://example.org/Patient/p1",
        "Patient/p1/_history/2",
    ):
        assert resolve(indexed, reference) is patient
    assert resolve(indexed, "urn:uuid:1") is BUNDLE["entry"][1]["resource"]
    for nothing in (
        "Patient/p2",
        "https://other.example/Patient/p1",
        "#p1",
        "",
        None,
        {},
        {"reference": 5},
        ["Patient/p1"],
    ):
        assert resolve(indexed, nothing) is None


@pytest.mark.parametrize(
    "odd",
    [{}, {"entry": None}, {"entry": {}}, {"entry": [None, 5, {}, {"resource": "x"}, {"fullUrl": 1, "resource": {}}]}],
)
def test_odd_bundles_have_an_index(odd: dict[str, Any]) -> None:
    assert resolve(index(odd), "Patient/p1") is None


def test_of_two_resources_with_one_name_the_first_is_found() -> None:
    first, second = {"resourceType": "Basic", "id": "x"}, {"resourceType": "Basic", "id": "x", "language": "da"}
    assert resolve(index({"entry": [{"resource": first}, {"resource": second}]}), "Basic/x") is first


# Third-party examples


def test_official_examples_are_written_as_they_were_read(shared: Path) -> None:
    paths = sorted((shared / "fhir" / "examples").rglob("*.json"))
    read_files = 0
    for path in paths:
        data = path.read_bytes()
        try:
            plain = json.loads(data, parse_float=Raw, parse_int=Raw)
        except ValueError:
            continue
        if not isinstance(plain, dict):
            continue
        found, issues = read(data)
        if found is None:
            assert {issue.code for issue in issues} <= {"PRO005"}, path.name
            continue
        read_files += 1
        assert json.loads(write_json(found), parse_float=Raw, parse_int=Raw) == plain, path.name
    assert read_files > 50
