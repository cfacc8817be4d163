"""How do networks become benchmarks for verifiers with PROVED answers? ONNX, VNN-LIB, instances.csv, answers.csv.

A query asks for an input in a box at which the output reaches a threshold. With the certified enclosure of the largest output,
lower <= max <= upper, a threshold above upper has no solution ("unsat": the property just holds), and one below lower has one
("sat": the property just fails), with an exact witness. Thresholds are placed at given margins outside the enclosure, so that
the smaller the margin, the sharper a verifier has to be, and neither answer depends on any verifier.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from flint import fmpq

from approx.certification import Budget, Range, bound
from approx.certification.executed import nearest_input
from approx.certification.execution import FORMATS, Execution, execution_slack
from approx.errors import InputError, UnsupportedError
from approx.evaluation import evaluate_exact
from approx.interchange.onnx_read import from_onnx
from approx.networks import PIECEWISE_LINEAR, Network
from approx.networks.container import write_atomically
from approx.numbers import decimal_text, to_fmpq

VERSIONS = ("1.0", "2.0")


@dataclass(frozen=True)
class BenchmarkCase:
    """A network of one output on a box, with a name that becomes part of the file names."""

    name: str
    network: Network
    domain: Any


@dataclass(frozen=True)
class BenchmarkInstance:
    """One query with its proved answer.

    Query: is there an x in the box with y >= threshold (kind "max") or y <= threshold (kind "min")? answer: "sat" or "unsat" in
    real arithmetic on the exact weights of the file. executed: the same for the file as it is executed in its own type, in any
    order of summation, on inputs of that type; "unknown" where rounding errors may decide. enclosure: of the maximum (minimum).
    witness: an exact point that proves "sat", else None.
    """

    onnx: str
    vnnlib: str
    kind: str
    threshold: float
    answer: str
    executed: str
    enclosure: tuple[float, float]
    witness: tuple[fmpq, ...] | None


def write_benchmark(
    folder: str | Path,
    cases: Iterable[BenchmarkCase],
    *,
    margins: Sequence[float] = (1e-1, 1e-3, 1e-5),
    dtype: str = "float32",
    version: str = "1.0",
    timeout: float = 300.0,
    rtol: float = 1e-6,
    budget: Budget | None = None,
) -> list[BenchmarkInstance]:
    """Write the benchmark and return its instances: for every case, margin and end of the range one sat and one unsat query.

    Files: onnx/NAME.onnx, vnnlib/NAME_*.vnnlib, instances.csv (onnx, vnnlib, timeout: the layout of VNN-COMP) and answers.csv.
    Weights and the box are rounded to dtype first, and what is certified is the exact function of the file that was written,
    so that no conversion stands between the file and the proof. Numbers in queries are exact decimals of numbers of dtype.
    margins: relative to the largest output in absolute value. version: of VNN-LIB, "1.0" (X_0, Y_0) or "2.0".

    Raises InputError (names, margins, version, dtype), UnsupportedError where no finite range is found within the budget.
    Cost: one `bound` per case.
    """
    _check(margins, dtype, version, timeout)
    place = Path(folder)
    for part in ("onnx", "vnnlib"):
        (place / part).mkdir(parents=True, exist_ok=True)
    instances: list[BenchmarkInstance] = []
    seen: set[str] = set()
    for case in cases:
        if not case.name.replace("-", "_").isidentifier() or case.name in seen:
            raise InputError("name", case.name, "distinct names of letters, digits, - and _")
        seen.add(case.name)
        instances += _write_case(place, case, margins, dtype, version, rtol, budget)
    _write_tables(place, instances, timeout)
    return instances


def _check(margins: Sequence[float], dtype: str, version: str, timeout: float) -> None:
    if dtype not in FORMATS:
        raise InputError("dtype", dtype, "'float32' or 'float64'")
    if version not in VERSIONS:
        raise InputError("version", version, "one of " + ", ".join(VERSIONS))
    if not margins or not all(0 < m < math.inf for m in margins):
        raise InputError("margins", list(margins), "positive numbers")
    if not 0 < timeout < math.inf:
        raise InputError("timeout", timeout, "a positive number of seconds")


def _write_case(
    place: Path,
    case: BenchmarkCase,
    margins: Sequence[float],
    dtype: str,
    version: str,
    rtol: float,
    budget: Budget | None,
) -> list[BenchmarkInstance]:
    from approx.interchange.onnx_write import to_onnx
    from approx.targets import Target

    onnx_name = f"onnx/{case.name}.onnx"
    to_onnx(case.network, place / onnx_name, dtype=dtype)
    network = from_onnx(place / onnx_name)
    kind = np.dtype(dtype).type
    given = Target("0", domain=case.domain).domain
    box = [(float(kind(float(a.p) / float(a.q))), float(kind(float(b.p) / float(b.q)))) for a, b in given]
    found = bound(network, [(to_fmpq(a), to_fmpq(b)) for a, b in box], rtol=rtol, budget=budget)
    if not (math.isfinite(found.lower) and math.isfinite(found.upper)):
        raise UnsupportedError(f"no finite range was found for {case.name!r} within the budget")
    slack, execution = math.inf, None
    if network.activations <= PIECEWISE_LINEAR:
        execution = Execution(network, dtype)
        ends = np.array(box).T
        slack, _ = execution_slack(execution, ends[0], ends[1], 0.0)
    scale = max(abs(found.lower), abs(found.upper)) or 1.0
    instances = []
    for end in ("max", "min"):
        for number, margin in enumerate(margins):
            for holds in (True, False):
                threshold = _threshold(found, end, holds, margin * scale, kind)
                name = f"vnnlib/{case.name}_{end}_{number}_{'unsat' if holds else 'sat'}.vnnlib"
                write_atomically(place / name, query(box, end, threshold, dtype, version).encode())
                executed = _executed(found, execution, slack, end, threshold, holds)
                enclosure = found.maximum if end == "max" else found.minimum
                point = found.at_maximum if end == "max" else found.at_minimum
                answer = "unsat" if holds else "sat"
                instances.append(
                    BenchmarkInstance(
                        onnx_name, name, end, threshold, answer, executed, enclosure, None if holds else point
                    )
                )
    return instances


def _threshold(found: Range, end: str, holds: bool, margin: float, kind: Any) -> float:
    """A number of the type that lies `margin` outside the enclosure, strictly: beyond it if the property is to hold."""
    sign = 1 if end == "max" else -1
    inner, outer = found.maximum if end == "max" else (-found.minimum[1], -found.minimum[0])
    wanted = kind(sign * (outer + margin if holds else inner - margin))
    away = kind(sign * math.inf if holds else -sign * math.inf)
    while not (sign * float(wanted) > outer if holds else sign * float(wanted) < inner):
        wanted = np.nextafter(wanted, away)
    return float(wanted)


def _executed(
    found: Range, execution: Execution | None, slack: float, end: str, threshold: float, holds: bool
) -> str:
    """The answer for the executed file: by the slack over the box, or at an input of the type next to the witness."""
    if execution is None or not math.isfinite(slack):
        return "unknown"
    sign = 1 if end == "max" else -1
    if holds:
        outer = to_fmpq(found.maximum[1] if end == "max" else -found.minimum[0])
        return "unsat" if outer + to_fmpq(slack) < sign * to_fmpq(threshold) else "unknown"
    point = nearest_input(found.at_maximum if end == "max" else found.at_minimum, found.domain, execution.format)
    if point is None:
        return "unknown"
    local = float(execution.slack(np.array([point]), np.zeros((1, len(point))))[0])
    value = sign * evaluate_exact(execution.network, [point])[0]
    return "sat" if math.isfinite(local) and value - to_fmpq(local) >= sign * to_fmpq(threshold) else "unknown"


def query(box: Sequence[tuple[float, float]], end: str, threshold: float, dtype: str, version: str) -> str:
    """The text of a VNN-LIB query: an input in the box with output >= threshold (end "max") or <= threshold ("min")."""
    relation = ">=" if end == "max" else "<="
    lines = [f"; is there an x in the box with y {relation} {_decimal(threshold)} ?"]
    if version == "1.0":
        names, output = [f"X_{i}" for i in range(len(box))], "Y_0"
        lines += [f"(declare-const {name} Real)" for name in [*names, output]]
    else:
        names, output = [f"X[0,{i}]" for i in range(len(box))], "Y[0,0]"
        lines += ["(vnnlib-version <2.0>)", "(declare-network N"]
        lines += [f"  (declare-input X {dtype} [1,{len(box)}])", f"  (declare-output Y {dtype} [1,1])", ")"]
    for name, (low, high) in zip(names, box, strict=True):
        lines += [f"(assert (>= {name} {_decimal(low)}))", f"(assert (<= {name} {_decimal(high)}))"]
    lines.append(f"(assert ({relation} {output} {_decimal(threshold)}))")
    return "\n".join(lines) + "\n"


def _decimal(value: float) -> str:
    """All decimal digits of a float64 number, with a point, without an exponent."""
    text = format(Decimal(value), "f")
    return text if "." in text else text + ".0"


def _fraction(value: fmpq) -> str:
    return decimal_text(value.p) + ("" if value.q == 1 else "/" + decimal_text(value.q))


def _write_tables(place: Path, instances: list[BenchmarkInstance], timeout: float) -> None:
    plain, answers = io.StringIO(), io.StringIO()
    rows, table = csv.writer(plain, lineterminator="\n"), csv.writer(answers, lineterminator="\n")
    table.writerow(["onnx", "vnnlib", "answer", "answer_executed", "threshold", "lower", "upper", "witness"])
    for each in instances:
        rows.writerow([each.onnx, each.vnnlib, f"{timeout:g}"])
        witness = "" if each.witness is None else " ".join(_fraction(c) for c in each.witness)
        low, high = each.enclosure
        table.writerow([each.onnx, each.vnnlib, each.answer, each.executed, _decimal(each.threshold), repr(low),
                        repr(high), witness])  # fmt: skip
    write_atomically(place / "instances.csv", plain.getvalue().encode())
    write_atomically(place / "answers.csv", answers.getvalue().encode())
