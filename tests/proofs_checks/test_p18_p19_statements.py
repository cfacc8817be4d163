"""Do all statements of the 2018 and 2019 papers hold here, and do wrong networks and wrong bounds fail them?"""

import dataclasses

import pytest

from proofs_checks import checks
from proofs_checks import p18_very_deep as p18
from proofs_checks import p19_phase_diagram as p19


@pytest.mark.parametrize("check", [*checks("P18"), *checks("P19")], ids=lambda c: c.function.__name__)
def test_statement_holds(check):
    result = check.run()
    assert result.ok, result
    assert result.paper in ("P18", "P19") and result.kind in ("proved", "certified", "observed")


def test_planted_faults_fail(monkeypatch):
    # Codes that are read one step late: the corrections are no longer those of the certificate.
    honest = p18.deep_two_scale

    def coarse(target, eps, **options):
        a = honest(target, eps, **options)
        return dataclasses.replace(a, network=a.network + a.network)

    monkeypatch.setattr(p18, "deep_two_scale", coarse)
    assert not p18.bit_extraction().ok
    monkeypatch.undo()
    # A bound of the wrong order, and a stencil of the wrong curvature.
    monkeypatch.setattr(p18, "any_selection", lambda smoothness, weights, layers=None: 1 / weights)
    assert not p18.any_bound().ok and not p18.depth_bound().ok
    monkeypatch.undo()
    stencil = p19.square_stencil
    monkeypatch.setattr(p19, "square_stencil", lambda *given: dataclasses.replace(stencil(*given), linear=1))
    assert not p19.exact_squares().ok
