"""A fault for two-scale plans with coded second differences: one level more where the network is too large already."""

import dataclasses

import numpy as np

from constructions.relu._hoelder_plan import cell_digits


def with_a_larger_error(plan, target):
    """The plan with one unit more at an inner node, which makes an error of a quantum, and which three digits can say."""
    [(low, high)] = target.domain.floats()
    errors = plan.fine_values() - target(np.linspace(low, high, len(plan.levels)))
    for k in np.flatnonzero(errors >= 0):
        levels = plan.levels.copy()
        levels[k] += 1
        bent = dataclasses.replace(plan, levels=levels)
        if k % plan.steps and np.isin(cell_digits(bent), range(8)).all():
            return bent
    raise AssertionError("no such node")
