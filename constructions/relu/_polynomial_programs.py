"""Which straight-line programs evaluate a polynomial? Table of powers, Horner, Clenshaw, Paterson-Stockmeyer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from flint import fmpq, fmpq_poly

from constructions.relu._straight_line import Linear, Program

_S = Linear({0: fmpq(1)})


def _constant(value: fmpq) -> Linear:
    return Linear({}, value)


def monomial_coefficients(chebyshev: Sequence[fmpq]) -> list[fmpq]:
    """The exact coefficients of sum c_k T_k in powers of s.

    >>> monomial_coefficients([fmpq(0), fmpq(0), fmpq(1)])
    [-1, 0, 2]
    """
    total, before, now = fmpq_poly([0]), fmpq_poly([1]), fmpq_poly([0, 1])
    for c in chebyshev:
        total += c * before
        before, now = now, 2 * fmpq_poly([0, 1]) * now - before
    return [total[k] for k in range(len(chebyshev))]


def chebyshev_coefficients(monomial: Sequence[fmpq]) -> list[fmpq]:
    """The exact Chebyshev coefficients of sum a_k s^k; the inverse of monomial_coefficients.

    >>> chebyshev_coefficients([fmpq(-1), fmpq(0), fmpq(2)])
    [0, 0, 1]
    """
    out: list[fmpq] = []
    for a in reversed(monomial):  # out <- s * out + a, with s T_k = (T_{k+1} + T_{|k-1|}) / 2
        shifted = [fmpq(0)] * (len(out) + 1)
        for k, c in enumerate(out):
            shifted[k + 1] += c if k == 0 else c / 2
            if k:
                shifted[k - 1] += c / 2
        shifted[0] += a
        out = shifted
    return out


def power_table(program: Program, base: Linear, degree: int) -> list[Linear]:
    """[1, b, b^2, ..., b^degree] of a linear combination b: even powers are squares, odd ones products."""
    table = [_constant(fmpq(1)), base]
    for k in range(2, degree + 1):
        half = table[k // 2]
        table.append(program.square(half) if k % 2 == 0 else program.multiply(half, table[k // 2 + 1]))
    return table


def power_of(program: Program, base: Linear, exponent: int) -> Linear:
    """b^exponent by repeated squaring: floor(log2 n) squares and at most as many products."""
    result: Linear | None = None
    for bit in bin(exponent)[2:]:
        result = base if result is None else program.square(result)
        if bit == "1" and result is not base:
            result = program.multiply(result, base)
    return result if result is not None else _constant(fmpq(1))


def monomial_sum(program: Program, base: Linear, coefficients: Sequence[fmpq]) -> Linear:
    """sum a_k b^k by the table of powers (powers with coefficient zero only where others need them)."""
    total = _constant(fmpq(0))
    table = power_table(program, base, len(coefficients) - 1)
    for a, power in zip(coefficients, table, strict=False):
        total = total.plus(power, a)
    return total


def horner_sum(program: Program, base: Linear, coefficients: Sequence[fmpq]) -> Linear:
    """sum a_k b^k by Horner's rule: one product per degree."""
    total = _constant(coefficients[-1])
    for a in reversed(coefficients[:-1]):
        total = program.multiply(base, total).plus(_constant(a))
    return total


def clenshaw_sum(program: Program, base: Linear, blocks: Sequence[Linear]) -> Linear:
    """sum q_j T_j(b) by Clenshaw's recurrence for coefficients q_j that may be linear combinations themselves."""
    after, now = _constant(fmpq(0)), _constant(fmpq(0))
    for q in reversed(blocks[1:]):
        after, now = now, q.plus(program.multiply(base, now), 2).plus(after, -1)
    return blocks[0].plus(program.multiply(base, now)).plus(after, -1)


