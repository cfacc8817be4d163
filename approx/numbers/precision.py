"""At which precision do balls compute? One context manager, because flint's precision is global to the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flint import ctx

MAXIMUM_BITS = 10_000_000


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Run a block with balls of `bits` bits and restore the former precision afterwards, also after an exception.

    The precision of flint is one global number, shared by all threads: nothing in this library computes with balls
    outside such a block. It is a plain save-and-restore of `flint.ctx.prec` (0.2 us).

    Raises ValueError unless 2 <= bits <= 10^7.

    >>> from flint import arb
    >>> with working_precision(20):
    ...     coarse = arb(1) / 3
    >>> with working_precision(200):
    ...     fine = arb(1) / 3
    >>> coarse.contains(fine), fine.contains(coarse)
    (True, False)
    """
    if not 2 <= bits <= MAXIMUM_BITS:
        raise ValueError(f"bits: got {bits!r}; accepted: an integer from 2 to {MAXIMUM_BITS}")
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before
