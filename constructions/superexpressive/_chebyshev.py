"""Which integer A has frac(2 A cos(k theta)) near prescribed values for all k = 1..N, and what does a given A decode to?

With B = 2^b and theta = arccos(1/(2B)), c_k = 2 cos(k theta) obeys c_{k+1} = c_k/B - c_{k-1}, so N_k = B^k c_k are integers:
N_0 = 2, N_1 = 1, N_{k+1} = N_k - B^2 N_{k-1}, all of them odd for k >= 1.

Lemma. Adding a B^{k-1} to A turns v_k = A c_k mod 1 by exactly a/B times a unit (a N_k / B = a/B mod 1) and leaves
v_1..v_{k-1} alone (B^{k-1} c_j is an integer for j < k). Hence the greedy digits a_{k-1} = round(B (y_k - v_k)) mod B give
|v_k - y_k| <= 1/(2B) on the circle for k = 1..N with 0 <= A < B^N: N log2 B bits, and no fewer can serve N arbitrary
values (N intervals of length 1/B need B^N weights).

Both directions run by divide and conquer over k. A block of m values needs only x_lo = A c_lo and x_{lo-1} modulo B^m, as
integers in units of 2^-g; S_m = sin(m theta)/sin(theta), whose hats B^{m-1} S_m are integers, carries the pair over a block:
x_{lo+m} = S_{m+1} x_lo - S_m x_{lo-1}. Every carry commits less than one unit; later carries multiply it by at most
1/sin(theta) <= 1.04 for each of the two numbers, whatever the distance (they compose to a single carry). Source: derived.
"""

from __future__ import annotations

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

#: Values that a block handles one by one; larger ones are halved.
_LEAF = 32
#: 2/sin(theta) for B >= 2 is below this.
_GROWTH = 2.1


