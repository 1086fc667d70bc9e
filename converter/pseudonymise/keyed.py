"""Replacements that depend on a key: the same value gives the same one, of the same shape, and nobody without the key
can tell from which.

Numbers and names go through a permutation of all words of their shape, so that different ones stay different: counts,
duplicates and joins of a corpus are those of the original. Free text is overwritten with signs that depend on the whole
text of its message, so that the same words look different elsewhere and frequencies tell nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from math import isqrt

from converter.errors import ConverterError
from converter.identifiers import (
    cpr_birth_date,
    cpr_modulus11,
    cpr_shape_ok,
    cvr_ok,
    date_part_ok,
    ecpr_shape_ok,
    gln_ok,
    sor_ok,
)

# The test series has the serial numbers 9989 to 9999: its 7th digit is 9, which stands for births from 1937 to 2036.
_SERIALS = tuple(range(9989, 10000))
_FIRST, _DAYS = date(1937, 1, 1), (date(2024, 12, 31) - date(1937, 1, 1)).days + 1

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_TEN = r"(?<!\d)\d{6}[- ]?\d{4}(?!\d)"
_REPLACEMENT = r"(?<![^\W_])\d{6}-?\d[A-Za-z]{2}\d(?![^\W_])"
_WORDS = re.compile(rf"{_UUID}|{_TEN}|{_REPLACEMENT}|[^\W_]+")
_NUMBERS = re.compile(rf"{_TEN}|{_REPLACEMENT}")
_SOR_BODY = re.compile(r"\d{1,8}(1000016)00\d\Z")
_ZEROS = re.compile(r"0+\Z")
_REMEMBERED = 100_000
"""Replacements that are kept in memory: they can be computed again, and a corpus has millions."""
_LONGEST = 64
"""Words above this length are text: a permutation of them would need very long numbers."""


class TooManyPersonsError(ConverterError):
    """There are more numbers of persons than the test series has."""


@lru_cache(maxsize=4096)
def _alphabet(sign: str) -> str:
    """The signs that may stand for this one: of its kind and with as many bytes; itself alone if no letter or digit.

    A block of 64 code points shares all bytes but the last in UTF-8.
    """
    for own in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "æøå", "ÆØÅ"):
        if sign in own:
            return own
    kind = unicodedata.category(sign)
    if kind[0] not in "LMN":
        return sign
    start = ord(sign) & ~63
    return "".join(
        c for c in map(chr, range(start, start + 64)) if unicodedata.category(c) == kind and c not in "æøåÆØÅ"
    )


def personal(word: str) -> bool:
    """Whether somebody could take this for a number of a person."""
    return len(word) == 10 and (cpr_shape_ok(word) or (ecpr_shape_ok(word) and date_part_ok(word)))


class Pseudonyms:
    """The replacements of one corpus.

    `listed` are numbers of four digits in a public list: one of them becomes another of them. `moved` counts persons
    whose day of birth had no free number left, see `_person`.
    """

    def __init__(self, key: bytes, listed: frozenset[str] = frozenset()) -> None:
        self._key = key
        self._listed = listed
        self._tokens, self._words = dict[str, str](), dict[str, str]()
        self._persons: dict[str, str] = {}
        self._taken: set[str] = set()
        self.moved = 0

    # -- what a caller asks for

    def token(self, value: str) -> str:
        """An identifier, number, name or address: each word of it has the same replacement everywhere."""
        return _held(self._tokens, value, lambda: _WORDS.sub(lambda match: self._word(match[0]), value))

    def text(self, value: str, salt: bytes) -> str:
        """Free text. Numbers of persons in it are those of the fields; all else is noise that depends on the salt."""
        seed = self._digest(b"text", salt, value.encode("utf-8", "surrogatepass"))
        noise = hashlib.shake_256(seed).digest(2 * len(value))
        done, end = [], 0
        for match in _NUMBERS.finditer(value):
            done += [_noisy(value, noise, end, match.start()), self._word(match[0])]
            end = match.end()
        return "".join([*done, _noisy(value, noise, end, len(value))])

    def base64(self, value: str, salt: bytes) -> str:
        """The content of an attachment: noise of the same length, with the same line ends and padding."""
        noise = iter(hashlib.shake_256(self._digest(b"base64", salt, value.encode())).digest(len(value)))
        signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        body = value.rstrip("= \t\r\n")
        kept = len(body) - 3 if len(body) < len(value) else len(body)  # the last bits before padding must be zero
        found = (signs[next(noise) & 63] if sign.isalnum() or sign in "+/" else sign for sign in body[:kept])
        last = "".join("A" if sign.isalnum() or sign in "+/" else sign for sign in body[kept:])
        return "".join(found) + last + value[len(body) :]

    def noise(self, length: int, salt: bytes) -> bytes:
        """The content of an attachment that stands there as it is."""
        return hashlib.shake_256(self._digest(b"object", salt, b"")).digest(length)

    def birth_date(self, value: str) -> str:
        """A day of birth (`1970-12-31`, `1970-12`, `1970`): the one in the replacement of a CPR number of that day."""
        parts = value.split("-")
        try:
            day = date(*(int(part) for part in [*parts, "1", "1"][:3]))
        except (ValueError, OverflowError):
            return self.token(value)
        return "-".join(self._day(day).isoformat().split("-")[: len(parts)])

    def salt(self, texts: list[str]) -> bytes:
        """What the noise of a message depends on: all its texts, so that the copy of a message stays its copy."""
        return self._digest(b"salt", *(text.encode("utf-8", "surrogatepass") for text in texts))

    def name(self, value: str) -> str:
        """A name for a file: the same for the same, and nothing of it."""
        return self._digest(b"file", value.encode("utf-8", "surrogatepass")).hex()[:20]

    # -- words

    def _word(self, word: str) -> str:
        return _held(self._words, word, lambda: self._new(word))

    def _new(self, word: str) -> str:
        if _ZEROS.match(word.replace("-", "").replace(" ", "")):
            return word  # a filler, and nobody's
        if re.fullmatch(_UUID, word) or re.fullmatch("[0-9A-Fa-f]{32}", word):
            return self._uuid(word)
        plain = word.replace("-", "").replace(" ", "")
        if len(plain) == 10 and (cpr_shape_ok(plain) or ecpr_shape_ok(plain.upper())):
            number = self._person(plain) if cpr_shape_ok(plain) else self._replacement_cpr(plain)
            return number if len(plain) == len(word) else number[:6] + word[6] + number[6:]
        if len(word) > _LONGEST:
            return self.text(word, b"")
        return self._like(word)

    def _uuid(self, word: str) -> str:
        """A UUID; its version and variant stay, and one without hyphens is that with hyphens without them."""
        digits = word.replace("-", "").lower()
        body = self._permuted([("0123456789abcdef", d) for n, d in enumerate(digits) if n not in (12, 16)], "uuid")
        made = body[:12] + digits[12] + body[12:15] + digits[16] + body[15:]
        made = made.upper() if word != word.lower() else made
        if "-" not in word:
            return made
        return "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:]))

    def _like(self, word: str) -> str:
        """Another word of its shape, whose check digit is as right or wrong, and which is no number of a person."""
        kept: range | tuple[int, ...] = ()
        body = _SOR_BODY.match(word)
        if len(word) == 13 and word.isdigit() and word.startswith("57"):
            kept = range(2)  # the country; location numbers of Danish health care begin so
        elif body:
            kept = range(body.start(1), len(word) - 1)
        signs = [(sign if n in kept else _alphabet(sign), sign) for n, sign in enumerate(word)]

        def graded(text: str) -> tuple[bool, ...]:
            foreign = len(text) == 13 and not kept and text.startswith("57")
            person = personal(text.replace("-", "").replace(" ", ""))
            listed = len(text) < 5 and text.zfill(4) in self._listed
            return gln_ok(text), sor_ok(text), cvr_ok(text), foreign, person, listed, not text.strip("0")

        wanted = graded(word)
        return self._permuted(signs, "word", lambda text: graded(text) == wanted)

    def _permuted(self, signs: list[tuple[str, str]], tweak: str, good: Callable[[str], bool] = lambda _: True) -> str:
        """A word under a permutation of the words with these alphabets, walked on until one is good."""
        size, number = 1, 0
        for alphabet, sign in signs:
            size, number = size * len(alphabet), number * len(alphabet) + alphabet.index(sign)
        shape = f"{tweak}:{''.join(alphabet[0] for alphabet, _ in signs)}".encode()
        while True:
            number = self._permute(number, size, shape)
            if good(made := _spelled(number, signs)):
                return made

    def _permute(self, number: int, size: int, tweak: bytes) -> int:
        """A permutation of the numbers below `size`: a Feistel network over two halves, with HMAC as its function."""
        high = isqrt(size - 1) + 1 if size > 1 else 1
        low = -(-size // high)
        while True:
            left, right = divmod(number, low)
            for turn in range(4):
                left = (left + self._integer(tweak, b"%d" % turn, b"%d" % right)) % high
                right = (right + self._integer(tweak, b"-%d" % turn, b"%d" % left)) % low
            number = left * low + right
            if number < size:
                return number

    # -- persons

    def _day(self, day: date) -> date:
        """Another day, between 1937 and 2024: nothing of the age stays."""
        return _FIRST + timedelta(days=self._permute((day - _FIRST).days % _DAYS, _DAYS, b"day"))

    def _person(self, number: str) -> str:
        """A CPR number of the test series that fails modulus 11, for the same sex, with the day of `birth_date`.

        A day has about ten of them. When those for one sex are used up, the next day is taken (`moved`); which person
        that meets depends on the order of the corpus.
        """
        found = self._persons.get(number)
        if found is None:
            found = self._persons[number] = self._free(number)
            self._taken.add(found)
        return found

    def _free(self, number: str) -> str:
        born = cpr_birth_date(number)
        first = self._day(born) if born else None
        start = self._integer(b"person", number.encode()) % len(_SERIALS)
        sex = int(number[9]) % 2
        for later in range(_DAYS):
            if first is None:  # 29 February of a year that had none: it stays such a day
                year = 37 + (self._integer(b"year", number.encode()) + later) % 63
                day = f"2902{year + (year % 4 == 0):02}"
            else:
                day = f"{_FIRST + timedelta(days=((first - _FIRST).days + later) % _DAYS):%d%m%y}"
            for turn in range(len(_SERIALS)):
                serial = _SERIALS[(start + turn) % len(_SERIALS)]
                made = f"{day}{serial}"
                if serial % 2 == sex and made not in self._taken and not cpr_modulus11(made):
                    self.moved += bool(later)
                    return made
        raise TooManyPersonsError("the corpus has more persons than the test series of CPR numbers has numbers")

    def _replacement_cpr(self, number: str) -> str:
        """A replacement CPR number (e-CPR) of the same issuer and sex, with another day and other letters."""
        signs = [(_alphabet(sign), sign) for sign in number[:6] + number[7:9]]
        wanted = date_part_ok(number)
        made = self._permuted(signs, f"e-cpr {number[6]}{number[9]}", lambda text: date_part_ok(text) == wanted)
        return made[:6] + number[6] + made[6:] + number[9]

    # -- the key

    def _digest(self, *parts: bytes) -> bytes:
        framed = b"".join(b"%d:%s," % (len(part), part) for part in parts)
        return hmac.digest(self._key, framed, "sha256")

    def _integer(self, *parts: bytes) -> int:
        return int.from_bytes(self._digest(*parts), "big")


def _held(memory: dict[str, str], key: str, make: Callable[[], str]) -> str:
    """What is remembered for a key, made if nothing is; what is remembered is forgotten now and then."""
    found = memory.get(key)
    if found is None:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        found = memory[key] = make()
    return found


def _spelled(number: int, signs: list[tuple[str, str]]) -> str:
    made = []
    for alphabet, _ in reversed(signs):
        number, digit = divmod(number, len(alphabet))
        made.append(alphabet[digit])
    return "".join(reversed(made))


def _noisy(value: str, noise: bytes, start: int, end: int) -> str:
    made = []
    for n in range(start, end):
        alphabet = _alphabet(value[n])
        made.append(alphabet[int.from_bytes(noise[2 * n : 2 * n + 2], "big") % len(alphabet)])
    return "".join(made)
