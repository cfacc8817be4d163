"""Do weights jump when the function moves continuously? `selection_jumps.py [FOLDER]` follows them for methods of both phases.

Along the path (1-s) f_0 + s f_1 the largest step of a weight is located and its interval of s halved, again and again
(approx.studies.continuity): a step that shrinks with the interval is a continuous selection, one that stays is a jump.
All of it is observed. With a FOLDER (docs/figures), the steps are drawn against the widths as selection-jumps.png.
"""

import math
import sys
from pathlib import Path

import matplotlib.figure

import constructions  # noqa: F401  (registers the methods)
from approx.studies import ContinuityStudy, continuity

PATH = "sin(2*pi*x)", "exp(x)-1"
PLANE = "sin(3*x)*y", "exp(x*y)-1"
#: Label -> (first, second, method with the options that fix its architecture, phase by theory).
METHODS = {
    "simplicial, d = 1": (*PATH, "simplicial:cells=8,form=paper", "continuous"),
    "simplicial, d = 2": (*PLANE, "simplicial:cells=4", "continuous"),
    "deep-two-scale, d = 1": (*PATH, "deep-two-scale:cells=6,steps=5", "discontinuous"),
    "deep-two-scale, d = 2": (*PLANE, "deep-two-scale:cells=3,steps=3", "discontinuous"),
    "narrow, d = 1": (*PATH, "narrow:cells=6,steps=5", "discontinuous"),
    "narrow, d = 2": (*PLANE, "narrow:cells=3,steps=3", "discontinuous"),
    "cached-patches": (*PATH, "cached-patches:steps_per_cell=4", "adapts its architecture"),
    "cached-narrow": (*PATH, "cached-narrow:steps_per_cell=4", "adapts its architecture"),
}
HEADING = (
    "method", "phase by theory", "observed", "largest step", "after halvings", "at width", "exponent", "values change by",
)  # fmt: skip


def study(label: str) -> ContinuityStudy:
    """The weights of one method along its path."""
    first, second, method, _ = METHODS[label]
    if "d = 2" not in label:
        return continuity(first, second, method, eps=0.2, steps=16, halvings=24)
    from approx import Target

    square = [(0, 1)] * 2
    return continuity(Target(first, square), Target(second, square), method, steps=16, halvings=24)


def table(folder: str = "") -> list[tuple[str, ...]]:
    """One row per method, also on standard error as they come; the picture with a folder."""
    rows: list[tuple[str, ...]] = [HEADING]
    found = {}
    for label in METHODS:
        found[label] = study(label)
        rows.append(_row(label, found[label]))
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    if folder:
        picture(found, Path(folder))
    return rows


def _row(label: str, s: ContinuityStudy) -> tuple[str, ...]:
    last = s.zoom[-1]
    exponent = s.exponent.value
    return (
        label, METHODS[label][3], s.verdict, f"{s.zoom[0].size:.3g}", f"{last.size:.3g}", f"{float(last.width):.2g}",
        "-" if math.isnan(exponent) else f"{exponent:.3f}", f"{last.change:.2g}",
    )  # fmt: skip


def picture(found: dict[str, ContinuityStudy], folder: Path) -> None:
    """The largest step over the first one, against the width of its interval of s."""
    figure = matplotlib.figure.Figure(figsize=(7.5, 4.8), layout="constrained")
    ax = figure.subplots()
    for number, (label, s) in enumerate(found.items()):
        seen = [j for j in s.zoom if 0 < j.size < math.inf]
        if len(seen) < 2:
            continue
        style = "o-" if METHODS[label][3] == "continuous" else "s--"
        sizes = [j.size / seen[0].size for j in seen]
        ax.loglog([float(j.width) for j in seen], sizes, style, ms=4, color=f"C{number}", label=label)
    ax.set(xlabel="width of the interval of s", ylabel="largest step of a weight, over the first", ylim=(1e-8, 5))
    ax.set_title("Weights along (1-s) f0 + s f1 (observed)", fontsize=11)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    figure.savefig(folder / "selection-jumps.png", dpi=110)


if __name__ == "__main__":
    table(*sys.argv[1:2])