class _Carries:
    """The integers B^{m-2} S_{m-1}, B^{m-1} S_m, B^m S_{m+1} for m = _LEAF 2^j, by doubling; made once, as needed."""

    def __init__(self, bits: int) -> None:
        square = 2 * bits
        before, here = mpz(0), mpz(1)
        for _ in range(_LEAF - 1):
            before, here = here, here - (before << square)
        self._rows = {_LEAF: (before, here, here - (before << square))}
        self._square = square

    def __getitem__(self, m: int) -> tuple[mpz, mpz, mpz]:
        if m not in self._rows:
            before, here, after = self[m // 2]
            squares = before * before, here * here, after * after
            count = after - (before << self._square)  # B^(m/2) c_{m/2}
            self._rows[m] = (
                squares[1] - (squares[0] << self._square),
                here * count,
                squares[2] - (squares[1] << self._square),
            )
        return self._rows[m]


def _split(count: int) -> int:
    """The left part of a block of `count` > _LEAF values: the largest _LEAF 2^j below count."""
    return _LEAF << (-(-count // _LEAF) - 1).bit_length() - 1


def select_integer(targets: Sequence[int], width: int, bits: int) -> mpz:
    """The greedy A for targets y_k = targets[k-1] / 2^width, k = 1..N; 0 <= A < 2^(N bits).

    Quasi-linear: O(M(N bits) log N). The values are rounded within 2^(-width+8): `decode` says how well A does.
    """
    if not targets:
        return mpz(0)
    run = _Selection(targets, width, bits)
    return run.block(0, len(targets), mpz(0), mpz(0), mpz(2), mpz(1))


class _Selection:
    def __init__(self, targets: Sequence[int], width: int, bits: int) -> None:
        self.targets, self.width, self.bits = targets, width, bits
        self.carries = _Carries(bits)

    def block(self, start: int, count: int, x: mpz, before: mpz, n: mpz, r: mpz) -> mpz:
        """The digits of the values start+1..start+count as one integer, from x_start, x_{start-1}, N_start, B^2 N_{start-1}."""
        if count <= _LEAF:
            return self._leaf(start, count, x, before, n, r)
        b, g = self.bits, self.width
        m = _split(count)
        rest = count - m
        low = gmpy2.bit_mask(m * b + g)
        mask = gmpy2.bit_mask(m * b)
        left = self.block(start, m, x & low, before & low, n & mask, r & mask)
        s0, s1, s2 = self.carries[m]
        mask = gmpy2.bit_mask(count * b)
        # N_mid and B^2 N_{mid-1}, then the pair of values with the new digits in.
        n, r = (s2 * n - s1 * r) & mask, ((s1 * n - s0 * r) << 2 * b) & mask
        top = gmpy2.bit_mask(rest * b + g)
        x, before = (
            (((s2 * x - ((s1 * before) << b)) + ((left * n) << g)) >> m * b) & top,
            (((s1 * x - ((s0 * before) << b)) + (((left * r) >> 2 * b) << g)) >> (m - 1) * b) & top,
        )
        mask = gmpy2.bit_mask(rest * b)
        right = self.block(start + m, rest, x, before, n & mask, r & mask)
        return left + (right << m * b)

    def _leaf(self, start: int, count: int, x: mpz, before: mpz, n: mpz, r: mpz) -> mpz:
        b, g = self.bits, self.width
        mask, base = gmpy2.bit_mask(count * b), gmpy2.bit_mask(b)
        shift, half, two = g - b, 1 << (g - b - 1), 2 * b
        digits = []
        for target in self.targets[start : start + count]:
            n, last = (n - r) & mask, n
            r = (last << two) & mask
            x, before = (x >> b) - before, x
            digit = ((target - x + half) >> shift) & base
            if digit:
                x += (digit * n) << shift
                before += (digit * last) << g
            digits.append(digit)
        total = mpz(0)
        for digit in reversed(digits):
            total = (total << b) | digit
        return total


def decode(integer: int, count: int, width: int, bits: int) -> tuple[list[int], float]:
    """(V, units): frac(A c_k) lies in [V_k - units, V_k + units] / 2^width on the circle, k = 1..count; all integers.

    Rigorous: every value is an integer combination with known truncations. Quasi-linear, O(M(count bits) log count).
    """
    values: list[int] = []
    if count == 0:
        return values, 0.0
    low = gmpy2.bit_mask(count * bits + width)
    carries, one = _Carries(bits), gmpy2.bit_mask(width)
    a = mpz(integer)
    # x_0 = 2 A and x_{-1} = A/B are exact in units of 2^-width, since width >= bits.
    stack = [(count, (a << width + 1) & low, (a << width - bits) & low)]
    while stack:
        m, x, before = stack.pop()
        if m <= _LEAF:
            for _ in range(m):
                x, before = (x >> bits) - before, x
                values.append(int(x & one))
            continue
        left = _split(m)
        s0, s1, s2 = carries[left]
        top = gmpy2.bit_mask((m - left) * bits + width)
        right = (
            ((s2 * x - ((s1 * before) << bits)) >> left * bits) & top,
            ((s1 * x - ((s0 * before) << bits)) >> (left - 1) * bits) & top,
        )
        low = gmpy2.bit_mask(left * bits + width)
        stack.append((m - left, *right))
        stack.append((left, x & low, before & low))
    levels = max(1, (count // _LEAF).bit_length() + 1)
    return values, _GROWTH * (levels + _LEAF + 1)


def decode_one(integer: int, k: int, bits: int) -> tuple[mpz, mpz]:
    """(p, q): frac(A c_k) = p/q exactly, q = B^k; by doubling of N_k, O(M(k bits))."""
    modulus = k * bits
    mask = gmpy2.bit_mask(modulus) if modulus else mpz(0)
    # (N_j, N_{j+1}) mod B^k, from N_{2j} = N_j^2 - 2 B^{2j}, N_{2j+1} = N_j N_{j+1} - B^{2j}.
    here, after, j = mpz(2), mpz(1), 0
    for bit in bin(k)[2:]:
        power = mpz(1) << 2 * j * bits
        middle = here * after - power
        if bit == "1":
            here, after, j = middle, after * after - (power << 2 * bits + 1), 2 * j + 1
        else:
            here, after, j = here * here - 2 * power, middle, 2 * j
        here, after = here & mask, after & mask
    return (mpz(integer) * here) & mask, mpz(1) << modulus
