"""What are Coons patches of coded values at a point? An oracle that is written from the statement, in fractions."""

import itertools
from fractions import Fraction
from math import prod

import numpy as np
from flint import fmpq

from approx.evaluation import evaluate_exact
from constructions.relu._coons_enclosure import coons_values
from constructions.relu._coons_network import coons_network
from constructions.relu._coons_plan import fit_coons


def sample(f, count, seed=1):
    ends = f.domain.floats()
    return ends[:, 0] + np.random.default_rng(seed).random((count, len(ends))) * (ends[:, 1] - ends[:, 0])


def windows_of(plan, step, size):
    """(corner, direction) of the window, or of the two windows, of a step: `size` nodes of a patch, as central as it allows."""
    m = plan.steps
    patch, k = divmod(step, m)
    found = []
    for own, j in [(patch, k)] if k < m - 1 else [(patch, k), (patch + 1, -1)]:
        first, mirrored = own * m, own // 2 % 2 == 1
        start = min(max((m - 2 - j if mirrored else j) - (size - 1) // 2, 0), m - size)
        found.append((first + m - 1 - start, -1) if mirrored else (first + start, 1))
    return found


def on_triangle(values, t, n):
    """The polynomial of total degree n through values at i >= 0, |i| <= n: Lagrange's formula on the principal lattice."""
    total = Fraction(0)
    for i in itertools.product(range(n + 1), repeat=len(t)):
        if sum(i) <= n:
            term = Fraction(values(i))
            for k, x in zip((*i, n - sum(i)), (*t, n - sum(t)), strict=True):
                for s in range(k):
                    term *= (x - s) / Fraction(k - s)
            total += term
    return total


def bubble(plan, axes, corner, u):
    """prod_{k in S} (1 - I_k) p on the S-face at a corner of the fine grid, the mean over the windows of p."""
    size, total = plan.order - 2 * (len(axes) - 1), Fraction(0)
    chosen = list(itertools.product(*(windows_of(plan, corner[k], size) for k in axes)))
    for seen in chosen:

        def value(i, seen=seen):
            node = list(corner)
            for k, (first, way), j in zip(axes, seen, i, strict=True):
                node[k] = first + way * j
            return int(plan.levels[tuple(node)]) if max(i) < size else 7  # what stands there does not matter

        for ends in itertools.product((None, 0, 1), repeat=len(axes)):
            weight = prod({None: Fraction(1), 0: u[k] - 1, 1: -u[k]}[end] for k, end in zip(axes, ends, strict=True))
            spots = [corner[k] + (u[k] if end is None else end) for k, end in zip(axes, ends, strict=True)]
            t = [(spot - first) * way for spot, (first, way) in zip(spots, seen, strict=True)]
            total += weight * on_triangle(value, t, plan.order - 1)
    return total / len(chosen)


def surface(plan, place):
    """P at a place in [0, 1]^d: multilinear between the corners, bubbles on edges, on faces."""
    spots, d = [p * plan.pieces for p in place], len(place)
    cell = [min(int(s), plan.pieces - 1) for s in spots]
    u, g = [s - i for s, i in zip(spots, cell, strict=True)], Fraction(0)
    for axes in (axes for m in range(d + 1) if 2 * m < plan.order for axes in itertools.combinations(range(d), m)):
        for ends in itertools.product(*((0,) if k in axes else (0, 1) for k in range(d))):
            weight = prod(u[k] if ends[k] else 1 - u[k] for k in range(d) if k not in axes)
            corner = [i + end for i, end in zip(cell, ends, strict=True)]
            g += weight * (bubble(plan, axes, corner, u) if axes else int(plan.levels[tuple(corner)]))
    affine = sum(Fraction(s) * p for s, p in zip(plan.slopes, spots, strict=True))
    return Fraction(plan.base) + affine + Fraction(plan.quantum) * g


def places_of(plan, rng, count, ramp):
    """Anywhere, at nodes, on edges between patches, and on ramps next to nodes, as fractions."""
    k, d = plan.pieces, plan.dimension
    found = [[Fraction(int(n), 10**6) for n in rng.integers(0, 10**6 + 1, d)] for _ in range(count)]
    found += [[Fraction(int(n), k) for n in rng.integers(0, k + 1, d)] for _ in range(count // 2)]
    for _ in range(count):
        p, part = rng.integers(1, plan.cells, d), rng.integers(0, 12, d)
        found.append([(int(n) * plan.steps - Fraction(int(a), 11)) / k for n, a in zip(p, part, strict=True)])
        n, part = rng.integers(0, k, d), rng.integers(-4, 5, d)
        near = [Fraction(min(max(int(a) + ramp * int(c) / 4, 0), k)) / k for a, c in zip(n, part, strict=True)]
        found.append(
            [near[0], *(Fraction(int(i), 10**6) for i in rng.integers(0, 10**6, d - 1))] if part[0] % 2 else near
        )
    return found


def points_at(f, places):
    return [
        [low + (high - low) * fmpq(p.numerator, p.denominator) for p, (low, high) in zip(place, f.domain, strict=True)]
        for place in places
    ]


def gaps_at(network, plan, f, places):
    """How far the network is from P, exactly."""
    values = (Fraction(int(v.p), int(v.q)) for v in evaluate_exact(network, points_at(f, places)))
    return [abs(value - surface(plan, place)) for value, place in zip(values, places, strict=True)]


def comparison(f, cells, steps, order, count=12, write=coons_network, ramp=None):
    """(the largest gap over what is allowed, how many places are on ramps, the relative gap of float64 values)."""
    plan, _ = fit_coons(f, order, cells, steps)
    rho = plan.ramp if ramp is None else ramp(plan)
    width = Fraction(int(rho.p), int(rho.q))
    found = places_of(plan, np.random.default_rng(cells * steps), count, width)
    allowed = Fraction(5, 2**10) * Fraction(plan.quantum)
    assert allowed == Fraction(plan.gap())
    gap = max(gaps_at(write(plan, f), plan, f, found)) / allowed
    ramps = sum(any(0 < abs(p * plan.pieces - round(p * plan.pieces)) < width for p in place) for place in found)
    x = np.array([[float(c) for c in p] for p in points_at(f, found)])
    exact = np.array([float(surface(plan, place)) for place in found])
    return gap, ramps, np.abs(coons_values(plan, f, x) - exact).max() / (1 + np.abs(exact).max())
