"""How is the text of an expression cut into tokens? Each carries its place; numbers are exact rationals."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flint import fmpq

from approx.errors import ExpressionError

MAXIMUM_LENGTH = 100_000
MAXIMUM_TOKENS = 10_000
MAXIMUM_DIGITS = 2_000
MAXIMUM_DECIMAL_EXPONENT = 4_000

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<operator>\*\*|[-+*/^(),]))"
)
_LETTER_TWINS = {"·": "*", "×": "*", "÷": "/", "−": "-", "π": "pi", "²": "**2", "³": "**3", "√": "sqrt(...)"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text: kind is 'number', 'name', 'operator' or 'end'; `value` is set for numbers."""

    kind: str
    text: str
    position: int
    value: fmpq | None = None


def tokenize(text: str, growth: int = 1) -> list[Token]:
    """Return the tokens of an expression, closed by one of kind 'end'.

    Raises ExpressionError with the place of the first character that starts no token, on more than 100,000
    characters, on numbers of more than 2,000 digits and decimal exponents beyond 4,000. `growth` multiplies the first
    two limits. Cost linear in the length.

    >>> [token.text for token in tokenize("2*x^.5")]
    ['2', '*', 'x', '**', '.5', '']
    """
    if len(text) > growth * MAXIMUM_LENGTH:
        raise ExpressionError(f"{len(text)} characters; at most {growth * MAXIMUM_LENGTH} are accepted")
    tokens: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            place = position + len(text[position:]) - len(text[position:].lstrip())
            raise ExpressionError(_unreadable(text[place]), text, place)
        kind = match.lastgroup or ""
        start = match.start(kind)
        piece = match.group(kind)
        value = _exact(piece, text, start) if kind == "number" else None
        tokens.append(Token(kind, "**" if piece == "^" else piece, start, value))
        position = match.end()
        if len(tokens) > growth * MAXIMUM_TOKENS:
            raise ExpressionError(f"more than {growth * MAXIMUM_TOKENS} numbers, names and operators", text, start)
    tokens.append(Token("end", "", end))
    return tokens


def _unreadable(character: str) -> str:
    if character in _LETTER_TWINS:
        return f"unexpected character {character!r}: write {_LETTER_TWINS[character]!r}"
    return f"unexpected character {character!r}"


def _exact(piece: str, text: str, position: int) -> fmpq:
    mantissa, _, exponent = piece.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    if len(whole) + len(fraction) > MAXIMUM_DIGITS:
        raise ExpressionError(f"a number of more than {MAXIMUM_DIGITS} digits", text, position)
    if len(exponent) > 8 or abs(int(exponent or 0)) > MAXIMUM_DECIMAL_EXPONENT:
        raise ExpressionError(f"a decimal exponent beyond {MAXIMUM_DECIMAL_EXPONENT}", text, position)
    shift = int(exponent or 0) - len(fraction)
    digits = int((whole + fraction) or "0")
    return fmpq(digits * 10**shift) if shift >= 0 else fmpq(digits, 10**-shift)
