"""How are the polynomials of a walk carried as two numbers, whatever their degree? Digits to one base, one linear map a step.

With a base B, T = sum_b h_b B^(b - low) and U = sum_b g_b B^(b - low) (_line_walks). Free steps are
    k -> k + 1: T <- (1 + 1/B) T, U <- (1 - 1/B + 1/B^2 - ..) U, n terms for n digits;   k -> k - 1: changed over,
and numbers that come in count with the vectors of the walk, packed, for U those of its g_b. What falls below B^0 stays there:
at most 2 s/B a step, s the sum of the largest |h_b|, |g_b|, growing by 1 + 2/B a step; for B >= 64 c P s, P steps, c times it
is at most 1/16. So in c T, and in sums of parts of several T and U whose weights add up to c, whole numbers are read by folding
(_strict_products): with 1/8 and half the range of each digit added, what is below digit j is at most B^j/4 as 2^bits <= B/4.
c is 2^|S|: a step between patches counts half for each.
Whatever numbers in [0, 2] stand in the place of digits, |T| and |U| are at most twice the sum of all that may come in.
Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from flint import fmpq

from constructions.relu._coons_plan import PRODUCTS, RAMPS, CoonsPlan
from constructions.relu._difference_network import offset_for
from constructions.relu._line_walks import Leads, Walk, middle, mirrored, passes


@dataclass(frozen=True)
class PackedLines:
    """The numbers that a pass needs: B, digits, bounds."""

    walk: Walk
    leads: Leads
    sizes: list[int]

    @property
    def low(self) -> int:
        """The least b."""
        return self.walk.one.low

    @property
    def whole(self) -> int:
        """c."""
        return 2 ** len(self.walk.one.axes)

    def size(self, b: int) -> int:
        """A bound of |h_b| and |g_b|, in all patches."""
        return self.sizes[b - self.low]

    def bits(self, b: int) -> int:
        """The bits of c h_b, the sign included."""
        return 1 + (self.whole * self.size(b)).bit_length()

    @cached_property
    def place(self) -> int:
        """log2 B."""
        steps = sum(1 for _ in self.walk.moves())
        spilled = 64 * self.whole * steps * (1 + sum(self.sizes))
        return max(2 + max(self.bits(b) for b in range(self.low, self.walk.top + 1)), spilled.bit_length())

    def weight(self, b: int) -> fmpq:
        """B^(b - low)."""
        return fmpq(2) ** (self.place * (b - self.low))

    def packed(self, vector: list[int]) -> fmpq:
        """A vector as one number."""
        return sum((v * self.weight(b) for b, v in enumerate(vector, self.low)), fmpq(0))

    def steps(self, kind: str) -> tuple[fmpq, fmpq]:
        """What T and U are multiplied with."""
        if kind not in ("forward", "backward"):
            return fmpq(1), fmpq(1)
        small = fmpq(1, 2**self.place)
        back = sum(((-small) ** i for i in range(self.walk.count)), fmpq(0))
        return (1 + small, back) if kind == "forward" else (back, 1 + small)

    @cached_property
    def centre(self) -> fmpq:
        """What is added before digits are read."""
        halves = (2 ** (self.bits(b) - 1) * self.weight(b) for b in range(self.low, self.walk.top + 1))
        return sum(halves, fmpq(1, 8))

    @cached_property
    def reach(self) -> fmpq:
        """A power of two above |T| and |U| at every x."""
        totals = [fmpq(0), fmpq(0)]
        for move in self.walk.moves():
            for count, vector in zip(self.walk.counts(move, self.leads), self.walk.vectors(move), strict=False):
                for i, v in enumerate((vector, mirrored(vector, self.low))):
                    totals[i] += middle(count) * self.packed([abs(n) for n in v])
        return offset_for(2 * max(totals) + 1)

    def partial_size(self, b: int) -> fmpq:
        """A bound of c V_b, V_b = h_b + (z - b)/(b + 1) V_(b+1): Horner's rule; the errors of products are included."""
        return sum((self.whole * self.size(i) + PRODUCTS for i in range(b, self.walk.top + 1)), fmpq(1))


class NarrowNumbers:
    """What the narrow form of a plan needs: its passes, ramps at fine nodes, the error of a product."""

    def __init__(self, plan: CoonsPlan) -> None:
        self.passes: list[PackedLines] = []
        for one in passes(plan.order, plan.dimension):
            walk = Walk(one, plan.order, plan.steps, plan.dimension)
            self.passes.append(PackedLines(walk, *walk.sizes(plan)))
        self.level = fmpq(int(plan.levels.max()))
        reach, products = 2**plan.dimension * self.level, 2**plan.dimension - 1
        for lines in self.passes:
            axes, orders, _ = lines.walk.one
            several = 2 ** (plan.dimension - len(axes))
            reach += 2 * several * lines.partial_size(2) / lines.whole
            products += several * (lines.walk.top - 2) + several - 1 + (2 * len(axes) if orders in ((), (2,)) else 1)
        # What is selected on a ramp is wrong by its range at most, and counts with factors below the ramp's width.
        self.ramp = RAMPS / offset_for(reach)
        self.error = PRODUCTS / products
