"""Does precise evaluation give narrow balls around the true value, decide floor at its jumps, and do floats refuse?"""

import pytest
from flint import arb, fmpq

import approx
from approx.errors import FileFormatError, UnsupportedError
from approx.evaluation import evaluate_precisely
from approx.networks import Builder
from approx.numbers import arccos, pi, sin, to_ball, working_precision

A = 3**5000


def lookup():
    b = Builder(1)
    theta = arccos(fmpq(1, 512))
    inner = b.unit(theta * (1 + b.unit(3 * b.input(), "floor")) + pi() / 2, "sin")
    return b.build([fmpq(1, 2) * b.unit(4 * A * pi() * inner, "sin")])


def test_values_agree_with_direct_arithmetic_also_at_jumps():
    net = lookup()
    points = [fmpq(0), fmpq(1, 3), fmpq(2, 3), fmpq(1), fmpq(1, 7), fmpq(999, 1000)]
    for point, value in zip(points, evaluate_precisely(net, points, bits=80), strict=True):
        with working_precision(9000):
            k = 1 + int((3 * point).p // (3 * point).q)
            true = (4 * A * arb.pi() * (k * arb(fmpq(1, 512)).acos()).cos()).sin() / 2
            assert value.rad() <= arb(2) ** -80 and value.overlaps(true)


def test_arcsine_of_a_sine_is_decided_where_the_sine_is_one():
    b = Builder(1)
    net = b.build([b.unit(b.unit(pi() * b.input(), "sin"), "arcsin")])
    (value,) = evaluate_precisely(net, [fmpq(1, 2)], bits=60)
    with working_precision(100):
        assert value.overlaps(arb.pi() / 2) and value.rad() <= arb(2) ** -60
    unsure = Builder(1)
    bad = unsure.build([unsure.unit(fmpq(11, 10) * unsure.unit(pi() * unsure.input(), "sin"), "arcsin")])
    with pytest.raises(UnsupportedError):
        evaluate_precisely(bad, [fmpq(1, 2)])


def test_the_sine_of_huge_inexact_arguments_is_reduced():
    with working_precision(400_000):
        x = arb(3) ** 190_000  # beyond 2^65536, and exact
        wide = x + arb(0, 2.0**-40)
        assert sin(wide).rad() < 2.0**-38 and sin(wide).overlaps(sin(x))


def test_networks_whose_weights_do_not_fit_are_refused_with_the_right_call(tmp_path):
    net = lookup()
    for use in (lambda: net(0.5), lambda: net.to_onnx(tmp_path / "a.onnx")):
        with pytest.raises(UnsupportedError, match="evaluate_precisely"):
            use()
    assert not list(tmp_path.iterdir())


def test_networks_with_closed_forms_survive_files_and_other_versions_are_refused(tmp_path):
    net = lookup()
    net.save(tmp_path / "n.approx")
    again = approx.load(tmp_path / "n.approx")
    assert again == net and again.size.bits == net.size.bits
    from approx.networks.files import network_from_arrays, network_to_arrays

    entry, arrays = network_to_arrays(net)
    with pytest.raises(FileFormatError, match="version"):
        network_from_arrays(entry | {"closed_forms": 2}, arrays)
    with pytest.raises(FileFormatError):
        network_from_arrays({k: v for k, v in entry.items() if k != "closed_forms"}, arrays)


def test_a_changed_closed_form_is_another_network():
    b = Builder(1)
    nets = [b.build([b.unit(c * b.input(), "sin")]) for c in (pi(), pi() + fmpq(1, 10**40))]
    assert nets[0] != nets[1]
    with working_precision(300):
        assert to_ball(pi() + fmpq(1, 10**40)) > to_ball(pi())


def test_floor_networks_with_irrational_powers_are_followed_in_balls() -> None:
    b = Builder(1)
    x = b.input()
    net = b.build([b.unit(x / 2, "exp2") + b.unit(3 * x, "floor")])
    [whole, root] = evaluate_precisely(net, [2, 1], bits=90)
    with working_precision(200):
        assert whole.overlaps(arb(8)) and root.overlaps(arb(2).sqrt() + 3) and root.rad() <= arb(2) ** -90
