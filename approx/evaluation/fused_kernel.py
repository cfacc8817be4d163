"""Which machine code evaluates a plan on blocks of points? Imported by fused.py only, where numba is installed.

The sums of one unit at a whole block of points stay in vector registers while its summands stream by; products and sums
are separate instructions (LLVM contracts them to fused multiply-adds only when asked, and nothing here asks).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from approx.evaluation import plan as planning

_DOUBLE, _INT, _INT32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)


def _lanes() -> int:
    features = binding.get_host_cpu_features()
    return 8 if features.get("avx512f") else 4 if features.get("avx") else 2


#: Doubles per vector register of this machine, registers that hold sums, and points per block.
LANES = _lanes()
REGISTERS = 16 if LANES == 8 else 8  # half of the registers there are
BLOCK = LANES * REGISTERS
_VECTOR = ir.VectorType(_DOUBLE, LANES)


def _splat(b: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES)
    return b.shuffle_vector(b.insert_element(undefined, scalar, ir.Constant(_INT32, 0)), undefined, zeros)


def _address(b: Any, base: Any, slot: Any, j: int) -> Any:
    return b.gep(base, [b.add(b.mul(slot, ir.Constant(_INT, REGISTERS)), ir.Constant(_INT, j))])


@intrinsic
def _operation(  # type: ignore[no-untyped-def]
    context, work, source, weight, begin, end, bias, code, slot
):
    """One operation of a plan on one block: addresses of the work array, sources and weights; then the operation."""
    signature = types.void(
        types.uintp, types.uintp, types.uintp, types.int64, types.int64, types.float64, types.int64, types.int64
    )
    return signature, _generate


_operate: Any = _operation  # numba passes the typing context itself


def _generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
    work, source, weight, begin, end, bias, code, slot = arguments
    vectors = b.inttoptr(work, _VECTOR.as_pointer())
    sources, weights = b.inttoptr(source, _INT32.as_pointer()), b.inttoptr(weight, _DOUBLE.as_pointer())
    start, proceed, loop, finish = (b.append_basic_block(name) for name in ("start", "proceed", "loop", "finish"))
    entry = b.append_basic_block("entry")
    after = b.append_basic_block("after")
    b.cbranch(b.icmp_signed(">=", code, ir.Constant(_INT, planning.CONTINUES)), proceed, start)
    b.position_at_end(start)
    fresh = _splat(b, bias)
    b.branch(entry)
    b.position_at_end(proceed)
    saved = [b.load(_address(b, vectors, slot, j), align=8 * LANES) for j in range(REGISTERS)]
    b.branch(entry)
    b.position_at_end(entry)
    initial = [_phi(b, (fresh, start), (saved[j], proceed)) for j in range(REGISTERS)]
    b.cbranch(b.icmp_signed("<", begin, end), loop, finish)
    b.position_at_end(loop)
    k = b.phi(_INT)
    k.add_incoming(begin, entry)
    running = [_phi(b, (initial[j], entry)) for j in range(REGISTERS)]
    factor = _splat(b, b.load(b.gep(weights, [k])))
    row = b.sext(b.load(b.gep(sources, [k])), _INT)
    sums = []
    for j in range(REGISTERS):
        term = b.fmul(factor, b.load(_address(b, vectors, row, j), align=8 * LANES))
        sums.append(b.fadd(running[j], term))
        running[j].add_incoming(sums[j], loop)
    following = b.add(k, ir.Constant(_INT, 1))
    k.add_incoming(following, loop)
    b.cbranch(b.icmp_signed("<", following, end), loop, finish)
    b.position_at_end(finish)
    totals = [_phi(b, (initial[j], entry), (sums[j], loop)) for j in range(REGISTERS)]
    _activate(b, totals, vectors, b.and_(code, ir.Constant(_INT, planning.CONTINUES - 1)), slot, after)
    b.position_at_end(after)
    return context.get_dummy_value()


def _phi(b: Any, *incoming: tuple[Any, Any]) -> Any:
    node = b.phi(incoming[0][0].type)
    for value, block in incoming:
        node.add_incoming(value, block)
    return node


def _activate(b: Any, totals: list[Any], vectors: Any, code: Any, slot: Any, after: Any) -> None:
    """Branch on the activation code (its index in planning.CODES), apply it and store."""
    functions = (_identity, _relu, _absolute, _floor)
    blocks = [b.append_basic_block(f"act{i}") for i in range(len(functions))]
    choice = b.switch(code, blocks[0])
    for i, block in enumerate(blocks):
        if i:
            choice.add_case(ir.Constant(_INT, i), block)
        b.position_at_end(block)
        for j, total in enumerate(totals):
            b.store(functions[i](b, total), _address(b, vectors, slot, j), align=8 * LANES)
        b.branch(after)


def _identity(b: Any, t: Any) -> Any:
    return t


def _relu(b: Any, t: Any) -> Any:
    zero = ir.Constant(_VECTOR, [0.0] * LANES)
    return b.select(b.fcmp_ordered("<=", t, zero), zero, t)  # false for NaN, which therefore stays


def _absolute(b: Any, t: Any) -> Any:
    return _library(b, "fabs", t)


def _floor(b: Any, t: Any) -> Any:
    return _library(b, "floor", t)


def _library(b: Any, name: str, t: Any) -> Any:
    full = f"llvm.{name}.v{LANES}f64"
    function = b.module.globals.get(full) or ir.Function(b.module, ir.FunctionType(_VECTOR, [_VECTOR]), full)
    return b.call(function, [t])


def _blocks(points, values, first, source, weight, bias, code, target, outputs, work):  # type: ignore[no-untyped-def]
    """Run a plan on the points, BLOCK at a time; the last block is filled up with zeros."""
    n, d = points.shape
    base, sources, weights = work.ctypes.data, source.ctypes.data, weight.ctypes.data
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        for j in range(d):
            for i in range(BLOCK):
                work[j * BLOCK + i] = points[begin + i, j] if i < size else 0.0
        for o in range(len(target)):
            _operate(base, sources, weights, first[o], first[o + 1], bias[o], code[o], target[o])
        for j in range(len(outputs)):
            for i in range(size):
                values[begin + i, j] = work[outputs[j] * BLOCK + i]


def _single(points, values, first, source, weight, bias, code, target, outputs, work):  # type: ignore[no-untyped-def]
    """Run a plan point by point: the same sums, faster than a block for one or two points."""
    for p in range(points.shape[0]):
        for j in range(points.shape[1]):
            work[j] = points[p, j]
        for o in range(len(target)):
            act = code[o]
            total = bias[o]
            if act >= planning.CONTINUES:
                act -= planning.CONTINUES
                total = work[target[o]]
            for k in range(first[o], first[o + 1]):
                total += weight[k] * work[source[k]]
            if act == 1:
                total = 0.0 if total <= 0.0 else total
            elif act == 2:
                total = abs(total)
            elif act == 3:
                total = np.floor(total)
            work[target[o]] = total
        for j in range(len(outputs)):
            values[p, j] = work[outputs[j]]


def _compiled(function: Any, signature: Any) -> Any:
    """Compile now, keeping the machine code on disk where that is possible."""
    try:
        return njit(signature, cache=True, nogil=True)(function)
    except (RuntimeError, OSError):  # no writable place for the cache
        return njit(signature, nogil=True)(function)


_F, _I, _I32, _U8 = types.float64[::1], types.int64[::1], types.int32[::1], types.uint8[::1]
_FF, _II = types.float64[:, ::1], types.int64[:, ::1]
_N = types.int64
_POINTS = types.Array(types.float64, 2, "C", readonly=True)  # the user's array may be read-only
_RUN = types.void(_POINTS, _FF, _I, _I32, _F, _F, _I, _I, _I, _F)

run_blocks = _compiled(_blocks, _RUN)
run_single = _compiled(_single, _RUN)
live_rows = _compiled(planning.live_rows, _U8(_I, _I, _N, _N))
layer_order = _compiled(planning.layer_order, _II(_I, _U8))
depth_first = _compiled(planning.depth_first, _II(_I, _I, _N, _U8, _N, _N, _N))
assign_slots = _compiled(planning.assign_slots, types.Tuple((_I, _N))(_II, _I, _N, _N, _N))
emit = _compiled(planning.emit, types.Tuple((_I, _I32, _F, _F, _I, _I))(_II, _I, _I, _I, _F, _F, _I, _N))
