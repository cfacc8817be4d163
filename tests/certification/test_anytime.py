"""Anytime and anywhere: budgets, interrupts and executors leave enclosures valid, monotone and the same."""

import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from flint import fmpq

import approx.certification.block_search as block_search
import approx.certification.ladder as ladder
from approx import Budget, Target, certify
from approx.certification.box_cover import box_cover
from approx.certification.budget import Work
from approx.errors import InputError
from approx.networks import Builder, Network, dense_block, layer
from constructions.relu.square import square, square_form

CHAIN = ((fmpq(1, 5), fmpq(9, 10), fmpq(-3, 10)), (fmpq(1, 10), fmpq(4, 5), fmpq(-3, 20)))


def deep_chain(levels):
    """Squares of affine forms of squares, with about 1e5 pieces; f is the polynomial that they imitate."""
    b = Builder(1)
    x = b.input()
    form, text = square_form(b, x, levels), "x**2"
    for c0, c1, c2 in CHAIN:
        form, text = square_form(b, b.relu(c0 + c1 * form + c2 * x), levels), f"(({c0})+({c1})*({text})+({c2})*x)**2"
    return b.build([form]), Target(text)


def folding(teeth, depth):
    """A zigzag of zigzags: teeth**depth pieces of slope teeth**depth, dense layers; known sup of |net|: 1."""
    k = np.arange(teeth)
    a = np.where(k == 0, teeth, 2.0 * teeth * (-1.0) ** k)
    layers = [layer("relu", -k / teeth, [dense_block(0, np.ones((teeth, 1)))])]
    layers += [layer("relu", -k / teeth, [dense_block(d, np.outer(np.ones(teeth), a))]) for d in range(1, depth)]
    return Network(1, [*layers, layer("identity", [0.0], [dense_block(depth, a[None, :])])])


def result(c):
    """All that must agree: everything but the clock."""
    return c.lower, c.upper, c.witness, c.status, c.method, {k: v for k, v in c.work.items() if k != "seconds"}


def squares_unread(monkeypatch):
    """Pieces only: what is known of sawtooth squares would end the search at once."""
    monkeypatch.setattr(ladder.SquareBound, "program", None)


@pytest.fixture(scope="module")
def hard():
    return folding(32, 3), Target("sin(3*x)")


def test_executors_give_the_serial_result(hard):
    """33,000 pieces: more than the first block, so that the executor has work to do."""
    net, f = hard
    serial = certify(net, f)
    assert serial.status == "tight" and serial.work["float64"] > ladder._FIRST
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2) as pool:
        assert result(certify(net, f, executor=threads)) == result(serial)
        assert result(certify(net, f, executor=pool)) == result(serial)
        limited = [certify(net, f, executor=e, budget=Budget(regions=10_000)) for e in (None, pool)]
    assert result(limited[0]) == result(limited[1]) and limited[0].status == "budget"


def test_a_dask_cluster_gives_the_serial_result(hard):
    distributed = pytest.importorskip("distributed")
    net, f = hard
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        remote = certify(net, f, executor=client.get_executor())
    assert result(remote) == result(certify(net, f))


def test_repeated_runs_agree_bit_for_bit(hard):
    assert result(certify(*hard)) == result(certify(*hard))


@pytest.mark.parametrize("reading", [True, False])
def test_upper_never_increases_and_lower_never_decreases_with_the_budget(monkeypatch, reading):
    if not reading:
        squares_unread(monkeypatch)
    net, f = deep_chain(9)
    truth = certify(net, f, rtol=1e-4)
    assert truth.status == "tight"
    previous = None
    for regions in (1, 5_000, 20_000, 40_000, 100_000, 400_000):
        c = certify(net, f, rtol=1e-4, budget=Budget(regions=regions))
        assert c.lower <= truth.upper and truth.lower <= c.upper
        if previous is not None:
            assert c.upper <= previous.upper and c.lower >= previous.lower
        previous = c
    assert previous.status == "tight"


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_an_interrupt_anywhere_leaves_a_valid_enclosure(monkeypatch, hard, calls):
    net, f = hard
    truth = certify(net, f)
    left = [calls]
    honest = block_search.bound_pieces

    def interrupted(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return honest(*arguments, **options)

    monkeypatch.setattr(block_search, "bound_pieces", interrupted)
    c = certify(net, f)
    assert c.status == "budget" and c.lower <= truth.upper and truth.lower <= c.upper


def test_an_interrupt_before_anything_is_known(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(ladder, "taylor_cover", interrupted)
    c = certify(square(3), Target("exp(x)"))
    assert (c.lower, c.upper, c.status) == (0.0, math.inf, "budget")


def test_a_small_clock_gives_a_finite_bound_by_the_reading_as_squares():
    """About 1e8 pieces, nobody lists them in a second; read as squares the bound is within a factor of 2."""
    net, f = deep_chain(16)
    c = certify(net, f, budget=Budget(seconds=2))
    assert c.upper < 2 * c.lower < 1e-8


def test_memory_is_bounded_and_too_little_of_it_is_refused(hard):
    c = certify(*hard, budget=Budget(memory=1 << 24))
    assert c.status == "tight"
    with pytest.raises(InputError, match="memory"):
        Budget(memory=1000)


def test_blocks_of_unbounded_cost_are_cut_like_very_dear_ones():
    """Networks of 10^300 pieces overflow the estimate of the cost: that must not end in an OverflowError."""
    block = ladder.Block(0.0, 1.0, 2.0, float("inf"))
    parts = ladder._parts(block, 1000)
    assert len(parts) == len(ladder._parts(ladder.Block(0.0, 1.0, 2.0, 1e300), 1000)) > 1
    assert (parts[0].left, parts[-1].right) == (0.0, 1.0) and all(p.upper == 2.0 for p in parts)


def test_covers_in_three_variables_look_at_the_clock():
    """A target whose cover takes hundreds of cells: none is split once time is used up."""
    target = Target("sin(9*x)*exp(y)*cos(5*z)", domain=[(-1, 1)] * 3)
    work = Work(Budget(seconds=1e-9))
    cover = box_cover(target, 1e-6, order=3, work=work)
    assert len(cover.centres) == 1 < len(box_cover(target, 1e-6, order=3, most_cells=8).centres)
