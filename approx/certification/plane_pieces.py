"""Where the pieces of a ReLU network of two variables are: polygons on which the network is affine, up to rounding.

The polygons are a guess as good as float64: nothing is proved here. `mesh_forward` bounds how far the network may be from
affine on whatever polygons it is given, and `mesh.covers` proves that none is missing.

Method: follow all units at the points of a mesh, layer by layer; cut the mesh along the zeros of each unit whose sign
changes. A mesh that outgrows the cache is cut at the middle of its rectangle, and the halves go on from the same state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approx.certification.mesh import Mesh, Rectangle, cut, rectangle_mesh
from approx.certification.pieces import Program

#: Polygons per block; about a level-2 cache for the few live units of a narrow network.
BLOCK = 6000
#: A value this small relative to the terms of its sum is taken as zero: rounding noise must not cut slivers.
_NOISE = 2.0**-48


@dataclass
class Block:
    """A mesh of a rectangle, cut along the zeros of the units of the layers before `layer`."""

    rectangle: Rectangle
    mesh: Mesh
    layer: int
    values: dict[int, np.ndarray]

    def finished(self, program: Program) -> bool:
        """Whether the network is affine, up to rounding, on every polygon."""
        return self.layer >= len(program.activations)


def start_block(rectangle: Rectangle) -> Block:
    """The Block of one polygon at the first layer."""
    mesh = rectangle_mesh(rectangle)
    return Block(rectangle, mesh, 1, {0: np.stack([mesh.x, mesh.y])})


def grow(program: Program, block: Block, most: int = BLOCK) -> list[Block]:
    """[the finished block], or both halves of it where it outgrew `most` polygons on the way."""
    while not block.finished(program):
        block = advance(program, block)
        if block.mesh.polygons > most and not block.finished(program):
            halves = halve(block)
            if halves:
                return list(halves)
    return [block]


def advance(program: Program, block: Block) -> Block:
    """The block after one more hidden layer."""
    layer = block.layer
    with np.errstate(all="ignore"):
        z, noise = _affine(program, layer, block.values)
        mesh = block.mesh
        activation = program.activations[layer - 1]
        if activation != "identity":
            mesh = cut_by_units(mesh, z, noise)
            if len(mesh.x) > z.shape[1]:
                fresh = _values(program, layer, mesh, z.shape[1])
                block = Block(block.rectangle, mesh, layer, _joined(block.values, fresh))
                z = np.concatenate([z, _affine(program, layer, fresh)[0]], axis=1)
            z = np.abs(z) if activation == "abs" else np.maximum(z, 0.0)
        values = {s: v for s, v in block.values.items() if s == 0 or program.last_use[s] > layer}
        values[layer] = z
    return Block(block.rectangle, mesh, layer + 1, values)


def cut_by_units(mesh: Mesh, z: np.ndarray, noise: np.ndarray) -> Mesh:
    """The mesh cut along the zeros of all rows of z (units, points); |z| <= noise (units) counts as zero."""
    units = np.flatnonzero((z.max(axis=1) > noise) & (z.min(axis=1) < -noise))
    count = z.shape[1]
    noise = noise[units]
    room = np.zeros((len(units), 2 * count + 64))
    room[:, :count] = np.where(np.abs(z[units]) <= noise[:, np.newaxis], 0.0, z[units])
    for i in range(len(units)):
        mesh, done = cut(mesh, room[i, :count])
        if done is None or not len(done.first):
            continue
        grown = len(mesh.x)
        if grown > room.shape[1]:
            room = np.concatenate([room, np.zeros((len(units), grown + room.shape[1]))], axis=1)
        rest = room[i + 1 :]
        left, right = rest[:, done.first], rest[:, done.second]
        new = left + done.fraction * (right - left)
        rest[:, count:grown] = np.where(np.abs(new) <= noise[i + 1 :, np.newaxis], 0.0, new)
        count = grown
    return mesh


def halve(block: Block) -> tuple[Block, Block] | None:
    """Both halves of a block, cut across its longer side; None where rounding does not let them apart."""
    r = block.rectangle
    wide = r.right - r.left >= r.top - r.bottom
    middle = 0.5 * (r.left + r.right) if wide else 0.5 * (r.bottom + r.top)
    place = block.mesh.x if wide else block.mesh.y
    mesh, done = cut(block.mesh, place - middle)
    if done is None:
        return None
    coordinates = mesh.x if wide else mesh.y
    coordinates[len(place) :] = middle
    high, low = mesh.most(coordinates), mesh.least(coordinates)
    if ((high > middle) & (low < middle)).any():
        return None
    values = {
        s: np.concatenate([v, v[:, done.first] + done.fraction * (v[:, done.second] - v[:, done.first])], axis=1)
        for s, v in block.values.items()
    }
    values[0] = np.stack([mesh.x, mesh.y])
    rectangles = (
        (Rectangle(r.left, middle, r.bottom, r.top), Rectangle(middle, r.right, r.bottom, r.top))
        if wide
        else (Rectangle(r.left, r.right, r.bottom, middle), Rectangle(r.left, r.right, middle, r.top))
    )
    halves = []
    for rectangle, chosen in zip(rectangles, (high <= middle, high > middle), strict=True):
        part, kept = mesh.select(np.flatnonzero(chosen))
        halves.append(Block(rectangle, part, block.layer, {s: v[:, kept] for s, v in values.items()}))
    return halves[0], halves[1]


def _affine(program: Program, layer: int, values: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(z of shape (units, points), the size of its rounding noise per unit)."""
    bias = program.network.layers[layer - 1].bias.floats
    z = np.repeat(bias[:, np.newaxis], values[0].shape[1], axis=1)
    size = np.abs(bias)
    for source, matrix in program.matrices[layer - 1]:
        z += matrix @ values[source]
        size = size + abs(matrix) @ np.abs(values[source]).max(axis=1)
    return z, _NOISE * size


def _values(program: Program, layer: int, mesh: Mesh, known: int) -> dict[int, np.ndarray]:
    """The values that layers from `layer` on may read, at the points from number `known` on."""
    values = {0: np.stack([mesh.x[known:], mesh.y[known:]])}
    for k in range(1, layer):
        z, _ = _affine(program, k, values)
        if program.activations[k - 1] != "identity":
            z = np.abs(z) if program.activations[k - 1] == "abs" else np.maximum(z, 0.0)
        values[k] = z
        for source in [s for s in values if s and program.last_use[s] <= k and s != k]:
            del values[source]
    return values


def _joined(first: dict[int, np.ndarray], second: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    return {s: np.concatenate([v, second[s]], axis=1) for s, v in first.items()}
