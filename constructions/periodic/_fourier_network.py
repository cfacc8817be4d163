"""Which network of {ReLU, sin} computes a Fourier plan? Digits from signs of sines, phases from one cosine, seams by a clip.

Layers, with N = 2^m cells per axis:
1. sin: for every axis m sines of the position Y, whose signs are the binary digits of the cell; m sines of Y + 1/(2N), whose
   signs are those of the nearest seam; and e = cos(2 pi N Y), which is 1 at the seams.
2-3. ReLU: digit = max(1 - max(-K sin, 0), 0) is 1 where sin >= 0, 0 where sin <= -1/K; near = max(1 - 4^(ZONE-1) (1 - e), 0).
4. sin: for every group the cosine cos(k theta), k = 1 + the number that the digits spell.
5. sin: sin(w.x + 4 pi A cos(k theta)) = sin(w.x + 2 pi y): the integer A holds the phases y of all states.
6-. ReLU: for every axis in turn, out = g_seam + clip(g - g_seam, -c, c), c = clip (1 - near).

Statement. Let E_S be the largest |f - g_S| over the boxes of the states of S (cells, or 2^-ZONE cells around seams). Then
    |f - net| <= max_S E_S + d clip 2^-119 everywhere.
Proof, on one axis; y is the distance from the nearest seam Y = 0, 1/N, .. in cells.
(i) near > 0 only where 2 sin^2(pi y) < 4^-(ZONE-1), so y < 2^-ZONE.
(ii) A digit of the cell can be wrong only where |sin| < 1/K, K = N 2^(RAMP-2): since |sin(2 pi 2^j t)| >= 4 2^j t for t up to
the quarter period, t < 1/(4K), that is y < 2^-RAMP.
(iii) Where near > 0 the sines of the seam's digits are at least 1/N in size: these are exact.
(iv) |g - g_seam| <= clip for whatever digits.
So where near = 0 the clip is the identity and g is exact; where near > 0 and y >= 2^-RAMP both are exact and the output lies
between them; where y < 2^-RAMP, g_seam is exact and c <= clip 4^(ZONE-1) 2 (pi y)^2 <= clip 2^-119. Axes are treated in turn: a
clip keeps values between those that it selects from, so (iv) holds on the next axis as well.
Source: P19, deep Fourier expansion (sines read one weight); phases instead of bits, the seams and the proof are derived.
"""

from __future__ import annotations

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import arccos, pi
from approx.targets import Target
from constructions.periodic._fourier_plan import RAMP, REACH, ZONE, Cells, FourierPlan, Seams

#: Forms of more terms than this are computed once, by a unit, where they are read twice.
_SHORT = 3


def fourier_network(plan: FourierPlan, target: Target) -> Network:
    """The Network of a plan on the target's box."""
    cells, b = Cells(target, plan.digits), Builder(target.dimension)
    axes = range(target.dimension)
    digits = {(i, seam): cell_digits(b, cells, i, seam) for i in axes for seam in (False, True)}
    near = [nearness(b, cells, i) for i in axes]
    theta = arccos(fmpq(1, 2 ** (plan.bits + 1)))
    forms: dict[Seams, Form] = {}
    for seams in cells.kinds():
        coded = plan.groups[seams]
        address = linear_combination(
            [place for i in axes for place in spelled(cells, i, digits[i, i in seams])], fmpq(1)
        )
        cosine = b.unit(theta * address + pi() / 2, "sin")
        sines = []
        for w, c, a in zip(coded.frequencies, coded.amplitudes, coded.integers, strict=True):
            inner = linear_combination([*((v, b.input(i)) for i, v in enumerate(w)), (4 * a * pi(), cosine)])
            sines.append((c, b.unit(inner, "sin")))
        forms[seams] = linear_combination(sines)
    return b.build([selected(b, forms, near, plan.clip) + plan.centre])


def selected(b: Builder, forms: dict[Seams, Form], near: list[Form], clip: fmpq) -> Form:
    """The form of the group that counts, chosen axis by axis."""
    for i, close in enumerate(near):
        forms = {
            s: _clipped(b, form, forms[tuple(sorted((*s, i)))], close, clip) for s, form in forms.items() if i not in s
        }
    return forms[()]


def spelled(cells: Cells, axis: int, digits: list[Form]) -> list[tuple[int, Form]]:
    """(N^axis 2^(m-1-j), 1 - digit j) for all j: they sum up to N^axis (N - 1 - the number of the cell, or of the seam)."""
    return [(cells.per_axis**axis * 2 ** (cells.digits - 1 - j), digit) for j, digit in enumerate(digits)]


def _turns(b: Builder, cells: Cells, axis: int, factor: int, shift: fmpq) -> Form:
    """The unit sin(2 pi (factor Y + shift)), whole turns left out."""
    low, high = list(cells.target.domain)[axis]
    slope = factor * REACH / (high - low)
    start = shift - slope * low
    start -= start.p // start.q
    return b.unit(2 * pi() * (slope * b.input(axis)) + 2 * start * pi(), "sin")


def cell_digits(b: Builder, cells: Cells, axis: int, seam: bool) -> list[Form]:
    """The units 1 - digit j, the leading one first, of the number of the cell (or of the nearest seam)."""
    offset = fmpq(1, 2 * cells.per_axis) if seam else fmpq(0)
    sines = [_turns(b, cells, axis, 2**j, 2**j * offset) for j in range(cells.digits)]
    return [b.relu(1 - b.relu(-cells.per_axis * fmpq(2) ** (RAMP - 2) * sine)) for sine in sines]


def nearness(b: Builder, cells: Cells, axis: int) -> Form:
    """The unit near."""
    steep = fmpq(4) ** (ZONE - 1)
    return b.relu(steep * _turns(b, cells, axis, cells.per_axis, fmpq(1, 4)) - (steep - 1))


def _clipped(b: Builder, inside: Form, seam: Form, near: Form, clip: fmpq) -> Form:
    """seam + clip(inside - seam, -c, c), c = clip (1 - near)."""
    if len(seam.terms) > _SHORT:
        seam = b.relu(seam + clip) - clip
    gap = b.relu(inside - seam + clip)
    return seam + b.relu(gap - clip * near) - b.relu(gap - 2 * clip + clip * near) + clip * near - clip
