"""Do the forms of a builder become the right rows, in the right order, as floats exactly where floats hold them?"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from flint import fmpq

from approx.errors import InputError
from approx.networks import Builder, Form, Network
from approx.numbers import pi

FLOATS = (fmpq(1), fmpq(-1, 2), fmpq(3), fmpq(0))
NUMBERS = (*FLOATS, fmpq(1, 3), fmpq(10) ** 400, fmpq(1, 10**400), pi())


def program(seed: int, number: int = 60) -> tuple[list[tuple[str, dict[int, Any], Any]], list[dict[int, Any]]]:
    """Random rows (activation, terms, constant) over two inputs and the rows before, and the terms of two outputs."""
    rng = random.Random(seed)
    usual = FLOATS if seed % 2 else NUMBERS

    def terms(units: int) -> dict[int, Any]:
        return {u: rng.choice(usual) for u in rng.sample(range(units), min(units, rng.randint(0, 4)))}

    rows = [(rng.choice(["relu", "abs", "floor"]), terms(2 + r), rng.choice(usual)) for r in range(number)]
    return rows, [terms(2 + number), terms(2 + number)]


def built(rows: list[tuple[str, dict[int, Any], Any]], outputs: list[dict[int, Any]]) -> Network:
    b = Builder(2)
    for activation, terms, constant in rows:
        b.unit(Form(terms, constant), activation)
    return b.build([Form(terms) for terms in outputs])


def expected(rows: list[tuple[str, dict[int, Any], Any]], outputs: list[dict[int, Any]]) -> list[Any]:
    """The exact rows of the network by the definition, one unit at a time."""
    depth, alive, waiting = [0, 0], set(), [u for terms in outputs for u in terms]
    for _, terms, _ in rows:
        depth.append(1 + max((depth[u] for u in terms), default=0))
    while waiting:
        u = waiting.pop()
        if u not in alive:
            alive.add(u)
            waiting += rows[u - 2][1] if u >= 2 else []
    order = sorted((u for u in alive if u >= 2), key=lambda u: (depth[u], rows[u - 2][0], u))
    place = {0: 0, 1: 1} | {u: 2 + i for i, u in enumerate(order)}
    full = [*(rows[u - 2] for u in order), *(("identity", terms, fmpq(0)) for terms in outputs)]
    return [(name, c, sorted(((place[u], w) for u, w in t.items() if w != 0), key=lambda e: e[0])) for name, t, c in full]


@pytest.mark.parametrize("seed", range(40))
def test_rows_by_the_definition(seed: int) -> None:
    network = built(*program(seed))
    assert network.exact_rows() == expected(*program(seed))
    assert network.pool == () or len(set(map(str, network.pool))) == len(network.pool)
    for layer in network.layers:
        for vector in [layer.bias, *(b.values for b in layer.blocks)]:
            assert (vector.ids is None) == all(v in FLOATS for v in vector.exact(network.pool))
            assert np.isfinite(vector.floats).all()


def test_a_wrong_row_is_seen() -> None:
    # Planted fault: one weight, one column, one constant differs.
    rows, _ = program(0)
    outputs = [{1: fmpq(3), 20: fmpq(1)}, {}]
    bent = [*rows[:18], (rows[18][0], rows[18][1], rows[18][2] + 1), *rows[19:]]
    assert built(rows, outputs).exact_rows() == expected(rows, outputs)
    assert built(rows, [{1: fmpq(3), 20: fmpq(-1)}, {}]).exact_rows() != expected(rows, outputs)
    assert built(rows, [{0: fmpq(3), 20: fmpq(1)}, {}]).exact_rows() != expected(rows, outputs)
    assert built(bent, outputs).exact_rows() != expected(rows, outputs)


def test_unknown_activations_and_missing_outputs_are_refused() -> None:
    b = Builder(1)
    with pytest.raises(InputError, match="activation"):
        b.build([b.unit(b.input(), "cosine")])
    with pytest.raises(InputError, match="layers"):
        b.build([])
