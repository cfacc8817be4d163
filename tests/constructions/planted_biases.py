"""A fault for networks of strict layers: the bias of the last unit of a layer is another number."""

from flint import fmpq

from approx.networks import Network, layer


def with_a_moved_bias(network, number):
    """The network whose layer `number` has the last bias 5/3."""
    l = network.layers[number]
    pool, ids, floats = [*network.pool, fmpq(5, 3)], l.bias.ids.copy(), l.bias.floats.copy()
    ids[-1], floats[-1] = len(pool) - 1, 5 / 3
    wrong = layer("relu", floats, list(l.blocks), ids)
    return Network(network.inputs, [*network.layers[:number], wrong, *network.layers[number + 1 :]], pool)
