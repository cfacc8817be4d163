"""Do all statements of the 2016 paper hold here, and does a false one fail?"""

import pytest

from approx.errors import InputError
from approx.networks import conversion
from proofs_checks import Result, checks, report, run, statement
from proofs_checks.p16_error_bounds import conversion_from_relu
from proofs_checks.statements import unregister


@pytest.mark.parametrize("check", checks("P16"), ids=lambda c: c.function.__name__)
def test_statement_holds(check):
    result = check.run()
    assert result.ok, result
    assert result.paper == "P16" and result.kind in ("proved", "certified", "observed")


def test_report_and_failures_show():
    @statement("P00", "one is two")
    def wrong() -> Result:
        return Result(1 == 2, "proved", "it is not", {"one": 1})

    try:
        results = run("P00")
        assert not results[0].ok
        text = report(results)
        assert "FAILS" in text and "1 fail" in text
        assert results[0].to_dict()["numbers"] == {"one": "1"}
    finally:
        unregister("P00")
    with pytest.raises(InputError):
        run("P00")
    with pytest.raises(InputError):
        Result(True, "believed", "")


def test_planted_wrong_reach_is_caught(monkeypatch):
    # A reach that is too small leaves the region where the formula of Proposition 1 holds.
    monkeypatch.setattr(conversion, "_power_of_two", lambda value: value / 4)
    assert not conversion_from_relu().ok
