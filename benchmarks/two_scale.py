"""How do certified errors of two-scale networks fall with their weights? `two_scale.py [DIMENSIONS] [MOST_WEIGHTS] [FOLDER]`.

DIMENSIONS: of 1, 2, 3, such as 12. The targets are rough at many scales and in many places, so that smoothness cannot help:
    d(x) + t(x) for one variable, max(d(x), d(y)) + (t(x) + t(y))/2 for two, max(d(x), d(y), d(z)) + (t(x) + t(y) + t(z))/3,
d = the distance to a Cantor set (Lipschitz 1, alike at all scales), t = triangle waves of the frequencies 2^k with slopes
0.2 * 0.6^k. Written as maxima of nested absolute values, their Lipschitz constants are known at once.
A Lipschitz function is differentiable almost everywhere, so at fine scales ever fewer patches of one variable have anything
to correct; that set loses 1/17 of every interval (instead of 1/3), which makes this slow. In several variables patches code
values, not corrections; for three, kinks at few scales keep certificates of some 10^7 fine cells within minutes.
One line per network: weights, layers, width, certified enclosure, W^(p/d) * error, seconds; then the fitted exponents beside
theory. With a FOLDER (docs/figures), the pictures two-scale-1d.png, -2d.png, -3d.png and, for several dimensions,
phases-deep.png are written.
"""

import sys
import time
from fractions import Fraction
from pathlib import Path

import matplotlib.figure
import numpy as np

from approx import Budget, Target
from approx.errors import ApproxError
from approx.studies import Promise, class_of, phase_diagram, rates
from approx.studies.lower_bounds import lower_bounds
from approx.studies.rates_table import RatesRow, RatesStudy
from constructions import catalogue
from constructions.promises import promise

