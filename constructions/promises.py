"""Which rate does theory promise each construction on a given target? Powers of W for the error and for the depth, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from approx.errors import ApproxError
from approx.studies import Promise, class_of
from approx.targets import Target

Options = Mapping[str, Any]


def promise(name: str, target: Target, options: Options) -> Promise | None:
    """Return the Promise of a construction by catalogue name; None where theory gives no power of W (or nothing is known).

    >>> promise("simplicial", Target("sin(x)*y", [(0, 1)] * 2), {}).rate
    1.0
    """
    try:
        return _PROMISES[name](target, options) if name in _PROMISES else None
    except ApproxError:
        return None  # a target without any modulus of continuity: nothing is promised


def _grid(target: Target, options: Options) -> Promise:
    order, d = class_of(target).order, target.dimension
    return Promise(order / d, 0.0, f"continuous selection, r/d with r = {order:g}")


def _free_knots(target: Target, options: Options) -> Promise:
    return Promise(2.0, 0.0, "free knots, |f''|^(1/2) integrable")


def _taylor(target: Target, options: Options) -> Promise | None:
    order, d = options.get("order"), target.dimension
    return Promise(order / d, 0.0, f"Taylor polynomials, r/d with r = {order}") if order else None


def _spline(target: Target, options: Options) -> Promise:
    power = int(options.get("power", 3))
    return Promise(power + 1.0, 0.0, f"free-knot splines of degree {power}")


def _two_scales(target: Target, options: Options) -> Promise:
    alpha, d = target.hoelder()[0], target.dimension
    p = float(options.get("rate", 2))
    return Promise(p * alpha / d, p - 1, f"P18 Theorem 2, p alpha/d with p = {p:g}, alpha = {alpha:g}")


def _smooth_two_scales(target: Target, options: Options) -> Promise:
    r, d = int(options.get("order", 2)), target.dimension
    p = float(options.get("rate", 2 * r / d))
    return Promise(p, p * d / r - 1, f"P19, deep discontinuous phase, r = {r}, p = {p:g}")


def _narrow(target: Target, options: Options) -> Promise:
    alpha, d = target.hoelder()[0], target.dimension
    return Promise(2 * alpha / d, 1.0, f"P18 Theorem 2, constant width, 2 alpha/d with alpha = {alpha:g}")


def _cached(depth: float, why: str) -> Callable[[Target, Options], Promise]:
    return lambda target, options: Promise(target.hoelder()[0], depth, why)


_PROMISES: dict[str, Callable[[Target, Options], Promise | None]] = {
    "simplicial": _grid,
    "piecewise-linear": _free_knots,
    "local-taylor": _taylor,
    "power-taylor": _taylor,
    "relu-power": _spline,
    "deep-two-scale": _two_scales,
    "narrow": _narrow,
    "hoelder-two-scale": _smooth_two_scales,
    "cached-patches": _cached(0.0, "P16 Theorem 2: 1/(W ln W)"),
    "cached-narrow": _cached(1.0, "P17: 1/(W ln W) at constant width"),
}
