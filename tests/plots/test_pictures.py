"""Do pictures show what the certificate says, on the axes they are given, and write whole files or none?"""

from __future__ import annotations

import ast
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from plot_examples import approximant, interpolant, sine

import approx.plots
from approx import Target
from approx.errors import InputError, UnsupportedError
from approx.networks import Builder
from approx.numbers import to_float
from approx.plots import plot_approximant, plot_breakpoints, plot_error, plot_network, plot_target
from approx.plots.approximant import title


def labels(ax: object) -> str:
    return " | ".join(ax.get_legend_handles_labels()[1])  # type: ignore[attr-defined]


def bands(ax: object) -> list[tuple[float, float]]:
    """Vertical extents of the horizontal bands."""
    extents = []
    for patch in ax.patches:  # type: ignore[attr-defined]
        if type(patch).__name__ == "Rectangle":
            extents.append((patch.get_y(), patch.get_y() + patch.get_height()))
    return extents


def test_parts_draw_on_the_given_axes() -> None:
    a = sine()
    ax = Figure().subplots()
    assert plot_target(a.target, ax) is ax and plot_network(a.network, (0, 1), ax) is ax
    assert plot_error(a, ax) is ax and plot_breakpoints(a.network, (0, 1), ax) is ax
    assert plt.get_fignums() == []


def test_without_axes_a_new_figure_is_made() -> None:
    try:
        assert plot_target(Target("x"), color="black").lines[0].get_color() == "black"
        assert len(plt.get_fignums()) == 1
    finally:
        plt.close("all")


def test_the_band_is_the_certificate_and_the_curve_stays_inside() -> None:
    a = sine()
    assert a.certificate is not None
    ax = plot_error(a, Figure().subplots(), eps=1.3 * a.certificate.upper)
    lower, upper = a.certificate.lower, a.certificate.upper
    assert np.allclose(sorted(bands(ax)), [(-upper, -lower), (lower, upper)])
    curve = ax.lines[0].get_ydata()
    assert 0.99 * lower <= np.abs(curve).max() <= upper
    assert (
        "sampled" in labels(ax) and "certified" in labels(ax) and "asked for" in labels(ax) and "witness" in labels(ax)
    )
    assert ax.get_ylim()[1] > 1.3 * upper


def test_a_curve_that_leaves_the_band_is_not_cut_off() -> None:
    a = sine()
    assert a.certificate is not None
    false = approximant(a.network, a.target, 0.25, 0.1 * a.certificate.lower, 0.1 * a.certificate.upper)
    ax = plot_error(false, Figure().subplots())
    assert ax.get_ylim()[1] > a.certificate.lower


def test_lines_far_away_are_named_instead_of_flattening_the_error() -> None:
    a = sine()
    assert a.certificate is not None
    ax = plot_error(a, Figure().subplots(), eps=100 * a.certificate.upper)
    assert "(outside)" in labels(ax) and ax.get_ylim()[1] < 2 * a.certificate.upper


def test_many_pieces_become_an_envelope_with_a_close_up() -> None:
    a = sine(2000)
    figure = plot_approximant(a, figure=Figure(layout="constrained"))
    assert len(figure.axes) == 3 and "extremes per pixel" in labels(figure.axes[1])
    low, high = figure.axes[2].get_xlim()
    assert a.certificate is not None and low < to_float(a.certificate.witness[0]) < high
    assert len(plot_approximant(sine(200), figure=Figure(layout="constrained")).axes) == 2


def test_breakpoints_that_cannot_be_listed_are_said_to_be_missing() -> None:
    b = Builder(1)
    form = b.input()
    for _ in range(30):
        form = b.relu(2 * form) - b.relu(4 * form - 2)
    ax = plot_breakpoints(b.build([form]), (0, 1), Figure().subplots())
    assert labels(ax) == "more than 250,000 breakpoints, not shown"


def test_without_a_certificate_nothing_is_called_certified() -> None:
    a = sine()
    bare = approx.Approximant(a.network, a.target, 0.5, "interpolant", "a statement")
    ax = plot_error(bare, Figure().subplots())
    assert "certified" not in labels(ax) and bands(ax) == [] and "certified" not in title(bare)
    unbounded = approximant(a.network, a.target, 0.25, 0.01, float("inf"))
    assert bands(plot_error(unbounded, Figure().subplots())) == [] and r"\infty" in title(unbounded)


def test_title_states_weights_and_error_rounded_up() -> None:
    a = sine()
    assert a.certificate is not None
    text = title(a)
    assert f"{a.network.size.weights:,} weights" in text and "certified error" in text
    shown = float(text.rpartition("≤ $")[2].rstrip("$"))
    assert a.certificate.upper <= shown <= 1.01 * a.certificate.upper


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_files_are_written(tmp_path: Path, name: str, start: bytes) -> None:
    sine().plot(tmp_path / name, eps=0.02)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name] and plt.get_fignums() == []


def test_nothing_is_written_on_failure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        sine().plot(tmp_path / "a.xyz")
    with pytest.raises(OSError):
        sine().plot(tmp_path / "missing" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError):
        sine().plot(tmp_path / "folder.png")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.parametrize("d", [2, 3])
def test_maps_in_several_variables(d: int, tmp_path: Path) -> None:
    b = Builder(d)
    target = Target("x*y" if d == 2 else "x*y + z/10", domain=[(0, 1)] * d)
    a = approximant(b.build([b.relu(b.input(0) + b.input(1) - 1)]), target, [0.5] * d, 0.2, 0.3)
    figure = plot_approximant(a, tmp_path / "map.png")
    heat = figure.axes[1].images[0]
    assert heat.get_clim() == (-0.3, 0.3) and "sampled" in figure.axes[1].get_title()
    assert ("slice z = 0.5" in title(a)) == (d == 3)
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[0.5, 0.5]]
    with pytest.raises(UnsupportedError):
        plot_error(a, Figure().subplots())
    with pytest.raises(UnsupportedError):
        plot_network(a.network, (0, 1), Figure().subplots())


def test_error_of_zero_can_be_drawn() -> None:
    target = Target("abs(x-1/2)")
    exact = approximant(interpolant("abs(x-1/2)", 2), target, 0.0, 0.0, 0.0)
    assert plot_approximant(exact, figure=Figure(layout="constrained"), eps=1e-6).axes


def test_no_picture_opens_a_window() -> None:
    folder = Path(approx.plots.__file__).parent
    for path in folder.glob("*.py"):
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [f for f in calls if isinstance(f, ast.Attribute) and f.attr == "show"], path
