"""Does the grammar read what it should, exactly, refuse the rest with its place, and write what it reads?"""

from __future__ import annotations

import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from target_cases import ONE_VARIABLE, SEVERAL_VARIABLES

from approx.errors import ExpressionError
from approx.targets import parse, tree
from approx.targets.printing import to_latex, to_text
from approx.targets.tree import Constant, Function, Maximum, Number, Power, Quotient, Sum, Variable

X, Y = Variable(0), Variable(1)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", fmpq(1, 10)), ("1e-3", fmpq(1, 1000)), (".5", fmpq(1, 2)), ("5.", fmpq(5)), ("2.50E+1", fmpq(25)),
     ("1/3", fmpq(1, 3)), ("2**10", fmpq(1024)), ("2^-3", fmpq(1, 8)), ("-2**2", fmpq(-4)), ("(-2)**2", fmpq(4)),
     ("2**3**2", fmpq(512)), ("1-2-3", fmpq(-4)), ("8/4/2", fmpq(1)), ("8/4*2", fmpq(4)), ("--1", fmpq(1)),
     ("0.1+0.2", fmpq(3, 10)), ("abs(-3/2)", fmpq(3, 2)), ("sqrt(9/4)", fmpq(3, 2)), ("max(1, 2, 3)", fmpq(3)),
     ("min(1, -2)", fmpq(-2)), ("pow(2, 5)", fmpq(32)), ("relu(-1)", fmpq(0)), ("1e300*1e-300", fmpq(1))],
)  # fmt: skip
def test_numbers_are_read_and_folded_exactly(text, value):
    assert parse(text) == Number(value)


@pytest.mark.parametrize(
    ("text", "node"),
    [("x", X), ("x1", X), ("x2", Y), ("x64", Variable(63)), ("pi", Constant("pi")), ("e", Constant("e")),
     ("e**x", Function("exp", X)), ("ln(x)", Function("log", X)), ("asin(x)", Function("arcsin", X)),
     ("atan(x)", Function("arctan", X)), ("Abs(x)", Function("abs", X)), ("x**0.5", Function("sqrt", X)),
     ("x^2", Power(X, fmpq(2))), ("x**(1/3)", Power(X, fmpq(1, 3))), ("x/y", Quotient(X, Y)), ("x**0", Number(fmpq(1))),
     ("x-0", X), ("x + 1/2 + 1/2", Sum((X, Number(fmpq(1))))), ("Max(x,y)", Maximum(X, Y)), ("(((x)))", X)],
)  # fmt: skip
def test_names_aliases_and_shapes(text, node):
    assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [("1+foo(x)", 2, "unknown function 'foo'"), ("x+t", 2, "variables are x, y, z"), ("u", 0, "unknown name"),
     ("2x", 1, "write * for a product"), ("x y", 2, "operator"), ("(x", 2, "expected ')'"), ("x)", 1, "unexpected"),
     ("sin x", 0, "parentheses"), ("sin()", 4, "expected a number"), ("sin(x,x)", 0, "one argument"),
     ("max(x)", 0, "two or more"), ("x**", 3, "too early"), ("*x", 0, "expected a number"), ("x//y", 2, "got '/'"),
     ("1/0", 1, "division by zero"), ("x/(1-1)", 1, "division by zero"), ("0**-1", 1, "zero"), ("(-1)**0.3", 4, "negative"),
     ("floor(x)", 0, "jumps"), ("x$", 1, "unexpected character '$'"), ("π*x", 0, "write 'pi'"), ("x²", 1, "**2"),
     ("x = 1", 2, "unexpected character '='"), ("x(2)", 1, "operator after"), ("x65", 0, "unknown name"), ("x0", 0, "unknown")],
)  # fmt: skip
def test_errors_name_the_reason_and_the_place(text, place, part):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position == place and part in str(caught.value)
    assert caught.value.pointer().splitlines()[1] == " " * place + "^"


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty_expressions(text):
    with pytest.raises(ExpressionError, match="empty"):
        parse(text)


@pytest.mark.parametrize("given_value", [None, 3, b"x", ["x"]])
def test_only_text_is_parsed(given_value):
    with pytest.raises(ExpressionError, match="text"):
        parse(given_value)


def test_undefined_parts_are_not_folded_away():
    assert to_text(parse("0*log(x)")) == "0*log(x)"
    assert parse("0*x") == Number(fmpq(0))


@pytest.mark.parametrize("text", [row[0] for row in ONE_VARIABLE] + [row[0] for row in SEVERAL_VARIABLES])
def test_round_trip_of_the_cases(text):
    node = parse(text)
    for dimension in (1, 3, 9):
        assert parse(to_text(node, dimension)) == node
    assert to_latex(node)


small = st.fractions(min_value=-20, max_value=20, max_denominator=12)
leaves = st.one_of(
    small.map(lambda v: Number(fmpq(v.numerator, v.denominator))),
    st.sampled_from([X, Y, Variable(2), Constant("pi"), Constant("e")]),
)


def _build(make):
    def attempt(*parts):
        try:
            return make(*parts)
        except ExpressionError:
            return parts[0]

    return attempt


def _grow(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: tree.add(p)),
        st.lists(inner, min_size=2, max_size=4).map(tree.multiply),
        two.map(lambda p: _build(tree.divide)(*p)),
        two.map(lambda p: _build(tree.power)(*p)),
        two.map(lambda p: tree.subtract(*p)),
        two.map(lambda p: tree.maximum(*p)),
        two.map(lambda p: tree.minimum(*p)),
        st.tuples(st.sampled_from(tree.FUNCTIONS), inner).map(lambda p: tree.function(*p)),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.recursive(leaves, _grow, max_leaves=12))
def test_every_tree_reads_back_as_itself(node):
    text = to_text(node)
    assert parse(text) == node, text
    assert to_text(parse(text)) == text
    assert to_latex(node)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="xyze12.3+-*/^(), sincoexplgt", max_size=40))
def test_any_text_is_read_or_refused_with_a_typed_error(text):
    try:
        node = parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        return
    assert parse(to_text(node)) == node
