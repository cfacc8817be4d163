"""What holds for every test: no display, no leaked precision, reproducible examples."""

from __future__ import annotations

from collections.abc import Iterator

import flint
import matplotlib
import matplotlib.pyplot as plt
import pytest
from hypothesis import settings

matplotlib.use("Agg")

settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def flint_precision_is_left_alone() -> Iterator[None]:
    """Flint's precision is global: a test (or the code under it) that leaves it changed would change the next one."""
    before = flint.ctx.prec
    yield
    after, flint.ctx.prec = flint.ctx.prec, before
    assert after == before, f"flint's working precision was left at {after} bits"


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    """Pictures that a test leaves open would be counted by the next one."""
    yield
    plt.close("all")
