"""How are the r running differences of a cell carried as one number, and read again? Digits to one base, one linear map a step.

With K = (r - 1) // 2 let S_j(k) = D^j A_(k - K), 0 <= j < r: step k's window, moved on where it would leave the cell, as if
r-th differences outside were 0; that gives the polynomial of the outermost window. With T = sum_j S_j B^j,
    S_j(k) = S_j(k - 1) + S_(j+1)(k - 1),   S_r(k - 1) = d_k,     is     T_k = (1 + 1/B) T_(k-1) + d_k B^(r-1)
but for what falls below B^0: e_k = (1 + 1/B) e_(k-1) + S_0(k - 1)/B, at most s_0 ((1 + 1/B)^M - 1) <= 1/8, |S_0| <= s_0, for
B >= 16 s_0 M. So z = T + 1/8 + sum_j 2^(b_j - 1) B^j has the digits S_j + 2^(b_j - 1), |S_j| < 2^(b_j - 1), and what is below
the digit j is at most 1/4 of B^j, as 2^b_j <= B/4 or, for j = 0, e + 1/8 <= 1/4.
So folding reads them, exactly, at one layer of two units a bit (_strict_products).
Horner's rule needs the digits in this order, one at a time: with v = K + u on the step [k, k + 1], u = t - k,
    V_j = S_j + (v - j)/(j + 1) V_(j+1),   V_(r-1) = S_(r-1),   V_0 = sum_j S_j C(v, j) = the polynomial of the step (Newton).
Source: bit extraction as in P18, sawtooths of P16 Proposition 2, Newton's form; digits by folding, and differences that step in
one number, are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb

from flint import fmpq

from constructions.relu._difference_network import offset_for
from constructions.relu._difference_plan import _PRODUCTS, _RAMPS, DifferencePlan
from constructions.relu._newton_windows import newton
from constructions.relu.square import levels_for


@dataclass(frozen=True)
class PackedDifferences:
    """The numbers that the packed form of a plan needs: B, digits, bounds, ramps, levels of products."""

    plan: DifferencePlan

    @property
    def kappa(self) -> int:
        """K: the step's place in its window."""
        return (self.plan.order - 1) // 2

    @cached_property
    def sizes(self) -> list[int]:
        """s_j >= |S_j(k)| for all steps of all cells: Newton's formula moves a window by K at most, beyond both ends."""
        known, r = self.plan.sizes, self.plan.order
        return [sum(comb(self.kappa + i - 1, i) * known[j + i] for i in range(r - j)) for j in range(r)]

    @cached_property
    def bits(self) -> list[int]:
        """b_j."""
        return [1 + size.bit_length() for size in self.sizes]

    @cached_property
    def place(self) -> int:
        """log2 B."""
        return max(2 + max(self.bits), (16 * max(1, self.sizes[0]) * self.plan.steps).bit_length())

    @property
    def step(self) -> fmpq:
        """1 + 1/B."""
        return 1 + 1 / self.weight(1)

    def weight(self, digit: int) -> fmpq:
        """B^digit."""
        return fmpq(2) ** (self.place * digit)

    def head(self, i: int) -> fmpq:
        """The weight of D^i A at a cell's first node in T_0, where A = 0: the window is moved to the left by K."""
        signed = [(-1) ** m * comb(self.kappa + m - 1, m) for m in range(i + 1)]
        return sum((s * self.weight(i - m) for m, s in enumerate(signed)), fmpq(0))

    @cached_property
    def reach(self) -> fmpq:
        """A power of two that |T_k| does not exceed at any x, whatever numbers below 2^(b + 1) are read: (1 + 1/B)^M <= 2."""
        first = sum((self.head(i) * 2 ** (b + 1) for i, b in enumerate(self.plan.head_bits, 1)), fmpq(0))
        digits = self.plan.steps * fmpq(2) ** (self.plan.bits + 1) * self.weight(self.plan.order - 1)
        return offset_for(2 * (first + digits))

    @cached_property
    def fine_ramp(self) -> fmpq:
        """rho, in steps: near a node polynomials of both steps and A differ by 4 rho max |V_0'| in all, below 2^-10."""
        slope = fmpq(0)
        for size, p in zip(self.sizes, newton(self.plan.order, self.kappa), strict=True):
            slope += size * sum((abs(c) for c in p.derivative()), fmpq(0))
        return _RAMPS / offset_for(4 * slope + 1)

    def factor(self, j: int) -> int:
        """The largest |v - j|."""
        return max(abs(self.kappa - j), abs(self.kappa + 1 - j))

    @cached_property
    def partial_sizes(self) -> list[fmpq]:
        """Bounds of |V_j|, the errors of products, at most 2^-8, included."""
        found = [fmpq(max(1, self.sizes[-1]))]
        for j in range(self.plan.order - 2, -1, -1):
            found.append(self.sizes[j] + fmpq(self.factor(j), j + 1) * found[-1] + _PRODUCTS)
        return found[::-1]

    @cached_property
    def product_levels(self) -> list[int]:
        """Sawtooth levels of the products (v - j) V_(j+1), j = 0 .. r - 2, such that every V_i errs by at most 2^-8."""
        found, growth = [], fmpq(1)  # how much an error of V_j grows on its way to V_i, i <= j, at most
        for j in range(self.plan.order - 1):
            most = _PRODUCTS / ((self.plan.order - 1) * growth)
            factor = fmpq(self.factor(j), j + 1)
            found.append(max(2, levels_for(most, factor * self.partial_sizes[j + 1])))
            growth = max(fmpq(1), growth * factor)
        return found

    def partial_reach(self, j: int) -> fmpq:
        """A bound of |V_j| at every x, for packed numbers between -3 and 1 times the reach: V_(j+1) is cut to its size."""
        rest = fmpq(self.factor(j), j + 1) * self.partial_sizes[j + 1] if j < self.plan.order - 1 else fmpq(0)
        return 4 * self.reach / self.weight(self.plan.order - 1) + self.weight(1) + rest
