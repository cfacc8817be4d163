"""Do the statements of the 2021 paper hold here, and would false ones fail?"""

import pytest
from flint import fmpq

from approx.evaluation import evaluate_precisely
from constructions.superexpressive import certify_weight, select_weight
from proofs_checks import checks
from proofs_checks.p21_superexpressive import pfaffian_vc_bound, sine_labels


@pytest.mark.parametrize("check", checks("P21"), ids=lambda c: c.function.__name__)
def test_statement_holds(check):
    result = check.run()
    assert result.ok, result
    assert result.paper == "P21" and result.kind in ("proved", "certified", "observed")


def test_the_two_sine_units_label_literally():
    labels = [1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1]
    network = sine_labels(len(labels), labels)
    values = evaluate_precisely(network, list(range(1, len(labels) + 1)))
    assert [v > 0 for v in values] == [bool(label) for label in labels] and network.size.units == 2


def test_planted_false_statements_fail():
    # Fewer bits than the bound cannot hold all tables: some of the 64 tables of 3 values of 2 bits need more than 5 bits.
    assert (
        max(
            select_weight([fmpq(a, 8), fmpq(b, 8), fmpq(c, 8)], 2).length
            for a in (1, 7)
            for b in (1, 5)
            for c in (1, 7)
        )
        > 5
    )
    wanted = [fmpq(1, 4), fmpq(3, 4)]
    assert not certify_weight(select_weight(wanted[::-1], 2), wanted).within
    assert pfaffian_vc_bound(6, 3) < pfaffian_vc_bound(60, 26)
