"""How do exact numbers of any size become text and come back? Without Python's limit on integer digits."""

from __future__ import annotations

import gmpy2
from flint import fmpq, fmpz

MAXIMUM_CHARACTERS = 200_000_000
_DIGITS = frozenset("0123456789abcdef")


def integer_to_text(value: int | fmpz) -> str:
    """Return the integer in hexadecimal, e.g. '-0x1f': exact, any size, linear time.

    Python's own `str(int)` refuses more than 4300 decimal digits and takes quadratic time; hexadecimal has neither
    problem.

    >>> integer_to_text(-31)
    '-0x1f'
    """
    return hex(int(value))


def integer_from_text(text: str) -> int:
    """Return the integer written by `integer_to_text` (plain decimal digits are accepted too).

    Raises ValueError on anything else, and on more than 2*10^8 characters.

    >>> integer_from_text('-0x1f'), integer_from_text('12')
    (-31, 12)
    """
    if not isinstance(text, str) or len(text) > MAXIMUM_CHARACTERS:
        raise ValueError("integer text: expected a string of hexadecimal (0x..) or decimal digits")
    body = text.removeprefix("-")
    base = 16 if body.startswith("0x") else 10
    digits = body.removeprefix("0x") if base == 16 else body
    if not digits or not _DIGITS.issuperset(digits) or (base == 10 and not digits.isdecimal()):
        raise ValueError(f"integer text: got {text[:60]!r}; accepted: 0x and hexadecimal digits, or decimal digits")
    value = int(digits, 16) if base == 16 else int(gmpy2.mpz(digits, 10))
    return -value if text.startswith("-") else value


def rational_to_text(value: fmpq) -> str:
    """Return the rational as 'numerator/denominator' in hexadecimal, or the numerator alone when the denominator is 1.

    >>> rational_to_text(fmpq(-1, 31))
    '-0x1/0x1f'
    """
    if value.q == 1:
        return integer_to_text(value.p)
    return f"{integer_to_text(value.p)}/{integer_to_text(value.q)}"


def rational_from_text(text: str) -> fmpq:
    """Return the rational written by `rational_to_text`; 'p/q' in decimal digits is accepted too.

    Raises ValueError on anything else, a zero denominator included.

    >>> rational_from_text('-0x1/0x1f') == fmpq(-1, 31), rational_from_text('3/4') == fmpq(3, 4)
    (True, True)
    """
    if not isinstance(text, str):
        raise ValueError("rational text: expected a string 'numerator/denominator'")
    top, slash, bottom = text.partition("/")
    numerator = integer_from_text(top)
    denominator = integer_from_text(bottom) if slash else 1
    if denominator <= 0:
        raise ValueError(f"rational text: got the denominator {bottom[:60]!r}; accepted: a positive integer")
    return fmpq(numerator, denominator)


def decimal_text(value: int | fmpz) -> str:
    """Return the integer in decimal digits, of any size (`str(int)` stops at 4300 digits).

    >>> decimal_text(-31), len(decimal_text(10**5000))
    ('-31', 5001)
    """
    return gmpy2.mpz(int(value)).digits(10)
