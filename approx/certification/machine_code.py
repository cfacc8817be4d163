"""When is a pass along nodes run by machine code (extra `fast`)? Once the work pays for loading it.

The compiled functions give the bits of numpy, which tests check: no result, and no certificate, depends on which of them
ran. So loading them may depend on what this process has done so far.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from approx.certification.arithmetic import Arithmetic

#: Loading numba and the machine code takes as long as numpy needs for about so many terms at one point each.
LOADING_WORTH = 50_000_000
_KERNELS = {"follow": "unit_kernel", "advance": "root_kernel", "grow": "root_kernel", "hinges": "hinge_kernel"}


class State:
    """What is known in this process: how functions are found, why there are none, and the work that numpy did."""

    find: Callable[[str, str], Any] | None = None
    unavailable = ""
    errors: tuple[type[BaseException], ...] = (
        ImportError,
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
        OSError,
    )
    numpy_work = 0.0
    lock = threading.Lock()


def machine_code(verb: str, arithmetic: Arithmetic, work: float = math.inf) -> Any:
    """The compiled function for so much work (terms times points), or None where numpy does it.

    verb: "follow" (unit_kernel.py), "advance" or "grow" (root_kernel.py), "hinges" (hinge_kernel.py). A heuristic: numba is
    loaded when the work asked of numpy so far exceeds LOADING_WORTH, and used from then on.
    """
    if State.find is None and not State.unavailable:
        State.numpy_work += work
        if State.numpy_work >= LOADING_WORTH:
            load()
    if State.find is None:
        return None
    try:
        return State.find(verb, arithmetic.name)
    except State.errors as error:  # a numba that works differently must not stop numpy
        State.find, State.unavailable = None, f"{type(error).__name__}: {error}"
        return None


def load() -> None:
    """Make the compiled functions available, if numba is installed."""
    with State.lock:
        if State.find is None and not State.unavailable:
            try:
                from numba.core.errors import NumbaError
            except State.errors as error:
                State.unavailable = f"numba cannot be imported ({error})"
            else:
                State.errors = (*State.errors, NumbaError)
                State.find = compiled


@cache
def compiled(verb: str, arithmetic: str) -> Any:
    """The compiled function; its machine code is kept on disk where that is possible.

    Compiling takes one to three seconds once per installation, loading a tenth of a second. Raises what numba raises.
    """
    from numba import njit

    function, signature = import_module(f"approx.certification.{_KERNELS[verb]}").FUNCTIONS[f"{verb} {arithmetic}"]
    try:
        return njit(signature, cache=True, nogil=True)(function)
    except (RuntimeError, OSError):  # no writable place for the cache
        return njit(signature, nogil=True)(function)
