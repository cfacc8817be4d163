"""Do square chains keep their promises: counts, derivatives, symmetries, proved bounds, certified errors?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import fmpq

from approx.certification import network_digest
from approx.errors import InputError, RegularityError
from approx.networks import Builder, Form
from approx.targets import Target
from constructions.relu._chain_bound import Tape, proved_bound
from constructions.relu._chain_fit import (
    Fit,
    _demand,
    _derivatives,
    chebyshev_grid,
    expected_error,
    projected_fit,
    projected_fits,
    promise,
    shrink,
)
from constructions.relu._chain_levels import Problem, chain_core
from constructions.relu._chain_model import Shape, add_fold, evaluate, forward, padded, unit_errors
from constructions.relu._chain_network import NetworkWriter, chain_form
from constructions.relu._chain_samples import SampleWriter
from constructions.relu._chain_search import wander, worth
from constructions.relu._chain_symmetry import Bend, Fold, is_affine, reduce
from constructions.relu._chain_tangents import sensitivity_tangents, tangents, value_tangents
from constructions.relu.square_chain import make_problem, square_chain

GRID = chebyshev_grid(61)
SHAPES = [Shape((0, 0, 0)), Shape((1, 0, 2), 2), Shape((1, 1), 1, True)]


def _random_fit(shape: Shape, seed: int = 0) -> Fit:
    rng = np.random.default_rng(seed)
    parameters = rng.normal(size=shape.nonlinear + shape.linear)
    parameters[list(shape.kappa)] = 0.37
    for slots in shape.slots:
        parameters[list(slots.c)], parameters[list(slots.e)] = 0.45, 0.1
    return Fit(shape, parameters, 1.0)


@pytest.fixture(scope="module")
def sine() -> tuple[Problem, Fit, tuple[int, ...]]:
    problem = make_problem(Target("sin(2*pi*x)"), 3e-4, "square-chain")
    fit = projected_fit(Shape((0, 0)), np.array([-1.0]), problem.grid, problem.values, 60)
    assert fit is not None
    levels = (6, 6)
    pads = tuple(unit_errors(fit.shape, fit.theta, problem.grid, levels)[1:])
    shape, theta = padded(fit.shape, fit.theta, pads)
    again = projected_fit(shape, theta, problem.grid, problem.values, 0)
    assert again is not None
    assert again.rms == pytest.approx(fit.rms, rel=1e-6)  # pads change the parameters, not the function
    return problem, again, levels


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_agree_with_differences(shape: Shape) -> None:
    fit = _random_fit(shape)
    n, both = shape.nonlinear, np.stack([fit.parameters, 1.1 * fit.parameters])
    found = tangents(shape, both[:, :n], GRID)
    values = value_tangents(shape, both[:, n:], found)[0]
    parts = sensitivity_tangents(shape, both, found)[1]
    for k in range(len(fit.parameters)):
        step = np.zeros(len(fit.parameters))
        step[k] = 1e-6
        ends = [evaluate(shape, fit.parameters + s * step, GRID) for s in (1, -1)]
        pairs = [(p[0][k], ends[0][1][j] - ends[1][1][j]) for j, p in enumerate(parts)]
        if k < n:
            pairs.append((values[k], ends[0][0] - ends[1][0]))
        for exact, difference in pairs:
            assert np.quantile(np.abs(exact - difference / 2e-6), 0.9) <= 1e-2 * 1e-6 * (1e3 + np.abs(exact).max() * 1e6)


@pytest.mark.parametrize("powers", [None, np.array([1.0, 40.0, 0.1])])
def test_the_gradient_of_the_demand(powers: np.ndarray | None) -> None:
    fit = _random_fit(Shape((0, 1, 0), 1))
    gradient = _derivatives(fit.shape, fit.parameters[None], GRID, powers)[1][0]
    for k in range(len(gradient)):
        step = np.zeros(len(gradient))
        step[k] = 1e-6
        up, down = (_demand(evaluate(fit.shape, fit.parameters + s * step, GRID)[1], powers) for s in (1, -1))
        assert abs(gradient[k] - (up - down) / 2e-6) <= 1e-5 * (1 + np.abs(gradient).max())


def test_sensitivities_are_the_derivatives_by_the_squares() -> None:
    shape = Shape((0, 1))
    fit = _random_fit(shape)
    state = forward(shape, fit.theta, GRID)
    parts = evaluate(shape, fit.parameters, GRID)[1]
    h = 1e-7  # perturb the first square by hand, normalisation fixed
    c, e = fit.theta[shape.slots[1].c[0]], fit.theta[shape.slots[1].e[0]]

    def output(q: np.ndarray) -> np.ndarray:
        unit = (q + fit.theta[shape.slots[0].o[0]] * GRID - state.lows[0]) / state.ranges[0]
        a = np.where(unit <= c, unit / c, 1 - (1 - e) / (1 - c) * (unit - c))
        features = [np.ones_like(GRID), GRID, unit, a, a * a]
        return sum(w * f for w, f in zip(fit.parameters[shape.nonlinear :], features, strict=True))

    difference = (output(GRID**2 + h) - output(GRID**2 - h)) / (2 * h)
    assert np.quantile(np.abs(difference - parts[0]), 0.9) < 1e-5 * np.abs(parts[0]).max()


@pytest.mark.parametrize("j", [0, 1, 2])
def test_a_neutral_fold_changes_nothing(j: int) -> None:
    y = np.exp(GRID)
    fit = projected_fit(Shape((0, 0, 0)), np.array([0.5, 1.0, -0.7]), GRID, y, 5)
    assert fit is not None
    shape, theta = add_fold(fit.shape, fit.theta, j)
    again = projected_fit(shape, theta, GRID, y, 0)
    assert again is not None
    if j < 2:
        assert again.rms == pytest.approx(fit.rms, rel=1e-6)
    assert again.rms <= fit.rms * (1 + 1e-6)  # in the last gadget the tent is one more linear feature of the output


@pytest.mark.parametrize("levels", [(2, 3, 4), (12, 9, 7)])
def test_weight_count_is_the_formula(levels: tuple[int, ...]) -> None:
    builder = Builder(1)
    fit = _random_fit(Shape((0, 0, 0)))
    writer = NetworkWriter(builder, 1.0)
    network = builder.build([writer.output(chain_form(writer, builder.input(), fit, levels, GRID))])
    assert network.size.weights == sum(5 * m - 2 for m in levels) + 6


def test_shrinking_lowers_the_demand_for_levels() -> None:
    y = np.sin(np.pi * GRID / 2)
    fit = projected_fit(Shape((0, 0, 0)), np.array([0.5, 1.0, -0.7]), GRID, y, 40)
    assert fit is not None
    moved = shrink(fit, GRID, y, 30 * fit.rms, 40)
    before, after = (math.prod(np.abs(d).max() for d in evaluate(f.shape, f.parameters, GRID)[1]) for f in (fit, moved))
    assert after < 0.9 * before
    assert moved.rms < 20 * fit.rms


def test_chains_side_by_side_are_fitted_as_one_by_one() -> None:
    y = np.sin(np.pi * GRID / 2)
    shape = Shape((0, 0, 0))
    thetas = np.random.default_rng(2).normal(size=(5, shape.nonlinear))
    together = projected_fits(shape, thetas, GRID, y, 12)
    for theta, fit in zip(thetas, together, strict=True):
        alone = projected_fit(shape, theta, GRID, y, 12)
        assert alone is not None and fit is not None
        assert fit.rms == pytest.approx(alone.rms, rel=1e-3)
        values = evaluate(shape, fit.parameters, GRID)[0]
        assert np.sqrt(np.mean((values - y) ** 2)) == pytest.approx(fit.rms, rel=1e-6)


def test_a_chain_that_overflows_is_dropped_and_its_neighbours_stay() -> None:
    y = np.exp(GRID)
    thetas = np.array([[0.5, 1.0, -0.7], [np.inf, 1.0, 0.0], [0.4, 0.9, -0.6]])
    with np.errstate(all="ignore"):
        first, second, third = projected_fits(Shape((0, 0, 0)), thetas, GRID, y, 5)
    assert second is None and first is not None and third is not None


def test_hops_find_lower_floors_and_are_deterministic() -> None:
    y = np.exp(GRID)
    shape = Shape((0, 0, 0))
    starts = np.random.default_rng(4).normal(size=(8, shape.nonlinear))
    fits = [shrink(f, GRID, y, 1e-6, 20) for f in projected_fits(shape, starts, GRID, y, 60) if f is not None]
    before = min(promise(f, GRID, 1e-6, 40.0) for f in fits)
    fine = (chebyshev_grid(241), np.exp(chebyshev_grid(241)))
    pool = wander(fits, GRID, y, 1e-6, fine, 16, seed=1)
    assert promise(pool[0], GRID, 1e-6, 40.0) < before - 5  # in weights
    again = wander(fits, GRID, y, 1e-6, fine, 16, seed=1)
    assert [f.parameters.tolist() for f in again] == [f.parameters.tolist() for f in pool]


def test_a_chain_is_the_same_function_on_every_grid() -> None:
    shape = Shape((0, 0))
    fit = _random_fit(shape, 3)
    fit.parameters[0] = -0.7701  # t^2 - 0.77 t has its minimum between the points of GRID
    like = forward(shape, fit.theta, GRID)
    fine = np.sort(np.concatenate([GRID, np.linspace(0, 1, 400)]))
    everywhere = evaluate(shape, fit.parameters, fine, like)[0]
    at_grid = evaluate(shape, fit.parameters, GRID)[0]
    assert np.allclose(everywhere[np.searchsorted(fine, GRID)], at_grid, rtol=1e-12, atol=1e-12)
    assert not np.allclose(evaluate(shape, fit.parameters, fine)[0][np.searchsorted(fine, GRID)], at_grid, rtol=1e-9)


def test_a_chain_that_fits_only_on_the_grid_is_worth_nothing() -> None:
    shape = Shape((0,), 1)
    fine = chebyshev_grid(481)
    place = float(GRID[30] + 0.5 * (GRID[31] - GRID[30]))
    theta = np.array([place])
    fit = projected_fit(shape, theta, GRID, GRID**2, 0)
    assert fit is not None and fit.rms < 1e-12
    assert worth(fit, GRID, (fine, fine**2), 1e-8) < 65
    bump = np.where(np.abs(fine - place) < 1e-3, 1e-3, 0.0)  # between the points of GRID
    assert bump.max() > 0
    assert worth(fit, GRID, (fine, fine**2 + bump), 1e-8) > 100


def test_the_expected_error_counts_fit_and_squares() -> None:
    y = np.exp(GRID)
    fit = projected_fit(Shape((0, 0)), np.array([0.5]), GRID, y, 30)
    assert fit is not None
    values, parts = evaluate(fit.shape, fit.parameters, GRID)
    fine = expected_error(fit, GRID, y, np.array([40.0, 40.0]))
    assert fine == pytest.approx(np.abs(values - y).max(), rel=1e-9)
    coarse = expected_error(fit, GRID, y, np.array([3.0, 40.0]))
    assert coarse <= fine + np.abs(parts[0]).max() * 4.0**-4 / 2 * (1 + 1e-12)
    assert coarse >= np.abs(parts[0]).max() * 4.0**-4 / 2
    broken = Fit(fit.shape, fit.parameters * np.nan, fit.rms)
    assert expected_error(broken, GRID, y, np.array([3.0, 3.0])) == math.inf


def test_symmetries_are_found_and_only_where_they_are() -> None:
    stages, rest = reduce(lambda z: np.sin(2 * np.pi * z), 1e-8)
    assert [(s.c, s.odd) for s in stages if isinstance(s, Fold)] == [(0.5, True), (0.5, False)]
    assert np.allclose(rest(GRID), np.sin(np.pi * GRID / 2), atol=1e-12)
    assert reduce(np.exp, 1e-8)[0] == []
    assert reduce(lambda z: np.sin(2 * np.pi * z) + 1e-5 * z**2, 1e-6)[0] == []
    stages, rest = reduce(lambda z: np.cos(40 * z * z), 1e-8)
    assert isinstance(stages[0], Bend)
    assert np.abs(np.diff(rest(GRID))).sum() <= 1.0 + 1e-9  # monotone: nothing is left to fold
    stages, rest = reduce(lambda z: np.abs(z - 1 / 3), 1e-6)
    assert len(stages) == 1
    assert is_affine(rest, 1e-12)


@pytest.mark.parametrize("text", ["sin(6*pi*x)", "(x-1/2)**3 + x", "cos(20*x)", "1/(1+25*(2*x-1)**2)", "sin(5*(2*x-1))"])
def test_stages_are_built_exactly(text: str) -> None:
    problem = make_problem(Target(text), 1e-6, "square-chain")
    assert problem.stages
    knots = np.linspace(0, 1, 257)
    f = lambda z: np.asarray(Target(text)(z))  # noqa: E731
    rest = reduce(f, 1e-6)[1]
    heights = rest(knots)
    slopes = np.diff(heights) * 256

    def interpolant(writer: NetworkWriter, t: Form) -> Form:
        form = float(heights[0]) + float(slopes[0]) * t
        for k, jump in zip(knots[1:-1], np.diff(slopes), strict=True):
            form = form + float(jump) * writer.relu(t - float(k))
        return form

    network = problem.network(interpolant, ())  # type: ignore[arg-type]
    x = np.linspace(0, 1, 5001)
    curvature = np.abs(np.diff(rest(np.linspace(0, 1, 2001)), 2)).max() * 2000**2
    assert np.abs(network(x) - f(x)).max() <= 1.05 * curvature / 8 / 256**2 + 1e-9


def _bound(problem: Problem, fit: Fit, levels: tuple[int, ...], target: Target) -> tuple[float, float]:
    core = chain_core(problem, fit, levels)
    writer = NetworkWriter(Builder(1), 1.0)
    writer.output(problem.write(writer, writer.builder.input(), core, ()))
    tape = Tape()
    tape.close(problem.write(tape, Form({0: fmpq(1)}), core, ()), writer.defects)
    return proved_bound(target, tape, problem.eps)


def test_proved_bound_is_above_the_error_and_sharp(sine: tuple[Problem, Fit, tuple[int, ...]]) -> None:
    problem, fit, levels = sine
    network = problem.network(chain_core(problem, fit, levels), ())
    error = float(np.abs(network(problem.points) - problem.truth).max())
    distance, squares = _bound(problem, fit, levels, Target("sin(2*pi*x)"))
    assert error <= distance + squares <= 3 * error
    coarse = _bound(problem, fit, (5, 5), Target("sin(2*pi*x)"))
    assert coarse[0] == pytest.approx(distance, rel=1e-9)
    assert coarse[1] == pytest.approx(4 * squares, rel=0.1)


def test_proved_bound_sees_a_planted_fault(sine: tuple[Problem, Fit, tuple[int, ...]]) -> None:
    problem, fit, levels = sine
    wrong = Fit(fit.shape, fit.parameters + 1e-2 * (np.arange(len(fit.parameters)) == len(fit.parameters) - 1), fit.rms)
    assert _bound(problem, wrong, levels, Target("sin(2*pi*x)"))[0] > 5e-3
    assert _bound(problem, fit, levels, Target("sin(2*pi*x) + x/100"))[0] > 9e-3


def test_from_a_target_to_a_certified_network() -> None:
    target = Target("exp(x)", domain=(-1, 1))
    found = square_chain(target, 2e-2, starts=1)
    certificate = found.certify()
    assert certificate.upper <= 2e-2
    assert certificate.upper <= found.bound
    assert found.network.size.weights <= 40
    assert network_digest(square_chain(target, 2e-2, starts=1).network) == network_digest(found.network)


def test_piecewise_linear_after_folding_costs_five_weights() -> None:
    found = square_chain(Target("abs(x-1/3)"), 1e-6)
    assert found.network.size.weights <= 5
    assert found.certify().upper <= 1e-12


def test_bad_input() -> None:
    with pytest.raises(InputError):
        square_chain(Target("x"), 0)
    with pytest.raises(InputError):
        square_chain(Target("x"), 1e-3, starts=0)
    with pytest.raises(RegularityError):
        square_chain(Target("x*y"), 1e-3)


def test_room_is_made_for_units_that_turn_between_the_grid_points() -> None:
    """Such units leave [0, 1], at a smooth minimum as at a kink: without room no number of levels would help."""
    from constructions.relu._chain_fit import Fit
    from constructions.relu._chain_levels import overshoot
    from constructions.relu._chain_model import Shape

    grid = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    smooth = Fit(Shape((0, 0)), np.array([-0.8, 0, 0, 0, 0]), 0.0)  # t^2 - 0.8 t: -0.16 at 0.4; on the grid -0.15 to 0.2
    assert np.isclose(overshoot(smooth, grid), 0.01 / 0.35, rtol=1e-6)
    kinked = Fit(Shape((0, 0), 1), np.array([0.4, -3.0, 10.0, 0, 0, 0, 0, 0]), 0.0)  # t^2 - 3t + 10 relu(t - 0.4)
    values = grid**2 - 3 * grid + 10 * np.maximum(grid - 0.4, 0)
    beyond = values.min() - (0.4**2 - 3 * 0.4)
    assert beyond > 0.3 and np.isclose(overshoot(kinked, grid), beyond / np.ptp(values), rtol=1e-12)
    straight = Fit(Shape((0, 0)), np.array([3.0, 0, 0, 0, 0]), 0.0)  # monotone
    assert overshoot(straight, grid) == [0.0]


@pytest.mark.parametrize("levels", [(1, 2, 3), (2, 6, 9), (12, 3, 14)])
@pytest.mark.parametrize("beyond", [0.0, 0.05])
def test_samples_are_the_values_of_the_network(levels: tuple[int, ...], beyond: float) -> None:
    fit = _random_fit(Shape((0, 0, 0), 1))
    points = np.linspace(0, 1 + beyond, 999)
    writer = SampleWriter(points)
    sampled = writer.at(chain_form(writer, writer.input(), fit, levels, GRID))
    builder = Builder(1)
    exact = NetworkWriter(builder, 1.0)
    network = builder.build([exact.output(chain_form(exact, builder.input(), fit, levels, GRID))])
    assert np.abs(sampled - network(points)).max() <= 1e-12 * (1 + np.abs(sampled).max())
