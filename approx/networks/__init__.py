"""What a network is, how it is written down, combined, counted and kept in files.

- `Network`: immutable layered graph with skips and exact weights; `.size`, `.tags`, `.flat`, `.describe()`.
- `Builder`, `Form`: write a network as linear forms over units (small and irregular networks).
- `block`, `dense_block`, `layer`: assemble a network from arrays (large and regular networks).
- calculus: `compose` (@), `add` (+), `scale` (*), `stack`, `pad`, `affine`, `identity`, `restrict`.
- `convert`, `PiecewiseLinear`: the same function by another piecewise-linear activation.
- `save_network`, `load_network`: exact, versioned files without code.
"""

from approx.networks.builder import Builder, Form, linear_combination
from approx.networks.calculus import (
    add,
    affine,
    comp,
    compose,
    elongate,
    identity,
    pad,
    par,
    restrict,
    scale,
    stack,
    stk,
)
from approx.networks.conversion import conversion_bound, convert
from approx.networks.files import load_network, save_network
from approx.networks.layers import ACTIVATIONS, PIECEWISE_LINEAR, Block, Layer, Values, block, dense_block, layer
from approx.networks.network import Flat, Network, Size
from approx.networks.piecewise import PiecewiseLinear

__all__ = [
    "ACTIVATIONS",
    "PIECEWISE_LINEAR",
    "Block",
    "Builder",
    "Flat",
    "Form",
    "Layer",
    "Network",
    "PiecewiseLinear",
    "Size",
    "Values",
    "add",
    "affine",
    "block",
    "comp",
    "compose",
    "conversion_bound",
    "convert",
    "dense_block",
    "elongate",
    "identity",
    "layer",
    "linear_combination",
    "load_network",
    "pad",
    "par",
    "restrict",
    "save_network",
    "scale",
    "stack",
    "stk",
]
