"""Do the pictures of the gadgets show what the units compute, and do approximants with long weights draw themselves?"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from approx import Target
from approx.errors import InputError, UnsupportedError
from constructions.superexpressive import plot_gadgets, plot_lookup, plot_staircases, sigma3, sin_arcsin, sin_floor

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    yield
    plt.close("all")


def test_staircases_are_whole_where_their_hats_do_not_vanish():
    a = sin_arcsin(Target("sin(pi*x)/2"), 1e-2)
    stairs, partition, lookup = plot_gadgets(a)
    for curve, hat in zip(stairs.get_lines(), partition.get_lines(), strict=True):
        n, phi = np.asarray(curve.get_ydata()), np.asarray(hat.get_ydata())
        assert np.abs(n - np.round(n))[phi > 1e-4].max() < 1e-6 and phi.min() > -1e-9
    total = sum(np.asarray(line.get_ydata()) for line in partition.get_lines())
    assert np.abs(total - 1).max() < 1e-9
    target, network, *_ = lookup.get_lines()
    assert np.abs(np.asarray(target.get_ydata()) - np.asarray(network.get_ydata())).max() <= a.bound


def test_other_networks_and_axes_are_refused():
    f = Target("x*y")
    a = sin_arcsin(f, 1e-1)
    assert len(plot_gadgets(a, axis=1)) == 2
    with pytest.raises(UnsupportedError, match="one variable"):
        plot_lookup(a)
    with pytest.raises(InputError, match="axis"):
        plot_staircases(a, axis=2)
    with pytest.raises(UnsupportedError, match="sin-arcsin"):
        plot_staircases(sin_floor(f, 2e-1))


@pytest.mark.parametrize("builder", [sin_arcsin, sin_floor, sigma3])
def test_whole_pictures_are_drawn_from_the_structure(builder, tmp_path):
    for f in (Target("sin(pi*x)/2"), Target("sin(pi*x)*cos(pi*y)/2")):
        if f.dimension == 2 and builder is sigma3:
            continue
        a = builder(f, 1e-1).certified()
        a.plot(tmp_path / "a.png")
        assert (tmp_path / "a.png").stat().st_size > 10_000
