"""How do the certified errors of two-scale networks fall with their weights? `two_scale.py [METHOD] [N] [TARGET]`.

The target is rough at all scales, so that its smoothness cannot help: the distance to a Cantor set (Lipschitz 1, the same at
all scales 3^-k), plus triangle waves of all frequencies 2^k with slopes 0.2 * 0.6^k (kinks in a dense set). One line per
network, up to N coarse cells: weights, layers, width, certified enclosure, W^2 * error, seconds; the regressed exponent.
TARGET "polygon" takes the distance to the Cantor set alone, as a polygon of 3^14 parts: its Lipschitz constant is known at
once, where that of the expression takes minutes, but its chords are bounded more coarsely (wider enclosures).
"""

import sys
import time

import numpy as np

from approx import Target
from approx.targets.polygon import PolygonTarget
from constructions import catalogue

#: Numbers of coarse cells; M = N/16 fine steps (deep-two-scale) or N/3 (narrow).
SIZES = {"deep-two-scale": (101, 251, 640, 1601, 4001, 13601, 21001), "narrow": (25, 64, 160, 401, 1001)}
SHARE = {"deep-two-scale": 16, "narrow": 3}


def rough(waves: int, cantor: int) -> Target:
    """The target above with finitely many scales."""
    terms, u, y = [], "x", "x"
    for k in range(waves):
        u = f"(1-abs(2*{u}-1))"
        terms.append(f"{0.2 * 0.6**k / 2 ** (k + 1)!r}*{u}")
    for k in range(1, cantor + 1):
        y = f"(3/2*(1-abs(2*{y}-1)))"
        terms.append(f"3**-{k}*max({y}-1,0)")
    return Target("+".join(terms))


def cantor_polygon(levels: int) -> Target:
    """The distance to the Cantor set at the nodes k/3^levels, and linear between."""
    y, total = np.arange(3**levels + 1) / 3**levels, np.zeros(3**levels + 1)
    for k in range(1, levels + 1):
        y = 3 * np.minimum(y, 1 - y)
        total += np.maximum(y - 1, 0) / 3**k
    return PolygonTarget(total)


def main(method: str = "deep-two-scale", largest: int = 13601, target: str = "rough") -> None:
    """The study."""
    f = rough(16, 14) if target == "rough" else cantor_polygon(14)
    start = time.perf_counter()
    print(f"{method}; |f(x)-f(y)| <= {f.lipschitz():.4g} |x-y| ({time.perf_counter() - start:.1f} s)", flush=True)
    weights, errors = [], []
    for cells in SIZES[method]:
        if cells > largest:
            break
        start = time.perf_counter()
        steps = cells // SHARE[method] + 1
        a = catalogue()[method].builder(f, 1, cells=cells, steps=steps)
        built = time.perf_counter()
        c = a.certify()
        size = a.network.size
        weights.append(size.weights)
        errors.append(c.upper)
        print(
            f"W {size.weights:>7,}  layers {size.hidden_layers:>6,}  width {size.width:>5,}  bound {a.bound:.3e}  certified "
            f"[{c.lower:.4e}, {c.upper:.4e}] {c.status}  W^2 e {size.weights**2 * c.upper:.4g}  "
            f"build {built - start:.1f} s  certify {time.perf_counter() - built:.1f} s",
            flush=True,
        )
        slope = np.polyfit(np.log(weights), np.log(errors), 1)[0] if len(weights) > 1 else float("nan")
        print(f"   exponent so far {slope:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(v) for v in sys.argv[2:3]), *sys.argv[3:4])
