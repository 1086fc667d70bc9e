"""Identifiers, on documented numbers only: MedCom's test persons, and organisations named in its public guides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converter.identifiers import cpr_modulus11, cpr_shape_ok, cvr_ok, ecpr_kind, gln_ok, sor_ok, sor_shape_ok

TEST_CPRS = [
    *("0201609995", "0201609996", "0504909995", "0504909989", "0201919990", "0201919996"),
    *("2509479989", "2512489996", "0108629996", "3001749995", "2103009996"),
]
GLNS = ["5790000120314", "5790000121526", "5790001382445", "5790001348120"]
SORS = ["325371000016006", "325251000016005", "265161000016000"]
CVRS = ["26919991", "64942212"]


def other_digits(value: str, place: int) -> list[str]:
    """The value with the digit at that place replaced by each of the nine others."""
    return [value[:place] + d + value[place + 1 :] for d in "0123456789" if d != value[place]]


@pytest.mark.parametrize("gln", GLNS)
def test_gln_accepts_documented_and_no_other_digit_at_any_place(gln: str) -> None:
    assert gln_ok(gln)
    assert not any(gln_ok(wrong) for place in range(13) for wrong in other_digits(gln, place))


@pytest.mark.parametrize(
    "wrong", ["", "579000012031", "57900001203140", "579000012031A", "５790000120314", GLNS[0] + "\n"]
)
def test_gln_refuses_other_shapes(wrong: str) -> None:
    assert not gln_ok(wrong)


@pytest.mark.parametrize("sor", SORS)
def test_sor_finds_every_wrong_digit_and_every_swap_of_neighbours(sor: str) -> None:
    assert sor_ok(sor)
    assert not any(sor_ok(wrong) for place in range(len(sor)) for wrong in other_digits(sor, place))
    swaps = [sor[:i] + sor[i + 1] + sor[i] + sor[i + 2 :] for i in range(len(sor) - 1) if sor[i] != sor[i + 1]]
    assert swaps
    assert not any(sor_ok(wrong) for wrong in swaps)


def test_sor_shape_is_a_matter_of_length_alone() -> None:
    assert sor_shape_ok("12345678901")  # dk-core's own test organisation, whose check digit is wrong
    assert not sor_ok("12345678901")
    assert not sor_shape_ok("1" * 10)
    assert not sor_shape_ok("1" * 19)
    assert not sor_shape_ok("32537100001600x")


@pytest.mark.parametrize("cvr", CVRS)
def test_cvr(cvr: str) -> None:
    assert cvr_ok(cvr)
    assert not any(cvr_ok(wrong) for place in range(8) for wrong in other_digits(cvr, place))
    assert not cvr_ok(cvr[:-1])


@pytest.mark.parametrize("cpr", TEST_CPRS)
def test_official_test_numbers_have_the_shape_and_no_check_digit(cpr: str) -> None:
    assert cpr_shape_ok(cpr)
    assert not cpr_modulus11(cpr)
    assert ecpr_kind(cpr) is None


@pytest.mark.parametrize("cpr", TEST_CPRS)
def test_modulus_11_accepts_one_last_digit_at_most(cpr: str) -> None:
    """Numbers made here and not written down: the right digit is 11 minus the remainder, or there is none."""
    right = [d for d in "0123456789" if cpr_modulus11(cpr[:9] + d)]
    rest = sum(w * int(d) for w, d in zip((4, 3, 2, 7, 6, 5, 4, 3, 2), cpr, strict=False)) % 11
    assert right == ([] if rest == 1 else [str(-rest % 11)])


def test_modulus_11_has_a_positive_case() -> None:
    assert any(cpr_modulus11(cpr[:9] + d) for cpr in TEST_CPRS for d in "0123456789")


@pytest.mark.parametrize(
    ("date", "good"),
    [("3101", True), ("3104", False), ("3011", True), ("2902", True), ("3002", False), ("0001", False)]
    + [(date, False) for date in ("3212", "0113", "0100")],
)
def test_cpr_shape_knows_the_calendar_without_years(date: str, good: bool) -> None:
    assert cpr_shape_ok(date + TEST_CPRS[0][4:]) is good


@pytest.mark.parametrize(
    "wrong", ["", TEST_CPRS[0][:9], TEST_CPRS[0] + "0", "020160-9995", "0201609995\n", "02016099 5"]
)
def test_cpr_shape_refuses_other_lengths_and_characters(wrong: str) -> None:
    assert not cpr_shape_ok(wrong)
    assert not cpr_modulus11(wrong)


@pytest.mark.parametrize("value", ["0203291WQ3", "1308781OS6", "3101057JC9", "0703921VJ4"])
def test_national_replacement_cpr(value: str) -> None:
    assert ecpr_kind(value) == "X"


@pytest.mark.parametrize("value", ["1206550VK9", "0706830VJ9"])
def test_decentral_replacement_cpr(value: str) -> None:
    assert ecpr_kind(value) == "D"


def test_the_seventh_character_decides_which_replacement_cpr_it_is() -> None:
    documented = "0203291WQ3"
    kinds = {digit: ecpr_kind(documented[:6] + digit + documented[7:]) for digit in "0123456789"}
    assert {d for d, kind in kinds.items() if kind == "X"} == set("17")
    assert {d for d, kind in kinds.items() if kind == "D"} == set("056")


@pytest.mark.parametrize("spoil", [str.lower, lambda v: v[:-1], lambda v: "31" + "02" + v[4:], lambda v: v[:8] + "33"])
def test_other_shapes_are_no_replacement_cpr(spoil: Callable[[str], str]) -> None:
    assert ecpr_kind(spoil("0203291WQ3")) is None
