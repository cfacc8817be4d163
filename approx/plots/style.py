"""Which colours and frames do all pictures share? A palette that colour-blind readers can tell apart, and quiet axes."""

from __future__ import annotations

from typing import Any

#: Okabe and Ito's palette, by role.
TARGET = "#56B4E9"
NETWORK = "#000000"
ERROR = "#0072B2"
CERTIFIED = "#E69F00"
WANTED = "#D55E00"
PROVED = "#CC79A7"
WITNESS = "#009E73"
QUIET = "#777777"

#: Pixel columns of a panel: more pieces than half of this are drawn as an envelope.
COLUMNS = 900


def axes_or_new(ax: Any) -> Any:
    """Return the given axes, or those of a new pyplot figure (which notebooks show by themselves)."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(8, 4), layout="constrained")[1]


def tidy(ax: Any) -> None:
    """Remove the frame on top and right, and lay a light grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def scientific(axis: Any) -> None:
    """Write small and large tick labels with one common power of ten."""
    from matplotlib.ticker import ScalarFormatter

    formatter = ScalarFormatter(useMathText=True)
    formatter.set_powerlimits((-2, 3))
    axis.set_major_formatter(formatter)
