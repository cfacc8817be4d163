"""When and how is a network evaluated by the fused kernel (extra `fast`)?"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from approx.errors import MissingExtraError, UnsupportedError
from approx.evaluation.cache import cached
from approx.evaluation.plan import CODES, Plan, make_plan

if TYPE_CHECKING:
    from approx.networks import Network

#: Loading numba and its cached code takes about 0.5 s, as much as numpy needs for this many multiplications.
LOADING_WORTH = 400_000_000
#: With the kernel loaded, below this many multiplications numpy is as fast, because planning is not free.
PLANNING_WORTH = 20_000


class _State:
    """What is known in this process: the loaded kernel, whether it is unavailable, and the work that numpy did."""

    kernel: Any = None
    unavailable: str = ""
    numpy_work = 0
    lock = threading.Lock()


def admits(network: Network) -> bool:
    """Whether all activations of the network are in the kernel's repertoire."""
    return network.activations <= set(CODES)


def worthwhile(network: Network, points: int) -> bool:
    """Whether "auto" should use the kernel for so many points.

    A heuristic: always once the kernel is loaded and the work exceeds PLANNING_WORTH; loading it is delayed until the
    work asked of numpy so far exceeds LOADING_WORTH.
    """
    if _State.unavailable or not admits(network):
        return False
    work = points * (len(network.flat.values) + len(network.flat.bias))
    if _State.kernel is not None:
        return work > PLANNING_WORTH
    _State.numpy_work += work
    return _State.numpy_work > LOADING_WORTH and kernel() is not None


def kernel() -> Any:
    """Return the module with the compiled functions, or None where numba is missing or cannot compile them."""
    with _State.lock:
        if _State.kernel is None and not _State.unavailable:
            try:
                from numba.core.errors import NumbaError
            except ImportError as error:
                _State.unavailable = f"numba cannot be imported ({error})"
                return None
            try:
                from approx.evaluation import fused_kernel
            except (NumbaError, ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
                # A numba or llvmlite that works differently must not stop numpy.
                _State.unavailable = f"numba does not compile the kernel ({type(error).__name__}: {error})"
            else:
                _State.kernel = fused_kernel
        return _State.kernel


def fused_plan(network: Network) -> Plan:
    """Return the plan of the network, compiled once. Raises as run_fused does."""
    if not admits(network):
        refused = ", ".join(sorted(network.activations - set(CODES)))
        raise UnsupportedError(f"the fused backend has no activation {refused}; use backend='numpy'")
    steps = kernel()
    if steps is None:
        if _State.unavailable.startswith("numba cannot be imported"):
            raise MissingExtraError("numba", "fast", "the fused backend")
        raise UnsupportedError(_State.unavailable)
    return cached(network, "plan", lambda: make_plan(network.flat, steps))


def run_fused(network: Network, points: np.ndarray) -> np.ndarray:
    """Return the (n, outputs) float64 values at the (n, inputs) points; the same bits as run_layered.

    Raises MissingExtraError without numba, UnsupportedError for activations outside the kernel's repertoire.
    """
    plan = fused_plan(network)
    steps = kernel()
    values = np.empty((len(points), network.outputs))
    single = len(points) <= 2
    work = _aligned(plan.slots * (1 if single else steps.BLOCK))
    run = steps.run_single if single else steps.run_blocks
    run(points, values, *plan[:7], work)
    return values


def _aligned(count: int) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes, which the vector instructions require."""
    raw = np.zeros(count + 8)
    offset = (-raw.ctypes.data % 64) // 8
    return raw[offset : offset + count]