def chebyshev_table(program: Program, base: Linear, degree: int) -> list[Linear]:
    """[T_0(b), ..., T_degree(b)]: T_2k = 2 T_k^2 - 1 is a square, T_2k+1 = 2 T_k T_k+1 - b a product."""
    table = [_constant(fmpq(1)), base]
    for k in range(2, degree + 1):
        half = table[k // 2]
        if k % 2 == 0:
            table.append(program.square(half).times(2).plus(_constant(fmpq(-1))))
        else:
            table.append(program.multiply(half, table[k // 2 + 1]).times(2).plus(base, -1))
    return table


def paterson_stockmeyer_sum(program: Program, base: Linear, chebyshev: Sequence[fmpq], block: int) -> Linear:
    """sum c_k T_k(b) in blocks of `block` degrees: T_2..T_block, then Clenshaw in T_block; about 2 sqrt(n) products.

    The blocks follow from T_{jk+i} = 2 T_jk T_i - T_{jk-i}, from the highest degree down, exactly.
    """
    rest = [fmpq(c) for c in chebyshev]
    count = (len(rest) - 1) // block
    table = chebyshev_table(program, base, min(block, len(rest) - 1))
    blocks = [_constant(fmpq(0))] * (count + 1)
    for j in range(count, 0, -1):
        total = _constant(rest[j * block])
        for i in range(min(block - 1, len(rest) - 1 - j * block), 0, -1):
            c = rest[j * block + i]
            total = total.plus(table[i], 2 * c)
            rest[j * block - i] -= c
        blocks[j] = total
    for i in range(min(block, len(rest))):
        blocks[0] = blocks[0].plus(table[i], rest[i])
    return clenshaw_sum(program, table[block], blocks) if count else blocks[0]


def parity(chebyshev: Sequence[fmpq]) -> str:
    """'even', 'odd' or 'none'."""
    if not any(chebyshev[1::2]):
        return "even"
    return "odd" if not any(chebyshev[0::2]) else "none"


def _odd_quotient(chebyshev: Sequence[fmpq]) -> list[fmpq]:
    # sum c_{2k+1} T_{2k+1}(s) = s * sum c_{2k+1} V_k(w), w = T_2(s), V_k = 2 T_k - 2 T_{k-1} + ... -+ 2 T_1 +- 1.
    odd = list(chebyshev[1::2])
    out = [fmpq(0)] * len(odd)
    for k, c in enumerate(odd):
        for i in range(k + 1):
            out[i] += c * (-1) ** (k - i) * (2 if i else 1)
    return out


def _blocked(program: Program, base: Linear, chebyshev: Sequence[fmpq], block: int) -> Linear:
    return paterson_stockmeyer_sum(program, base, chebyshev, block)


def programs(chebyshev: Sequence[fmpq], methods: Sequence[str]) -> list[tuple[str, Program]]:
    """The candidate programs for sum c_k T_k(s), each with its name; even and odd series run in w = 2s^2 - 1."""
    found: list[tuple[str, Program]] = []
    kind = parity(chebyshev)
    inner = {"even": list(chebyshev[0::2]), "odd": _odd_quotient(chebyshev), "none": list(chebyshev)}[kind]

    def add(name: str, evaluate: Callable[[Program, Linear], Linear]) -> None:
        program = Program()
        base = _S
        if kind != "none" and len(inner) > 1:
            base = program.square(_S).times(2).plus(_constant(fmpq(-1)))
        value = evaluate(program, base)
        program.output = program.multiply(_S, value) if kind == "odd" else value
        found.append((name, program))

    if len(inner) <= 1:
        add(methods[0], lambda p, b: _constant(inner[0] if inner else fmpq(0)))
        return found
    powers = monomial_coefficients(inner)
    if "monomial" in methods:
        add("monomial", lambda p, b: monomial_sum(p, b, powers))
    if "horner" in methods:
        add("horner", lambda p, b: horner_sum(p, b, powers))
    if "clenshaw" in methods:
        add("clenshaw", lambda p, b: clenshaw_sum(p, b, [_constant(c) for c in inner]))
    if "paterson-stockmeyer" in methods:
        root = max(2, round((len(inner) / 1.5) ** 0.5))
        for block in sorted({max(2, root - 1), root, root + 1, root + 2, 2, 4} & set(range(2, len(inner)))):
            add(f"paterson-stockmeyer {block}", partial(_blocked, chebyshev=inner, block=block))
    return found
