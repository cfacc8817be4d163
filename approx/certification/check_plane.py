"""Is an upper bound in two variables true? Polygons cut in rationals, f - net bounded on them by balls.

Nothing here is shared with the engine that found the bound. The network is followed along a convex polygon with rational
corners; where the input of a unit vanishes inside, the polygon is cut at those exact points, so that net(x) = s.x + c exactly
on every part. There h = f - net is a quadratic about the centre m of the bounding box, whose coefficients are balls:

    h(m + d) = h(m) + grad h(m).d + d^T H d / 2 + e,   |e| <= sum |H_ij(box) - H_ij| r_i r_j / 2,   |d_i| <= r_i,

H the Hessian at m. Its maximum over the polygon is that over the edges, unless H is negative definite; then h lies below
its tangent at any point. Where the derivatives are not finite, h is enclosed by its values over the box.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flint import arb, fmpq

from approx.certification.check_function import CheckFunction
from approx.numbers import to_float, to_fmpq

if TYPE_CHECKING:
    from approx.certification.certificate import Certificate
    from approx.networks import Network
    from approx.targets import Target

Point = tuple[fmpq, fmpq]
Form = tuple[fmpq, fmpq, fmpq]
_DEPTH = 200
_MOST_PARTS = 40_000
_SAMPLE = 64
#: In networks with more weights than these a rectangle lies in one polygon: corners of several have thousands of digits there.
_MOST_TERMS = 20_000
#: Rectangles of 1/1024 of the domain start within this share of it.
_INNER = 1 - fmpq(1, 1024)


def check_plane(
    c: Certificate, net: Network, target: Target, level: str, proved: list[str], refuted: list[str]
) -> None:
    """Prove `upper` again on the whole domain ("full") or on 64 rectangles, adding a sentence to `proved` or `refuted`."""
    if c.upper == float("inf"):
        proved.append("an infinite upper bound claims nothing")
        return
    (a, b), (p, q) = c.domain
    if level == "full":
        rectangles = [(a, b, p, q)]
    else:
        # One rectangle around the witness, the others at numbers of 40 bits, which meet no coarse grid and are exact.
        width, height = (b - a) / 2**10, (q - p) / 2**10
        corners = [
            (a + (b - a) * _spread(k, 0x9E3779B97F) * _INNER, p + (q - p) * _spread(k, 0x5F356495D3) * _INNER)
            for k in range(1, _SAMPLE)
        ]
        x, y = (
            max(lo, min(w - s / 2, hi - s)) for w, s, (lo, hi) in zip(c.witness, (width, height), c.domain, strict=True)
        )
        rectangles = [(u, u + width, v, v + height) for u, v in [(x, y), *corners]]
    rows, f = net.exact_rows(), CheckFunction(target)
    upper = arb(to_fmpq(c.upper))
    polygons = 0
    for left, right, bottom, top in rectangles:
        whole = [(left, bottom), (right, bottom), (right, top), (left, top)]
        if level != "full":
            whole = _with_few_polygons(rows, whole)
        for polygon, form in affine_polygons(rows, whole):
            polygons += 1
            if not below(f, polygon, form, upper):
                x, y = (sum((corner[i] for corner in polygon), fmpq(0)) / len(polygon) for i in (0, 1))
                refuted.append(f"|f - net| <= {c.upper:.17g} could not be proved around {[to_float(x), to_float(y)]}")
                return
    where = "the whole domain" if level == "full" else f"{len(rectangles)} rectangles"
    proved.append(f"|f - net| <= {c.upper:.6g} on {where} ({polygons} exact polygons)")


def _spread(k: int, odd: int) -> fmpq:
    """The k-th of numbers spread over [0, 1), multiples of 2^-40."""
    return fmpq(k * odd % 2**40, 2**40)


def _with_few_polygons(rows: Sequence[Any], polygon: list[Point], most: int = 100) -> list[Point]:
    """The polygon shrunk to its centre until the network has at most so many pieces on it, in large networks one."""
    if sum(len(terms) for _, _, terms in rows) > _MOST_TERMS:
        (left, bottom), (right, top) = polygon[0], polygon[2]
        # The middle, or a point next to it where a unit bends there, as at witnesses.
        for share in (fmpq(0), fmpq(1, 2**20), fmpq(1, 2**12)):
            x = (left + right) / 2 + share * (right - left) * _spread(1, 0x9E3779B97F)
            y = (bottom + top) / 2 + share * (top - bottom) * _spread(1, 0x5F356495D3)
            half = min(_unbent(rows, (x, y)), (right - left) / 4, (top - bottom) / 4) / 2
            if half > 0:
                return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    while sum(1 for _ in itertools.islice(affine_polygons(rows, polygon), most + 1)) > most:
        x, y = (sum((c[i] for c in polygon), fmpq(0)) / len(polygon) for i in (0, 1))
        polygon = [(x + (u - x) / 1024, y + (v - y) / 1024) for u, v in polygon]
    return polygon


def _unbent(rows: Sequence[Any], point: Point) -> fmpq:
    """How far |x - point| may reach along both axes before a unit bends; 0 where one bends at the point itself."""
    x, y = point
    forms, reach = [(fmpq(1), fmpq(0), fmpq(0)), (fmpq(0), fmpq(1), fmpq(0))], fmpq(1)
    for activation, bias, terms in rows:
        a, b, c = _combined(bias, terms, forms)
        height, slope = a * x + b * y + c, abs(a) + abs(b)
        if activation != "identity":
            if slope > 0:
                reach = min(reach, abs(height) / slope)
            if height <= 0:
                a, b, c = _below_zero(activation, (a, b, c))
        forms.append((a, b, c))
    return reach


def _combined(bias: fmpq, terms: Sequence[Any], forms: Sequence[Form]) -> Form:
    """What a unit reads."""
    a, b, c = fmpq(0), fmpq(0), bias
    for unit, weight in terms:
        p, q, r = forms[unit]
        a, b, c = a + weight * p, b + weight * q, c + weight * r
    return a, b, c


def _below_zero(activation: str, form: Form) -> Form:
    """What a unit makes of a form that is not positive."""
    a, b, c = form
    return (-a, -b, -c) if activation == "abs" else (fmpq(0), fmpq(0), fmpq(0))


def affine_polygons(rows: Sequence[Any], polygon: list[Point]) -> Iterator[tuple[list[Point], Form]]:
    """(polygon, (a, b, c)) with net(x, y) = a x + b y + c exactly on the polygon; together they are the given one."""
    stack = [(polygon, 0, [(fmpq(1), fmpq(0), fmpq(0)), (fmpq(0), fmpq(1), fmpq(0))])]
    while stack:
        corners, start, forms = stack.pop()
        for number in range(start, len(rows)):
            activation, bias, terms = rows[number]
            a, b, c = _combined(bias, terms, forms)
            if activation != "identity":
                heights = [a * x + b * y + c for x, y in corners]
                if min(heights) < 0 < max(heights):
                    stack.append((_side(corners, heights, -1), number, list(forms)))
                    corners = _side(corners, heights, 1)
                elif max(heights) <= 0:
                    a, b, c = _below_zero(activation, (a, b, c))
            forms.append((a, b, c))
        yield corners, forms[-1]


def _side(corners: list[Point], heights: list[fmpq], sign: int) -> list[Point]:
    """The part of a convex polygon where sign * height >= 0."""
    kept: list[Point] = []
    for k, (x, y) in enumerate(corners):
        here, there = sign * heights[k], sign * heights[(k + 1) % len(corners)]
        if here >= 0:
            kept.append((x, y))
        if (here > 0 > there) or (here < 0 < there):
            t = here / (here - there)
            u, v = corners[(k + 1) % len(corners)]
            kept.append((x + t * (u - x), y + t * (v - y)))
    return kept


def below(f: CheckFunction, polygon: list[Point], form: Form, upper: arb) -> bool:
    """Whether |f - form| <= upper is proved on the polygon, which is halved where that helps."""
    stack = [(polygon, 0)]
    parts = 0
    while stack:
        corners, depth = stack.pop()
        parts += 1
        if bound(f, corners, form) <= upper:
            continue
        x, y = (sum((c[i] for c in corners), fmpq(0)) / len(corners) for i in (0, 1))
        if depth >= _DEPTH or parts > _MOST_PARTS or abs(_gap(f, (x, y), form)) > upper:
            return False
        spans = [max(c[i] for c in corners) - min(c[i] for c in corners) for i in (0, 1)]
        axis = 0 if spans[0] >= spans[1] else 1
        middle = min(c[axis] for c in corners) + spans[axis] / 2
        heights = [c[axis] - middle for c in corners]
        if spans[axis] == 0:
            return False
        stack += [(_side(corners, heights, sign), depth + 1) for sign in (1, -1)]
    return True


def bound(f: CheckFunction, corners: list[Point], form: Form) -> arb:
    """A ball whose points are upper bounds of |f - form| on the polygon; NaN where nothing is known."""
    low = [min(c[i] for c in corners) for i in (0, 1)]
    high = [max(c[i] for c in corners) for i in (0, 1)]
    centre = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    radius = [arb((b - a) / 2) for a, b in zip(low, high, strict=True)]
    box = [arb(a).union(arb(b)) for a, b in zip(low, high, strict=True)]
    wide = f.quadratic(box)
    if not all(v.is_finite() for v in wide):
        return abs(f.value(box) - (arb(form[0]) * box[0] + arb(form[1]) * box[1] + arb(form[2]))).upper()
    q = f.quadratic([arb(c) for c in centre])
    q[0] -= arb(form[0] * centre[0] + form[1] * centre[1] + form[2])
    q[1], q[2] = q[1] - arb(form[0]), q[2] - arb(form[1])
    error = abs(wide[3] - q[3]).upper() * radius[0] * radius[0]
    error += abs(wide[4] - q[4]).upper() * radius[0] * radius[1]
    error += abs(wide[5] - q[5]).upper() * radius[1] * radius[1]
    shifts = [(arb(x - centre[0]), arb(y - centre[1])) for x, y in corners]
    return (_largest(q, shifts).max(_largest([-c for c in q], shifts)) + error).upper()


def _gap(f: CheckFunction, point: Point, form: Form) -> arb:
    return f.value([arb(c) for c in point]) - arb(form[0] * point[0] + form[1] * point[1] + form[2])


def _largest(q: list[arb], shifts: list[tuple[arb, arb]]) -> arb:
    """An upper bound of q0 + q1 x + q2 y + q3 xx + q4 xy + q5 yy on the hull of the points."""
    edge, place = _on_edges(q, shifts)
    determinant, trace = 4 * q[3] * q[5] - q[4] * q[4], q[3] + q[5]
    if determinant <= 0 or q[3] >= 0 or q[5] >= 0:
        return edge
    spread = [_all_max([abs(s[i]) for s in shifts]) for i in (0, 1)]
    if not trace < 0:
        # Nothing is known of the signs: the quadratic part by its size.
        square = (
            abs(q[3]) * spread[0] * spread[0] + abs(q[4]) * spread[0] * spread[1] + abs(q[5]) * spread[1] * spread[1]
        )
        return _all_max([q[0] + q[1] * x + q[2] * y for x, y in shifts]) + square
    if determinant > 0:
        x = ((q[4] * q[2] - 2 * q[5] * q[1]) / determinant).mid()
        y = ((q[4] * q[1] - 2 * q[3] * q[2]) / determinant).mid()
        return _tangent(q, x, y, shifts).min(_tangent(q, *place, shifts))
    # One eigenvalue is det / (another below the trace), of unknown sign: along its direction q hardly bends, and the
    # boundary is at most a diagonal away.
    return edge + 2 * (abs(determinant).upper() / abs(trace)) * (spread[0] * spread[0] + spread[1] * spread[1])


def _on_edges(q: list[arb], shifts: list[tuple[arb, arb]]) -> tuple[arb, tuple[arb, arb]]:
    """(an upper bound on the boundary, a point of it where q is about largest)."""
    values = [_at(q, x, y) for x, y in shifts]
    k = max(range(len(shifts)), key=lambda i: float(values[i].mid()))
    bounds, high, place = list(values), values[k], shifts[k]
    for k, (x, y) in enumerate(shifts):
        (u, v), end = shifts[(k + 1) % len(shifts)], values[(k + 1) % len(shifts)]
        a, b = u - x, v - y  # a power of a ball that contains 0 would be NaN: only products here
        bend = q[3] * a * a + q[4] * a * b + q[5] * b * b
        rise = end - values[k] - bend
        if bend < 0 and not (rise < 0 or rise > -2 * bend):
            # The vertex of the parabola bounds it on the whole line.
            top = values[k] + rise * rise / (-4 * bend)
            bounds.append(top)
            if top.mid() > high.mid():
                t = (rise / (-2 * bend)).mid()
                high, place = top, ((x + t * (u - x)).mid(), (y + t * (v - y)).mid())
        elif not (bend >= 0 or bend < 0):
            # Of unknown sign: t (1 - t) <= 1/4 on the edge.
            bounds.append(values[k].max(end) + abs(bend).upper() / 4)
    return _all_max(bounds), place


def _all_max(values: list[arb]) -> arb:
    largest = values[0]
    for v in values[1:]:
        largest = largest.max(v)
    return largest


def _tangent(q: list[arb], x: arb, y: arb, shifts: list[tuple[arb, arb]]) -> arb:
    slope = (q[1] + 2 * q[3] * x + q[4] * y, q[2] + 2 * q[5] * y + q[4] * x)
    return _at(q, x, y) + _all_max([slope[0] * (a - x) + slope[1] * (b - y) for a, b in shifts])


def _at(q: list[arb], x: arb, y: arb) -> arb:
    return q[0] + (q[1] + q[3] * x + q[4] * y) * x + (q[2] + q[5] * y) * y
