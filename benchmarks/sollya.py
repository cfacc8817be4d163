"""How does certification compare with Sollya's supnorm, piece by piece, at equal relative tolerance? (needs `sollya`)

The network is an interpolant with 2,000 pieces. Sollya takes one polynomial at a time, so supnorm(chord, f, piece) is run on
a sample of the pieces; both enclose the supremum over these pieces, and the enclosures must overlap. Both times are those of
the processor, the best of several runs, Sollya's start left out, so that other work on the machine favours nobody.
Debian: apt-get install sollya.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import time

import numpy as np
from certification import interpolation

import approx
from approx.networks import Network

_PIECES, _SAMPLE = 2000, 400


def table() -> list[tuple[str, ...]]:
    """Rows: target, tolerance, our and Sollya's microseconds per piece, ratio, both enclosures, whether they overlap."""
    head = ("target", "rtol", "us/piece", "sollya us/piece", "ratio", "ours", "sollya", "overlap")
    program = shutil.which("sollya")
    if program is None:
        return [head, ("sollya is not installed (Debian: apt-get install sollya): nothing was compared",)]
    rows: list[tuple[str, ...]] = [head]
    for text in ("exp(x)", "sin(20*x)"):
        for bits in (7, 20):
            rows.append(_row(program, text, bits))
    return rows


def _row(program: str, text: str, bits: int) -> tuple[str, ...]:
    net = interpolation(text, _PIECES)
    target = approx.Target(text, domain=(0, 1))
    ours = min(_timed(net, target, 2.0**-bits) for _ in range(20))
    knots = np.linspace(0, 1, 2**11 + 1)[: _SAMPLE + 1]  # dyadic: the network's own knots are among the multiples of 2^-11
    part = approx.certify(net, target, domain=(0, float(knots[-1])), rtol=2.0**-bits)
    lower, upper, theirs = _sollya(program, text, net, knots, bits)
    overlap = max(part.lower, lower) <= min(part.upper, upper)
    each, other = ours / _PIECES * 1e6, theirs / _SAMPLE * 1e6
    enclosure = f"[{part.lower:.7g}, {part.upper:.7g}]", f"[{lower:.7g}, {upper:.7g}]"
    return text, f"2^-{bits}", f"{each:.2f}", f"{other:.0f}", f"{other / each:.0f}", *enclosure, "yes" if overlap else "NO"


def _timed(net: Network, target: approx.Target, rtol: float) -> float:
    fresh = Network(net.inputs, net.layers, net.pool)
    start = time.process_time()
    approx.certify(fresh, target, rtol=rtol)
    return time.process_time() - start


def _sollya(program: str, text: str, net: Network, knots: np.ndarray, bits: int) -> tuple[float, float, float]:
    """(lower, upper, seconds) of supnorm over the sample; every sample interval lies within one piece or is cut."""
    points = np.unique(np.concatenate([knots, _breakpoints(net, knots[-1])]))
    values = net(points)
    slopes = np.diff(values) / np.diff(points)
    lines = ["prec = 165!;", "display = decimal!;", "lo = 0; up = 0;"]
    calls = []
    for a, b, v, s in zip(points[:-1].tolist(), points[1:].tolist(), values.tolist(), slopes.tolist(), strict=False):
        calls.append(f"r = supnorm({v!r}+({s!r})*(x-{a!r}),{text},[{a!r};{b!r}],absolute,2^(-{bits}));")
        calls.append("lo = max(lo,inf(r)); up = max(up,sup(r));")
    start = min(_run(program, "quit;\n")[0] for _ in range(3))
    script = "\n".join([*lines, *calls, "print(lo); print(up);", "quit;"]) + "\n"
    seconds, output = min(_run(program, script) for _ in range(3))
    lower, upper = map(float, re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", output)[-2:])
    return lower, upper, (seconds - start) * _SAMPLE / (len(points) - 1)


def _run(program: str, script: str) -> tuple[float, str]:
    """(processor seconds, output) of a script."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([program], input=script, capture_output=True, text=True, timeout=600, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def _breakpoints(net: Network, last: float) -> np.ndarray:
    from approx.certification import decompose

    nodes = decompose(net, 0.0, 1.0)
    return nodes[nodes <= last]
