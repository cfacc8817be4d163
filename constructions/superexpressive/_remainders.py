"""Which integer A has frac(A/(h + k)) near prescribed values? Chinese remainders (Goedel's beta function).

m_k = h + k, k = 1..N. Primes p < N may divide several m_k; all other primes divide at most one. Let q_k be m_k without its
primes below N: the q_k are pairwise coprime. With G = prod over primes p < N of the largest power of p in some m_k, A = G A'
makes A/m_k = A' (G q_k/m_k)/q_k with an integer G q_k/m_k coprime to q_k, so any residue modulo q_k can be prescribed:
|frac(A/m_k) - y_k| <= 1/(2 q_k), below 1/(2B) once q_k >= B. A' comes from a tree of Chinese remainders. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gmpy2
import numpy as np
from gmpy2 import mpz

from approx.errors import UnreachableError

#: Windows looked through before the numbers are doubled, and the largest number looked at.
_WINDOWS, _HIGHEST = 4, 2**61


def select_remainders(targets: Sequence[int], width: int, bits: int) -> tuple[int, int]:
    """(A, h). Quasi-linear in the length of A once h is found."""
    count = len(targets)
    h, found = _start(count, 1 << bits)
    rough = [mpz(q) for q in found]
    smooth = mpz(1)
    for k, q in enumerate(rough, 1):
        smooth = gmpy2.lcm(smooth, (h + k) // q)
    residues = []
    for k, (target, q) in enumerate(zip(targets, rough, strict=True), 1):
        nearest = ((2 * target * q + (1 << width)) >> width + 1) % q
        residues.append(nearest * gmpy2.invert(smooth // ((h + k) // q), q) % q)
    return int(smooth * _combine(residues, rough)[0]), h


def _start(count: int, least: int) -> tuple[int, list[int]]:
    """An h, and h + 1..h + count without their primes below count, all of them at least `least`; heuristic search."""
    primes = [p for p in range(2, count) if gmpy2.is_prime(p)]
    window, low = max(4096, 16 * count), 2 * least * count
    while low < _HIGHEST:
        for _ in range(_WINDOWS):
            rest = np.arange(low + 1, low + 1 + window, dtype=np.int64)
            for p in primes:
                places = np.arange(-(low + 1) % p, window, p)
                while len(places):
                    rest[places] //= p
                    places = places[rest[places] % p == 0]
            bad = np.concatenate(([-1], np.flatnonzero(rest < least), [window]))
            room = np.flatnonzero(np.diff(bad) > count)
            if len(room):
                first = int(bad[room[0]]) + 1
                return low + first, rest[first : first + count].tolist()
            low += window
        low *= 2
    raise UnreachableError(
        f"crt: no start was found for {count} values above {least}; use another method or fewer bits"
    )


def _combine(residues: Sequence[mpz], moduli: Sequence[mpz]) -> tuple[mpz, mpz]:
    """(x, product of the moduli) with x = residues[k] mod moduli[k]: halves first."""
    if len(moduli) == 1:
        return mpz(residues[0]), mpz(moduli[0])
    middle = len(moduli) // 2
    (a, m), (b, n) = _combine(residues[:middle], moduli[:middle]), _combine(residues[middle:], moduli[middle:])
    return a + m * ((b - a) * gmpy2.invert(m, n) % n), m * n


def decode_remainders(integer: int, h: int, count: int, width: int) -> tuple[list[int], float]:
    """(V, units): frac(A/(h + k)) in units of 2^-width, exact up to one unit; remainders of A by a product tree."""
    tree = [[mpz(h + k) for k in range(1, count + 1)]]
    while len(tree[-1]) > 1:
        level = tree[-1]
        tree.append([math.prod(level[i : i + 2], start=mpz(1)) for i in range(0, len(level), 2)])
    rests = [mpz(integer) % tree[-1][0]]
    for level in reversed(tree[:-1]):
        rests = [rests[i // 2] % m for i, m in enumerate(level)]
    return [int((r << width) // (h + k)) for k, r in enumerate(rests, 1)], 1.0