RTOL = 0.01
#: The finest network of three variables has 4e7 fine nodes, and 1.3e8 points are looked at.
REGIONS = 400_000_000
#: For every number of variables and method: the label, options, and the grids as options, the smallest first.
DEEP = (101, 251, 640, 1601, 4001, 8001, 13601, 21001)
PLANS = {
    1: (
        ("deep-two-scale", {}, [{"cells": n, "steps": n // 16 + 1} for n in DEEP]),
        ("narrow", {}, [{"cells": n, "steps": n // 3 + 1} for n in (25, 64, 160, 401, 1001, 2401)]),
        ("deep-two-scale", {"rate": 1.5}, [{"cells": n, "steps": round((n / 4) ** 0.5)} for n in DEEP]),
    ),
    2: (
        (
            "deep-two-scale",
            {},
            [{"cells": n, "steps": m} for n, m in ((17, 3), (29, 5), (41, 7), (53, 9), (77, 13), (100, 17), (124, 21))],
        ),
        (
            "narrow",
            {},
            [{"cells": n, "steps": m} for n, m in ((14, 3), (23, 5), (33, 7), (52, 11), (71, 15), (99, 21), (141, 31))],
        ),
    ),
    3: (
        (
            "deep-two-scale",
            {},
            [{"cells": n, "steps": m} for n, m in ((9, 3), (13, 3), (18, 5), (23, 5), (29, 7), (38, 7), (38, 9))],
        ),
        (
            "narrow",
            {},
            [{"cells": n, "steps": m} for n, m in ((8, 3), (11, 3), (16, 5), (20, 5), (26, 7), (30, 9))],
        ),
    ),
}


def hats(variable: str, levels: int, gap: Fraction) -> str:
    """The distance to a Cantor set, in finitely many levels: every interval loses the share `gap` in its middle."""
    z, text, length, rest = f"abs({variable}-1/2)", "0", Fraction(1), (1 - gap) / 2
    for _ in range(levels):
        text = f"max({text},{gap * length / 2}-{z})"
        z = f"abs({z}-{length * (gap + rest) / 2})"
        length *= rest
    return text


def waves(variable: str, count: int) -> str:
    """The sum of the triangle waves."""
    u, terms = variable, []
    for k in range(count):
        u = f"(1-abs(2*{u}-1))"
        terms.append(f"{0.2 * 0.6**k / 2 ** (k + 1)!r}*{u}")
    return "+".join(terms)


def rough(dimension: int) -> Target:
    """The target of the study."""
    if dimension == 1:
        return Target(f"{hats('x', 16, Fraction(1, 17))}+{waves('x', 20)}")
    names, (levels, count) = "xyz"[:dimension], {2: (9, 10), 3: (2, 3)}[dimension]
    cantor = hats(names[0], levels, Fraction(1, 3))
    for name in names[1:]:
        cantor = f"max({cantor},{hats(name, levels, Fraction(1, 3))})"
    return Target(f"{cantor}+({'+'.join(waves(name, count) for name in names)})/{dimension}", [(0, 1)] * dimension)


def study(dimension: int, most: float) -> RatesStudy:
    """The networks of at most this many weights, printed as they come."""
    f = rough(dimension)
    smoothness, rows, promises = class_of(f, 1), [], {}
    print(f"d = {dimension}: |f(x)-f(y)| <= {f.lipschitz():.4g} |x-y|", flush=True)
    for method, options, grids in PLANS[dimension]:
        label = method + "".join(f":{k}={v}" for k, v in options.items())
        promised = promise(method, f, options)
        assert isinstance(promised, Promise)
        promises[label] = promised
        for grid in grids:
            start = time.perf_counter()
            try:
                a = catalogue()[method].builder(f, 1, **options, **grid)
            except ApproxError as error:
                print(f"   {label} {grid}: {error}")
                break
            size = a.network.size
            if size.weights > most:
                break
            built = time.perf_counter()
            c = a.certify(rtol=RTOL, budget=Budget(seconds=600, regions=REGIONS))
            below, seconds = lower_bounds(a.network, smoothness), time.perf_counter() - start
            rows.append(
                RatesRow(label, size.weights, 1.0, *size, a.bound, c.lower, c.upper, c.status, below, seconds, a)
            )
            print(
                f"   {label} W {size.weights:>7,}  layers {size.hidden_layers:>6,}  width {size.width:>6,}  bound {a.bound:.3e}"
                f"  certified [{c.lower:.4e}, {c.upper:.4e}] {c.status}  W^{promised.rate:g} e "
                f"{size.weights**promised.rate * c.upper:.4g}  build {built - start:.1f} s  certify "
                f"{start + seconds - built:.1f} s",
                flush=True,
            )
    return RatesStudy(f, tuple(rows), (), promises, smoothness, RTOL)


def show(found: RatesStudy, path: Path | None) -> None:
    """Print the exponents; draw the picture."""
    for name, e in found.exponents.items():
        weights = [r.weights for r in found.fitted(name)]
        decades = np.log10(max(weights) / min(weights)) if weights else 0.0
        print(
            f"   {name}: exponent {e.fit} (theory {e.theory:.3g}), depth {e.depth} (theory {e.theory_depth:.3g}), "
            f"{e.points} points over {decades:.2f} decades, left out {e.left_out}"
        )
    if path is not None:
        figure = matplotlib.figure.Figure(figsize=(8.0, 5.2), layout="constrained")
        ax = found.plot(ax=figure.subplots())
        d = found.target.dimension
        words = ("d(x) + t(x)", "max(d(x), d(y)) + (t(x) + t(y))/2", "max(d(x), d(y), d(z)) + (t(x) + t(y) + t(z))/3")
        ax.set_title(f"{words[d - 1]}: Cantor distance and triangle waves", fontsize=11)
        figure.savefig(path / f"two-scale-{d}d.png", dpi=130)


def main(dimensions: str = "12", most: str = "250000", folder: str = "") -> None:
    """The studies."""
    path = Path(folder) if folder else None
    found = [study(int(d), float(most)) for d in dimensions]
    for one in found:
        show(one, path)
    if path is not None and len(found) > 1:
        phases(
            [*found, rates("exp(x)*sin(6*x)", ["simplicial"], [100, 400, 1600, 6400], budget=Budget(seconds=5))], path
        )


def phases(found: list[RatesStudy], path: Path) -> None:
    """Print and draw the phase diagram; `simplicial` on a smooth function stands for continuous selection."""
    figure = matplotlib.figure.Figure(figsize=(7.5, 5.4), layout="constrained")
    ax = phase_diagram(found).plot(ax=figure.subplots())
    names = []
    for one in found:
        for p in phase_diagram(one).points:
            names.append(f"{p.method}, d = {one.target.dimension}, r = {one.smoothness.order:g}")
            print(f"{names[-1]}: p d / r = {p.rate}, depth exponent {p.depth}: {p.region}")
    ax.legend(ax.get_legend_handles_labels()[0], names, frameon=True, framealpha=0.9, fontsize=8, loc="upper left")
    figure.savefig(path / "phases-deep.png", dpi=130)


if __name__ == "__main__":
    main(*sys.argv[1:4])
