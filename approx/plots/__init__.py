"""What does a result look like? Pictures with matplotlib: every function takes `ax=` and never opens a window.

- `plot_approximant(a, path=None)`: the whole picture; also `a.plot("file.png")`.
- `plot_target`, `plot_network`, `plot_error`, `plot_breakpoints`: its parts, in one variable.

Curves of the error are sampled (observed); bands and lines beside them are certified or proved, and say which.
"""

from approx.plots.approximant import picture_type, plot_approximant
from approx.plots.one_variable import plot_breakpoints, plot_error, plot_network, plot_target

__all__ = ["picture_type", "plot_approximant", "plot_breakpoints", "plot_error", "plot_network", "plot_target"]
