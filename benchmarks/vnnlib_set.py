"""Which queries make a standard set for verifiers? Constructed networks whose ranges are proved, written as ONNX and VNN-LIB.

    python benchmarks/vnnlib_set.py FOLDER

Families: the difference of two sawtooth squares (one input, 2^m equal maxima, 4^(m+1) (f_m - f_(m+2)) has the maximum 1 and the
minimum 0), the same for product networks (two inputs), a local patch interpolant, and a random ReLU network beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from approx import Target
from approx.certification.compare import difference
from approx.interchange.vnnlib_benchmarks import BenchmarkCase, BenchmarkInstance, write_benchmark
from approx.networks import Network, dense_block, layer
from constructions.relu.product import product
from constructions.relu.simplicial import simplicial
from constructions.relu.square import square


def standard_cases() -> list[BenchmarkCase]:
    """The networks with their boxes."""
    cases = []
    for m in (3, 6, 9):
        teeth = 4 ** (m + 1) * difference(square(m), square(m + 2))
        cases.append(BenchmarkCase(f"sawtooth_{m}", teeth, (0, 1)))
    for m in (2, 3):
        bumps = 4 ** (m + 1) * difference(product(m), product(m + 2))
        cases.append(BenchmarkCase(f"product_{m}", bumps, [(0, 1)] * 2))
    f = Target("sin(3*x)*exp(y)", domain=[(0, 1)] * 2)
    cases.append(BenchmarkCase("patch", simplicial(f, 0.1).network, [(0, 1)] * 2))
    rng = np.random.default_rng(0)
    sizes, layers = (3, 16, 16, 1), []
    for k, units in enumerate(sizes[1:]):
        matrix = rng.normal(size=(units, sizes[k])) / np.sqrt(sizes[k])
        name = "relu" if k < len(sizes) - 2 else "identity"
        layers.append(layer(name, rng.normal(size=units), [dense_block(k, matrix)]))
    cases.append(BenchmarkCase("random_3_16_16", Network(3, layers), [(-1, 1)] * 3))
    return cases


def main(folder: str) -> list[BenchmarkInstance]:
    """Write the set and print one line per case."""
    instances = write_benchmark(Path(folder), standard_cases(), rtol=1e-4)
    for name in dict.fromkeys(each.onnx for each in instances):
        mine = [each for each in instances if each.onnx == name]
        executed = sum(each.executed == each.answer for each in mine)
        print(f"{name}: {len(mine)} queries, {executed} of them with the same proved answer when executed")
    return instances


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.vnnlib_set FOLDER")
    main(sys.argv[1])
