"""What do the gadgets of a hat lookup network look like? Staircases, partition of unity and lookup, each on its own axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import fmpq

from approx.approximant import Approximant
from approx.errors import InputError, UnsupportedError
from approx.networks import Builder, Network
from approx.numbers import to_float
from approx.plots import style
from constructions.superexpressive._hat_network import HatParameters, axis_forms, class_counts
from constructions.superexpressive._hat_table import HatTable
from constructions.superexpressive._structure import structure_of
from constructions.superexpressive.sigma3 import Sigma3Table

_COLOURS = (style.ERROR, style.CERTIFIED)
_POINTS = 4001


def plot_gadgets(found: Approximant, axis: int = 0, axes: Sequence[Any] | None = None) -> Sequence[Any]:
    """Draw staircases, partition of unity and (in one variable) the lookup of a sin-arcsin or sigma3 approximant.

    axis: which variable. axes: three matplotlib axes (two for more than one variable), made if not given; returned. The
    curves of the first two are float64 values of the units themselves, whose weights are short; the last is the table.
    """
    table = _table(found)
    count = 3 if found.target.dimension == 1 else 2
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(count, 1, figsize=(8, 2.6 * count), layout="constrained", sharex=True)
    if len(axes) < count:
        raise InputError("axes", len(axes), f"{count} axes")
    plot_staircases(found, axis, axes[0])
    plot_partition(found, axis, axes[1])
    if count == 3:
        _draw_lookup(table, axes[2])
    return axes


def plot_staircases(found: Approximant, axis: int = 0, ax: Any = None) -> Any:
    """Draw the two staircases n_0, n_1 along a variable and return the axes: constant wherever their hat does not vanish."""
    x, values = _curves(found, axis)
    ax = style.axes_or_new(ax)
    for g in (0, 1):
        ax.plot(x, values[:, g], color=_COLOURS[g], linewidth=1.2, label=f"address of {('even', 'odd')[g]} nodes")
    return _finished(ax, "staircase")


def plot_partition(found: Approximant, axis: int = 0, ax: Any = None) -> Any:
    """Draw the hat functions phi_0 and phi_1 = 1 - phi_0 along a variable and return the axes."""
    x, values = _curves(found, axis)
    ax = style.axes_or_new(ax)
    for g in (0, 1):
        ax.plot(x, values[:, 2 + g], color=_COLOURS[g], linewidth=1.2, label=f"hats of {('even', 'odd')[g]} nodes")
    return _finished(ax, "partition of unity")


def plot_lookup(found: Approximant, ax: Any = None) -> Any:
    """Draw target, network and decoded node values of an approximant in one variable and return the axes."""
    return _draw_lookup(_table(found), style.axes_or_new(ax))


def _draw_lookup(table: HatTable, ax: Any) -> Any:
    p, target = table.parameters, table.target
    if p.dimension != 1:
        raise UnsupportedError(f"this picture is for one variable, the target has {p.dimension}")
    x = _abscissae(table, 0)
    ax.plot(x, target(x), color=style.TARGET, linewidth=3, label="target")
    ax.plot(x, table.values(x[:, np.newaxis]), color=style.NETWORK, linewidth=1, label="network")
    low, high = to_float(p.lower[0]), to_float(p.upper[0])
    for g in (0, 1):
        nodes = low + (high - low) * (2 * np.arange(class_counts(p.cells, (g,))[0]) + g) / p.cells[0]
        nodes = np.clip(nodes, low, high)
        values = table.values(nodes[:, np.newaxis])
        ax.plot(nodes, values, "o", color=_COLOURS[g], markersize=4, label=f"decoded at {('even', 'odd')[g]} nodes")
    return _finished(ax, "lookup")


def _finished(ax: Any, name: str) -> Any:
    ax.set_ylabel(name)
    ax.set_xlabel("x")
    ax.legend(frameon=False, fontsize=9)
    style.tidy(ax)
    return ax


def _table(found: Approximant) -> HatTable:
    read = structure_of(found.network, found.target)
    table = read[1] if read is not None else None
    if isinstance(table, Sigma3Table):
        table = table.table
    if not isinstance(table, HatTable):
        raise UnsupportedError("gadgets are drawn of sin-arcsin and sigma3 approximants")
    return table


def _abscissae(table: HatTable, axis: int) -> np.ndarray:
    low, high = table.target.domain.floats_inside()[axis]
    return np.linspace(low, high, _POINTS)


def _curves(found: Approximant, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, columns n_0, n_1, phi_0, phi_1) from the units of one axis, in float64."""
    table = _table(found)
    if not 0 <= axis < table.parameters.dimension:
        raise InputError("axis", axis, f"a number below {table.parameters.dimension}")
    x = _abscissae(table, axis)
    return x, np.asarray(_axis_network(table.parameters, axis)(x))


def _axis_network(p: HatParameters, axis: int) -> Network:
    one = HatParameters(
        lower=p.lower[axis : axis + 1], upper=p.upper[axis : axis + 1], cells=p.cells[axis : axis + 1], order=1,
        ramp=min(p.ramp, 24), bits={(0,): 1}, amplitudes={(0,): fmpq(1)}, integers={}, centre=fmpq(0),
    )  # fmt: skip
    b = Builder(1)
    forms = axis_forms(b, one, 0)
    return b.build([*forms.index, *forms.hats])
