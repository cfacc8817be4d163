"""Which algorithm certifies which network: the one function `certify`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from flint import fmpq

from approx.certification.budget import Budget, Work
from approx.certification.certificate import Certificate
from approx.certification.executed import executed
from approx.certification.execution import FORMATS, Execution
from approx.certification.relative import relative_certificate, relative_enclosure
from approx.certification.steps import step_enclosure
from approx.certification.structure import STRUCTURE_ONLY, structural_enclosure
from approx.certification.vector import certify_outputs
from approx.errors import InputError, UnsupportedError
from approx.networks import Network
from approx.numbers import to_float, to_fmpq
from approx.targets import Target

#: Below it a rational weight that is no float64 is not computed with in float64.
_FAINT = fmpq(1, 2**900)
_METHODS = ("auto", "pieces", "polygons", "boxes", "structure", "exact", "taylor", "balls")


def certify(
    network: Network,
    target: Target | str | Sequence[Target | str],
    domain: Any = None,
    *,
    rtol: float = 0.01,
    atol: float = 0.0,
    budget: Budget | None = None,
    method: str = "auto",
    semantics: str = "exact",
    norm: str = "abs",
    executor: Executor | None = None,
) -> Certificate:
    """A Certificate lower <= sup |target - network| <= upper over the domain (the target's own unless given).

    Work stops when upper <= (1 + rtol) lower, or upper <= atol, or the budget is exhausted (status "budget": the
    enclosure is still valid); Ctrl-C ends the work in the same way. A pole of the target in the domain gives upper = inf.

    method: "pieces" (one variable, piecewise linear: exact pieces and second-order bounds), "polygons" (the same in two
    variables), "boxes" (any dimension: branch and bound), "structure" (sums of sawtooth squares of any depth, products
    among them, against their polynomial; step networks of floor and 2^t, cell by cell; and what `structure.register` added:
    constructions adds the superexpressive networks), "exact" (rational targets of one variable: the supremum as a rational
    or algebraic number), "taylor" (any activation, any dimension: Taylor models in float64, then balls where their
    rounding is to blame), "balls" (any activation but floor, weights of any size: ball jets), or "auto".
    semantics: "exact" (the real function of the exact weights), "float32" or "float64": what the file of
    `network.to_onnx(dtype=...)` returns when it is executed on inputs of that type, in any order of summation (docs:
    certification, execution). norm: "abs", or "rel" for sup |f - net| / |f|. A network of several outputs takes a sequence
    of targets, one per output, and the result is a VectorCertificate of the largest error. executor: any
    concurrent.futures.Executor; parts of the domain are certified by it (one variable; results are those of the serial
    run).

    Raises InputError (shapes, rtol, unknown method, semantics or norm), UnsupportedError (activations), DomainError (a zero
    of f with norm "rel").
    Source: derived; docs/certification.md.

    >>> from approx import Target
    >>> from approx.networks import Builder
    >>> b = Builder(1)
    >>> secant = b.build([b.input()])
    >>> c = certify(secant, Target("x**2"), rtol=1e-6)
    >>> c.lower <= 0.25 <= c.upper and c.status == "tight"
    True
    """
    if isinstance(target, list | tuple):
        kind = {"method": method, "semantics": semantics, "norm": norm, "executor": executor}
        return _vector(network, [_target(f, domain) for f in target], rtol, atol, budget or Budget(), kind)
    target = _target(target, domain)  # type: ignore[arg-type]
    _check(network, target, rtol, atol, method, semantics, norm)
    network = network.native
    if semantics != "exact" or norm != "abs":
        return _derived(network, target, rtol, atol, budget or Budget(), method, semantics, norm, executor)
    work = Work(budget or Budget())
    found = _exact(network, target) if method == "exact" else _structural(network, target, work, rtol, atol, method)
    sharp = found is not None and found[1] <= max(found[0] * (1 + rtol), atol)
    if found is None or (not sharp and _regions_know_more(network, method, found[3])):
        try:
            found = _better(found, _search(network, target, rtol, atol, work, method, executor))
        except UnsupportedError:  # no search can follow this network: what its structure shows stands
            if found is None:
                raise
    return Certificate.of(network, target, found, rtol, atol, work.report)


def _structural(
    network: Network, target: Target, work: Work, rtol: float, atol: float, method: str
) -> tuple[float, float, Sequence[Any], str] | None:
    """What the structure of the network shows, when it is asked for."""
    if method not in ("auto", "structure"):
        return None
    found = structural_enclosure(network, target, work) or step_enclosure(network, target, rtol, atol, work)
    if found is None and method == "structure":
        raise UnsupportedError(
            "no structural certificate applies: the network is neither a sum of sawtooth squares (with their sum as target), "
            "nor a step network of floor and 2^t, nor of a kind that an imported package recognises (import constructions "
            "adds the superexpressive ones)"
        )
    return found


def _regions_know_more(network: Network, method: str, name: str) -> bool:
    """Whether a search over regions may be sharper than the structure `name`: not where it cannot follow the network."""
    decoders = {"floor", "arcsin", "sigma3"}  # they turn round at scales that no region resolves
    return method == "auto" and not name.startswith(STRUCTURE_ONLY) and not decoders & network.activations


def _better(
    first: tuple[float, float, Sequence[Any], str] | None, second: tuple[float, float, Sequence[Any], str]
) -> tuple[float, float, Sequence[Any], str]:
    """What two enclosures say together; the method is that of the smaller upper bound."""
    if first is None:
        return second
    below, above = max(first, second, key=lambda e: e[0]), min(first, second, key=lambda e: (math.isnan(e[1]), e[1]))
    return below[0], above[1], below[2], above[3]


def _exact(network: Network, target: Target) -> tuple[float, float, Sequence[Any], str]:
    from approx.certification.exact_supremum import exact_supremum

    exact = exact_supremum(network, target)
    if exact is None:
        raise UnsupportedError(
            "no exact supremum: it takes a rational piecewise linear network of one variable, and a target of + - * /, "
            "integer powers, abs, max and min without poles or irrational kinks"
        )
    return exact.lower, exact.upper, (exact.witness,), str(exact)


def _target(target: Target | str, domain: Any) -> Target:
    if isinstance(target, Target):
        return target if domain is None else target.on(domain)
    if isinstance(target, str):
        return Target(target, domain=domain)
    raise InputError("target", target, "a Target or an expression")


def _vector(
    network: Network, targets: list[Target], rtol: float, atol: float, budget: Budget, kind: dict[str, Any]
) -> Certificate:
    _check_network(network)

    def scalar(part: Network, target: Target, enough: float, share: Budget) -> Certificate:
        return certify(part, target, rtol=rtol, atol=enough, budget=share, **kind)

    return certify_outputs(network, targets, rtol, atol, budget, scalar)


def _derived(
    network: Network,
    target: Target,
    rtol: float,
    atol: float,
    budget: Budget,
    method: str,
    semantics: str,
    norm: str,
    executor: Executor | None,
) -> Certificate:
    """Certificates that follow from those of the absolute error in exact arithmetic."""
    execution = Execution(network, semantics) if semantics != "exact" else None
    work, smallest = Work(budget), 1.0
    sharp = rtol if execution is None else 0.8 * rtol  # what is left is for the rounding errors
    if norm == "abs":
        exact = certify(network, target, rtol=sharp, atol=atol, budget=budget, method=method, executor=executor)
    else:

        def absolute(part: Target, gap: float, enough: float, share: Budget) -> Certificate:
            return certify(network, part, rtol=gap, atol=enough, budget=share, method=method, executor=executor)

        found = relative_enclosure(network, target, sharp, atol, work, absolute)
        smallest = found.smallest
        exact = relative_certificate(found, network, target, rtol, atol, work)
    return exact if execution is None else executed(exact, execution, rtol, smallest)


def _check_network(network: Network) -> None:
    if not isinstance(network, Network):
        raise InputError("network", network, "a Network (approx.from_onnx and approx.from_torch make them)")


def _check(
    network: Network, target: Target, rtol: float, atol: float, method: str, semantics: str, norm: str
) -> None:
    _check_network(network)
    if network.inputs != target.dimension:
        raise InputError(
            "network", f"{network.inputs} inputs", f"{target.dimension} inputs, the variables of {target.text}"
        )
    if network.outputs != 1:
        raise InputError("network", f"{network.outputs} outputs", "one output, or a list of targets, one per output")
    if not 0 < rtol < math.inf:
        raise InputError("rtol", rtol, "a positive number")
    if not 0 <= atol < math.inf:
        raise InputError("atol", atol, "a non-negative number")
    if method not in _METHODS:
        raise InputError("method", method, "one of " + ", ".join(_METHODS))
    if semantics not in ("exact", *FORMATS):
        raise InputError("semantics", semantics, "'exact', 'float32' or 'float64'")
    if norm not in ("abs", "rel"):
        raise InputError("norm", norm, "'abs' or 'rel'")


def _search(
    network: Network, target: Target, rtol: float, atol: float, work: Work, method: str, executor: Executor | None
) -> tuple[float, float, Sequence[Any], str]:
    if method == "pieces" and target.dimension > 1:
        raise InputError("method", method, "'polygons' in two variables, 'boxes' in more")
    if method == "polygons" and target.dimension != 2:
        raise InputError("method", method, "'pieces' in one variable, 'boxes' in three and more")
    if method not in ("balls", "taylor") and network.tags["piecewise_linear"] and _has_faint_weights(network):
        if method != "auto":
            raise UnsupportedError(f"a weight below 2^-900 is no float64, in which method {method!r} computes; use 'balls'")
        method = "balls"
    if target.dimension == 1 and method in ("auto", "pieces"):
        if network.tags["piecewise_linear"]:
            from approx.certification.ladder import certify_pieces

            return certify_pieces(network, target, rtol, atol, work, executor)
        if method == "pieces":
            raise UnsupportedError("exact pieces need a piecewise linear network; use method='taylor'")
    if method == "balls":
        from approx.certification.ball_boxes import certify_balls

        return certify_balls(network, target, rtol, atol, work)
    if method == "taylor" or (method == "auto" and not network.tags["piecewise_linear"]):
        from approx.certification.taylor import certify_taylor

        return certify_taylor(network, target, rtol, atol, work, otherwise=method == "auto")
    if target.dimension == 2 and method in ("auto", "polygons"):
        if network.tags["piecewise_linear"]:
            from approx.certification.polygons import certify_polygons

            return certify_polygons(network, target, rtol, atol, work, explore=method == "auto")
        if method == "polygons":
            raise UnsupportedError("polygons need a piecewise linear network; use method='taylor'")
    from approx.certification.boxes import certify_boxes

    return certify_boxes(network, target, rtol, atol, work)


def _has_faint_weights(network: Network) -> bool:
    """Whether float64 numbers near a rational weight have fewer digits than the bounds of rounding presume."""
    return any(isinstance(w, fmpq) and 0 < abs(w) < _FAINT and to_fmpq(to_float(w)) != w for w in network.pool)


def observed_error(network: Network, target: Target, points: int = 4001) -> float:
    """The largest |f - net| at equally spaced points in float64: OBSERVED, a guess to start from, no bound."""
    sides = target.domain.floats()
    per_side = max(2, round(points ** (1 / target.dimension)))
    axes = [np.linspace(lo, hi, per_side) for lo, hi in sides]
    grid = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    with np.errstate(all="ignore"):
        gap = np.abs(np.asarray(target(grid if target.dimension > 1 else grid[:, 0])) - np.asarray(network(grid)))
    gap = gap[np.isfinite(gap)]
    return float(gap.max(initial=0.0))
