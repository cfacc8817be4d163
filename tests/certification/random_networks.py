"""Small random piecewise linear networks of any shape, for tests of certificates."""

import math

import numpy as np

from approx.networks import Network, dense_block, layer

KINDS = (("relu",), ("relu", "abs"), ("abs",))


def network(rng, inputs, widths, *, skips=False, kinds=("relu",), grid=None, scale=1.0):
    """A random Network with hidden layers of these widths; grid: weights are multiples of 1/grid."""
    sizes = [inputs, *widths, 1]
    layers = []
    for k in range(1, len(sizes)):
        weights = rng.normal(size=(sizes[k], sizes[k - 1])) * math.sqrt(2 / sizes[k - 1]) * scale
        bias = 0.3 * rng.normal(size=sizes[k])
        if grid:
            weights, bias = np.round(weights * grid) / grid, np.round(bias * grid) / grid
        blocks = [dense_block(k - 1, weights)]
        if skips and k > 1:
            blocks.append(dense_block(0, rng.normal(size=(sizes[k], inputs))))
        name = "identity" if k == len(sizes) - 1 else kinds[k % len(kinds)]
        layers.append(layer(name, bias, blocks))
    return Network(inputs, layers)


def any_network(rng, inputs, most_units=8, most_layers=3):
    """A random Network of random shape."""
    widths = rng.integers(2, most_units + 1, rng.integers(1, most_layers + 1)).tolist()
    return network(
        rng,
        inputs,
        widths,
        skips=bool(rng.integers(2)),
        kinds=KINDS[rng.integers(3)],
        grid=[None, 4, 1][rng.integers(3)],
    )
