"""How many weights does every method need, certified, for ten functions of one variable at five accuracies?

Each entry is the exact count of a network whose certificate has upper <= eps; "-" where a method does not apply or does not
reach eps, "~n" where it would need more than 200,000 weights and was not built, "time" where it was stopped after SECONDS.
Methods for rough functions are run at 1e-2 only: they are far behind on these.
APPROX_FUNCTIONS (numbers from 0), APPROX_EPS and APPROX_METHODS (comma separated) restrict the run. Every cell that was run
is kept in weights.json with its commit, and the tables of docs/results.md and README.md are written from that file alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import constructions
from approx import Target
from approx.errors import ApproxError
from constructions.relu._estimates import piecewise_linear_weights

FUNCTIONS: list[tuple[str, tuple[int, int]]] = [
    ("sin(2*pi*x)", (0, 1)),
    ("exp(x)", (0, 1)),
    ("1/(1+25*x**2)", (-1, 1)),
    ("abs(x-1/3)", (0, 1)),
    ("sqrt(x)", (0, 1)),
    ("sin(7*x)*exp(-x)/(1+x**2)", (0, 1)),
    ("x*log(x+1/100)", (0, 1)),
    ("erf(4*x-2)", (0, 1)),
    ("max(0, x-1/pi)", (0, 1)),
    ("cos(40*x**2)", (0, 1)),
]
ACCURACIES = [1e-2, 1e-4, 1e-6, 1e-8, 1e-10]
LARGEST = 200_000
SECONDS = 120
SINES = ("deep-fourier",)  # of other activations; not among the winners
ROUGH = ("cached-patches", "cached-narrow", "deep-two-scale", "narrow")
HERE = Path(__file__).parent
STORE = HERE / "weights.json"
PAGES = [HERE.parent / "docs" / "results.md", HERE.parent / "README.md"]

Cell = dict[str, Any]


def methods() -> list[str]:
    """The methods of the catalogue that make ReLU networks of one variable, and those of SINES."""
    return [r.name for r in constructions.catalogue() if 1 in r.dimensions and (r.activations == ("relu",) or r.name in SINES)]


def table() -> list[tuple[str, ...]]:
    """Runs the chosen cells, keeps them, rewrites the pages; one row per cell."""
    functions = [FUNCTIONS[int(k)] for k in _chosen("APPROX_FUNCTIONS") or range(len(FUNCTIONS))]
    accuracies = [float(e) for e in _chosen("APPROX_EPS") or ACCURACIES]
    names = _chosen("APPROX_METHODS") or methods()
    commit = _commit()
    result = [("f", "eps", "method", "weights", "certified", "seconds", "processor seconds")]
    for text, domain in functions:
        for eps in accuracies:
            for name in names:
                if name in ROUGH and eps < 1e-2:
                    continue
                cell = {"f": text, "eps": eps, "method": name, **_run(Target(text, domain), eps, name), "commit": commit}
                _keep(cell)
                result.append((text, f"{eps:g}", name, *(str(cell.get(k, "")) for k in ("weights", "upper", "wall", "cpu"))))
                print(" | ".join(result[-1]), file=sys.stderr, flush=True)
    for page in PAGES:
        _rewrite(page)
    return result


def _chosen(variable: str) -> list[str]:
    return [part for part in os.environ.get(variable, "").split(",") if part]


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../approx", "../constructions")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


class _TooLong(BaseException):
    """Not an Exception: nothing on the way may take it for a failed attempt."""


def _run(f: Target, eps: float, name: str) -> Cell:
    if name in ("piecewise-linear", "simplicial"):
        guess = piecewise_linear_weights(f, eps)
        if guess > LARGEST:
            return {"weights": f"~{guess}"}

    def stop(*_: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = constructions.build(f, eps, method=name)
        assert found.certificate is not None and found.certificate.upper <= eps
    except ApproxError:
        return {"weights": "-"}
    except _TooLong:
        return {"weights": "time"}
    finally:
        signal.alarm(0)
    size = found.network.size.weights
    taken = {"wall": round(time.perf_counter() - wall, 1), "cpu": round(time.process_time() - cpu, 1)}
    return {"weights": size, "upper": found.certificate.upper, **taken}


def _stored() -> list[Cell]:
    return list(json.loads(STORE.read_text(encoding="utf-8"))) if STORE.exists() else []


def _keep(cell: Cell) -> None:
    """The store with this cell in place of the earlier one; other processes may be at work on other cells."""
    others = [c for c in _stored() if any(c[k] != cell[k] for k in ("f", "eps", "method"))]
    order = [text for text, _ in FUNCTIONS]
    cells = sorted([*others, cell], key=lambda c: (order.index(c["f"]), -c["eps"], c["method"]))
    scratch = STORE.with_suffix(f".{os.getpid()}")
    scratch.write_text("[\n" + ",\n".join(json.dumps(c) for c in cells) + "\n]\n", encoding="utf-8")
    scratch.replace(STORE)


def winner(cells: list[Cell]) -> Cell | None:
    """The cell of a ReLU network with the fewest weights, the smaller error where these are equal."""
    able = [c for c in cells if isinstance(c["weights"], int) and c["method"] not in SINES]
    return min(able, key=lambda c: (c["weights"], c["upper"]), default=None)


def _rewrite(page: Path) -> None:
    lines = _short_table() if page.name == "README.md" else _long_table()
    text = page.read_text(encoding="utf-8")
    block = "<!-- weights: begin (written by benchmarks/weights.py) -->\n" + "\n".join(lines) + "\n<!-- weights: end -->"
    new, count = re.subn(r"<!-- weights: begin.*?weights: end -->", lambda _: block, text, flags=re.DOTALL)
    assert count == 1, page
    page.write_text(new, encoding="utf-8")


def _rows() -> list[tuple[str, float, list[Cell]]]:
    cells = _stored()
    rows = [(t, e, [c for c in cells if (c["f"], c["eps"]) == (t, e)]) for t, _ in FUNCTIONS for e in ACCURACIES]
    return [row for row in rows if row[2]]


def _short_table() -> list[str]:
    lines = ["| f | " + " | ".join(f"{e:g}" for e in ACCURACIES) + " |", "|---" * (1 + len(ACCURACIES)) + "|"]
    best = {(text, eps): winner(cells) for text, eps, cells in _rows()}
    for text, _ in FUNCTIONS:
        found = [best.get((text, e)) for e in ACCURACIES]
        lines.append(f"| `{text}` | " + " | ".join(f"{c['weights']} ({c['method']})" if c else "" for c in found) + " |")
    return lines


def _long_table() -> list[str]:
    names = methods()
    head = ["f", "eps", *names, "winner", "certified error", "seconds", "commit"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for text, eps, cells in _rows():
        by = {c["method"]: c for c in cells}
        best = winner(cells)
        entries = [str(by[n]["weights"]) if n in by else "" for n in names]
        last = [""] * 4
        if best:
            last = [f"**{best['weights']}** {best['method']}", f"{best['upper']:.6g}", f"{best['wall']:.1f}", best["commit"]]
        lines.append(f"| `{text}` | {eps:g} | " + " | ".join(entries + last) + " |")
    return lines
