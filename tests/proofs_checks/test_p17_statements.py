"""Do all statements of the 2017 paper hold here, and does a network that shares nothing fail the rate?"""

import dataclasses

import pytest

from proofs_checks import checks


@pytest.mark.parametrize("check", checks("P17"), ids=lambda c: c.function.__name__)
def test_statement_holds(check):
    result = check.run()
    assert result.ok, result
    assert result.paper == "P17" and result.kind in ("proved", "certified", "observed")


def test_a_rate_that_is_not_there_fails(monkeypatch):
    from proofs_checks import p17_weight_selection as module

    honest = module.cached_narrow

    def plain(target, eps):
        a = honest(target, eps)
        return dataclasses.replace(a, bound=3 / a.network.size.weights)

    monkeypatch.setattr(module, "cached_narrow", plain)
    assert not module.discontinuous_rate().ok
