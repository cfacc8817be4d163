"""Meshes of a rectangle: cutting keeps the cover, and a cover that has been tampered with is refused."""

import numpy as np
import pytest

from approx.certification.mesh import Mesh, Rectangle, covers, cut, rectangle_mesh
from approx.certification.mesh_forward import mesh_forward
from approx.certification.pieces import Program
from approx.certification.plane_pieces import grow, halve, start_block
from approx.networks import Network, dense_block, layer
from constructions.relu.product import product

SQUARE = Rectangle(-1.0, 1.0, -1.0, 1.0)


def area(mesh):
    x, y, after = mesh.x[mesh.corners], mesh.y[mesh.corners], mesh.following()
    return 0.5 * np.add.reduceat(x * y[after] - y * x[after], mesh.start[:-1])


def random_mesh(lines=12, seed=0):
    rng = np.random.default_rng(seed)
    mesh = rectangle_mesh(SQUARE)
    for a, b, c in rng.normal(size=(lines, 3)):
        mesh, _ = cut(mesh, a * mesh.x + b * mesh.y + 0.5 * c)
    return mesh


@pytest.mark.parametrize("seed", range(5))
def test_cuts_along_lines_tile_the_rectangle(seed):
    mesh = random_mesh(seed=seed)
    assert covers(mesh, SQUARE) and mesh.polygons > 12
    assert (area(mesh) > -1e-15).all() and abs(area(mesh).sum() - 4) < 1e-12


def test_a_grid_has_as_many_cells_as_it_should():
    mesh = rectangle_mesh(Rectangle(0.0, 1.0, 0.0, 1.0))
    for k in range(1, 8):
        mesh, _ = cut(mesh, mesh.x - k / 8)
        mesh, _ = cut(mesh, mesh.y - k / 8)
    assert mesh.polygons == 64 and np.allclose(area(mesh), 1 / 64, rtol=0, atol=0)


def without(mesh, p):
    part, _ = mesh.select(np.delete(np.arange(mesh.polygons), p))
    return part


def test_every_dropped_polygon_is_missed():
    mesh = random_mesh()
    assert not any(covers(without(mesh, p), SQUARE) for p in range(mesh.polygons))


def test_every_doubled_or_reversed_polygon_is_noticed():
    mesh = random_mesh()
    for p in range(0, mesh.polygons, 5):
        cycle = mesh.corners[mesh.start[p] : mesh.start[p + 1]]
        twice = Mesh(
            mesh.x, mesh.y, np.concatenate([mesh.corners, cycle]), np.append(mesh.start, mesh.start[-1] + len(cycle))
        )
        assert not covers(twice, SQUARE)
        corners = mesh.corners.copy()
        corners[mesh.start[p] : mesh.start[p + 1]] = cycle[::-1]
        assert not covers(Mesh(mesh.x, mesh.y, corners, mesh.start), SQUARE)


def test_a_vertex_of_the_boundary_that_is_shifted_by_one_ulp_is_noticed():
    mesh = random_mesh()
    for k in np.flatnonzero(mesh.x == 1.0):
        x = mesh.x.copy()
        x[k] = np.nextafter(1.0, 0.0)
        assert not covers(Mesh(x, mesh.y, mesh.corners, mesh.start), SQUARE)


def test_a_nan_vertex_covers_nothing():
    mesh = random_mesh()
    y = mesh.y.copy()
    y[-1] = np.nan
    assert not covers(Mesh(mesh.x, y, mesh.corners, mesh.start), SQUARE)


def test_shifting_an_inner_vertex_costs_sharpness_and_not_truth():
    program = Program(product(3), hinges=False)
    [block] = grow(program, start_block(SQUARE))
    mesh = block.mesh
    _, exact = mesh_forward(program, mesh)
    assert exact.max() < 1e-15
    inner = np.flatnonzero((np.abs(mesh.x) < 1) & (np.abs(mesh.y) < 1))
    x = mesh.x.copy()
    x[inner[len(inner) // 2]] += 1e-6
    moved = Mesh(x, mesh.y, mesh.corners, mesh.start)
    _, bound = mesh_forward(program, moved)
    assert covers(moved, SQUARE) and bound.max() > 1e-8


def test_wide_layers_whose_units_share_an_error_are_followed_by_layers_that_cross():
    """Layers of 60 units go by matrices. All units of the first are positive: those of the second have one E for all polygons.

    Half of the second cross zero and get an E for each polygon; the third reads both kinds. Oracle: the statement, at random
    convex combinations of the corners.
    """
    rng, count = np.random.default_rng(3), 60
    weights = [rng.normal(size=shape) / 8 for shape in ((count, 2), (count, count), (count, count), (1, count))]
    biases = [np.full(count, 3.0), np.zeros(count), rng.normal(size=count), np.zeros(1)]
    biases[1][::2] = 9 - (weights[1] @ biases[0])[::2]
    biases[1][1::2] = 0.1 - (weights[1] @ biases[0])[1::2]
    kinds = ("relu", "relu", "relu", "identity")
    program = Program(
        Network(
            2,
            [layer(k, b, [dense_block(i, w)]) for i, (k, b, w) in enumerate(zip(kinds, biases, weights, strict=True))],
        ),
        hinges=False,
    )

    def network(x):
        for kind, bias, weight in zip(kinds, biases, weights, strict=True):
            x = weight @ x + bias[:, np.newaxis]
            x = np.maximum(x, 0) if kind == "relu" else x
        return x[0]

    mesh = random_mesh()
    values, bound = mesh_forward(program, mesh)
    missed = np.zeros(mesh.polygons)
    for p in range(mesh.polygons):
        corners = mesh.corners[mesh.start[p] : mesh.start[p + 1]]
        shares = rng.dirichlet(np.full(len(corners), 0.5), 50)
        inside = np.stack([mesh.x[corners], mesh.y[corners]]) @ shares.T
        missed[p] = np.abs(network(inside) - shares @ values[0][corners]).max()
    assert (missed <= bound + 1e-12).all() and (missed > 1e-3).any()
    assert np.isfinite(bound).all() and bound.min() < 0.9 * bound.max()


def test_halves_of_a_block_cover_their_rectangles_and_go_on_alike():
    program = Program(product(3), hinges=False)
    whole = start_block(SQUARE)
    first, second = halve(whole)
    [a], [b], [c] = grow(program, first), grow(program, second), grow(program, whole)
    assert covers(a.mesh, a.rectangle) and covers(b.mesh, b.rectangle)
    assert a.rectangle == Rectangle(-1.0, 0.0, -1.0, 1.0) and b.rectangle == Rectangle(0.0, 1.0, -1.0, 1.0)
    # The cells across the middle are counted twice.
    assert c.mesh.polygons < a.mesh.polygons + b.mesh.polygons < 1.2 * c.mesh.polygons


def test_small_blocks_tile_as_one():
    program = Program(product(4), hinges=False)
    stack, total = [start_block(SQUARE)], 0
    while stack:
        parts = grow(program, stack.pop(), most=40)
        if len(parts) == 1:
            assert covers(parts[0].mesh, parts[0].rectangle)
            total += parts[0].mesh.polygons
        else:
            stack += parts
    [block] = grow(program, start_block(SQUARE))
    assert block.mesh.polygons <= total < 1.2 * block.mesh.polygons
