"""Which network of {ReLU, sin} reads all its coefficients bit by bit from one weight, as in the 2019 paper?

Cells, seams and the selection between groups are those of _fourier_network, and so is the proof; only g_S is made in another
way:
1. 16^k w, k the place of a bit, by one gate per digit of the cell: z <- z + (Q - 1) max(z - Z (1 - v), 0), v in {0, 1} the
   digit, 0 <= z <= Z: z stays or becomes Q z. P19's access by dichotomy, O(log N) weights for every bit.
2. beta = 1 - max(1 - max(-2 sin(2 pi z), 0), 0), exact because |sin| > 1/2.
3. beta s = max(s - 1 + 2 beta, 0) - beta, exact for beta in {0, 1} and s in [-1, 1]; at most 1 in size for beta in [0, 1].
So |g_S - centre| <= 3 sum_g R_g for whatever digits, and clip is 6 max_S sum_g R_g or more.
"""

from __future__ import annotations

from flint import fmpq

from approx.networks import Builder, Form, Network, linear_combination
from approx.numbers import pi
from approx.targets import Target
from constructions.periodic._fourier_network import cell_digits, nearness, selected, spelled
from constructions.periodic._fourier_plan import Cells, Seams
from constructions.periodic._sign_plan import BASE_BITS, SignPlan


def sign_network(plan: SignPlan, target: Target) -> Network:
    """The Network of a plan on the target's box."""
    cells, b = Cells(target, plan.digits), Builder(target.dimension)
    axes = range(target.dimension)
    digits = {(i, seam): cell_digits(b, cells, i, seam) for i in axes for seam in (False, True)}
    near = [nearness(b, cells, i) for i in axes]
    word = b.relu(Form({}, plan.word))
    forms: dict[Seams, Form] = {}
    for seams in plan.groups:
        places = [place for i in axes for place in spelled(cells, i, digits[i, i in seams])]
        forms[seams] = _group(b, cells, plan, seams, word, places)
    return b.build([selected(b, forms, near, plan.clip) + plan.centre])


def _group(b: Builder, cells: Cells, plan: SignPlan, seams: Seams, word: Form, places: list[tuple[int, Form]]) -> Form:
    """The form g_S - centre."""
    group = plan.groups[seams]
    start, length = plan.start(cells, seams)
    sines: list[Form | None] = [None]
    for w in group.frequencies:
        inner = linear_combination([(v, b.input(i)) for i, v in enumerate(w)])
        sines += [b.unit(inner + pi() / 2, "sin"), b.unit(inner, "sin")]
    terms = []
    for g, (size, sine) in enumerate(zip(group.ranges, sines, strict=True)):
        terms.append((-size, Form({}, 1) if sine is None else sine))
        for k in range(plan.depth):
            missing = _missing(b, word, start + g * plan.depth + k, length, places)
            bit = 1 - missing
            part = bit if sine is None else b.relu(sine + 1 - 2 * missing) - bit
            terms.append((size * fmpq(2) ** -k, part))
    return linear_combination(terms)


def _missing(b: Builder, word: Form, place: int, length: int, places: list[tuple[int, Form]]) -> Form:
    """The unit 1 - beta for the bit at `place` + length * (what the digits spell)."""
    most = fmpq(2) ** (BASE_BITS * place)
    z = most * word
    for weight, digit in places:
        factor = fmpq(2) ** (BASE_BITS * length * weight)
        gate = b.relu(z - most * (1 - digit))
        z = b.relu(z + (factor - 1) * gate)
        most *= factor
    return b.relu(1 - b.relu(-2 * b.unit(2 * pi() * z, "sin")))
