"""How is a network read as ReLUs and whole sawtooth squares, so that enclosures do not pay for every tooth of them?

Reading (exact, by the graph alone, no label is trusted): every unit is written in the basis 1, x_1..x_d, the ReLUs that
were kept, and squares F_m(t). With z = |t| or z = t, a ReLU of z - 1/2 and ReLUs of g(z) - 1/2, g(z) = 2z - 4 relu(z - 1/2),
g(g(z)) - 1/2, ... are the teeth of F_m(z) = z - sum_{s=1..m} 4^-s g_s(z), the interpolant of z^2 at k / 2^m; where a row reads
c F_m(z), its teeth are replaced by one node. F_m interpolates z^2 at the points k/2^m in [0, 1], so it is convex there.

Promises. ReLUs of some g_s(z) itself are left out, which changes them by at most 2^s dist(z, [0, 1]). Every unit carries, for
each such z, a bound D of what this may have changed in it per dist(z, [0, 1]): affine maps add |w| D, ReLUs are 1-Lipschitz.
So the network is within sum_z D_z dist(z, [0, 1]) of what the nodes say, and that is 0 where every z is in [0, 1].
Outside of [0, 1] the sum of teeth that a node stands for is 2-Lipschitz in z, since g_s has slopes at most 2^s.
Source: derived; P16 Proposition 2 for the sawtooth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flint import fmpq

from approx.certification.square_sums import Form, add, scaled

if TYPE_CHECKING:
    from approx.networks import Network

#: D per promise, by the number of the tooth whose z it is about.
Drift = dict[int, fmpq]
_HALF = fmpq(1, 2)


@dataclass(frozen=True)
class Node:
    """max(form, 0) when levels is None; otherwise F_levels(z), z = |form| if two_sided and z = form if not."""

    form: Form
    levels: int | None = None
    two_sided: bool = True


@dataclass
class Reading:
    """A network as nodes over the inputs: key d + n of a form is node n. `output` is the form of output 0.

    promises: (form, two_sided, D) for each z = |form| or form that has to be in [0, 1].
    """

    inputs: int
    nodes: list[Node]
    output: Form
    promises: list[tuple[Form, bool, fmpq]]

    @property
    def squares(self) -> int:
        """How many nodes stand for whole squares."""
        return sum(n.levels is not None for n in self.nodes)


@dataclass
class _Tooth:
    form: Form  # z or g_s(z)
    node: int  # the ReLU of form - 1/2
    parent: int | None


@dataclass
class _Reader:
    domain: list[tuple[fmpq, fmpq]]
    nodes: list[Node] = field(default_factory=list)
    relus: dict[Any, int] = field(default_factory=dict)
    squares: dict[Any, int] = field(default_factory=dict)
    teeth: list[_Tooth] = field(default_factory=list)
    made: dict[Any, int] = field(default_factory=dict)  # g(z) up to a positive factor -> its tooth
    of_node: dict[int, int] = field(default_factory=dict)  # ReLU -> its tooth

    def relu(self, form: Form, drift: Drift) -> tuple[Form, Drift]:
        """max(form, 0), and what it may have changed."""
        sign = self.sign(form)
        if sign:
            return (form if sign > 0 else {}), drift
        tooth = self.made.get(_key(form))
        if tooth is not None:
            chain = self.chain(tooth)
            factor = form[max(form)] / self.after(tooth)[max(form)]
            return form, _sum(drift, {chain[0]: factor * 2 ** len(chain)}, fmpq(1))
        return self.keep(form), drift

    def keep(self, form: Form) -> Form:
        """The ReLU of a form whose sign is not known; it may be a tooth."""
        shifted = add(form, {-1: _HALF})
        parent = self.made.get(_key(shifted))
        if parent is not None and self.after(parent) != shifted:
            parent = None
        key = self._node(form)
        flipped = len(key) > 1
        if not flipped:
            node = next(iter(key)) - len(self.domain)
            if node not in self.of_node:
                self.of_node[node] = len(self.teeth)
                self.teeth.append(_Tooth(shifted, node, parent))
                self.made.setdefault(_key(self.after(len(self.teeth) - 1)), len(self.teeth) - 1)
        return key

    def after(self, tooth: int) -> Form:
        """g(z) for the z of a tooth."""
        t = self.teeth[tooth]
        return add(scaled(t.form, 2), {len(self.domain) + t.node: fmpq(-4)})

    def sign(self, form: Form) -> int:
        """1 or -1 where the form is known to be >= 0 or <= 0, otherwise 0."""
        d = len(self.domain)
        if not any(k >= d for k in form):
            low = high = form.get(-1, fmpq(0))
            for k, w in form.items():
                if k >= 0:
                    ends = (w * self.domain[k][0], w * self.domain[k][1])
                    low, high = low + min(ends), high + max(ends)
            return 1 if low >= 0 else -1 if high <= 0 else 0
        return int(self.absolute(form) is not None)

    def absolute(self, form: Form) -> Form | None:
        """t with form = |t| where it is a multiple of 2 relu(l) - l, otherwise None."""
        d = len(self.domain)
        for k in [k for k in form if k >= d]:
            node = self.nodes[k - d]
            half = form[k] / 2
            if node.levels is None and half > 0 and add({k: form[k]}, scaled(node.form, -half)) == form:
                return scaled(node.form, half)
        return None

    def _node(self, form: Form) -> Form:
        """relu(form) by a node, an old one if it can be: relu(-t) = relu(t) - t."""
        d = len(self.domain)
        for sign in (1, -1):
            old = self.relus.get(frozenset(scaled(form, sign).items()))
            if old is not None:
                return {d + old: fmpq(1)} if sign > 0 else add({d + old: fmpq(1)}, form)
        self.relus[frozenset(form.items())] = len(self.nodes)
        self.nodes.append(Node(form))
        return {d + len(self.nodes) - 1: fmpq(1)}

    def chain(self, number: int) -> list[int]:
        """The teeth that lead to this one, the first of them first."""
        found = [number]
        while True:
            parent = self.teeth[found[0]].parent
            if parent is None:
                return found
            found.insert(0, parent)

    def with_squares(self, form: Form) -> Form:
        """The form with c F_m(z) in place of teeth."""
        d = len(self.domain)
        for number in sorted((self.of_node[k - d] for k in form if k - d in self.of_node), reverse=True):
            tooth = self.teeth[number]
            chain = self.chain(number)
            z = self.teeth[chain[0]].form
            t = self.absolute(z)
            c = form.get(d + tooth.node, fmpq(0)) * fmpq(4) ** (len(chain) - 1)
            if c == 0 or (len(chain) == 1 and t is None):
                continue
            interpolant = z
            for s, part in enumerate(chain, 1):
                interpolant = add(interpolant, scaled(self.after(part), -fmpq(1, 4**s)))
            form = add(add(form, scaled(interpolant, -c)), {self._square(z, t, len(chain)): c})
        return form

    def _square(self, z: Form, t: Form | None, levels: int) -> int:
        argument, two_sided = (z, False) if t is None else (t, True)
        key = (frozenset(argument.items()), levels, two_sided)
        if key not in self.squares:
            self.squares[key] = len(self.nodes)
            self.nodes.append(Node(argument, levels, two_sided))
        return len(self.domain) + self.squares[key]


def read(network: Network, domain: list[tuple[fmpq, fmpq]]) -> Reading | None:
    """The Reading of a network of ReLUs on a box, or None where there are other activations or irrational weights.

    Nodes that nothing needs are dropped. Cost O(weights * levels) rational operations.
    """
    if not network.activations <= {"relu", "abs", "identity"} or not network.tags["rational"]:
        return None
    reader = _Reader(domain)
    values: list[Form] = [{i: fmpq(1)} for i in range(len(domain))]
    drifts: list[Drift] = [{} for _ in domain]
    rows: list[Any] = [("identity", fmpq(0), ()) for _ in domain]
    for activation, bias, terms in network.exact_rows():
        rows.append((activation, bias, terms))
        form: Form = {-1: bias} if bias != 0 else {}
        drift: Drift = {}
        for unit, weight in _grouped(terms, rows):
            drift = _sum(drift, drifts[unit], abs(weight))
        for unit, weight in terms:
            form = add(form, scaled(values[unit], weight))
        inner = activation != "identity" and (_key(form) in reader.made or _key(add(form, {-1: _HALF})) in reader.made)
        if not inner:
            form = reader.with_squares(form)
        if activation != "identity":
            positive, after = reader.relu(form, drift)
            # |t| = 2 max(t, 0) - t, of which only the ReLU that was left out counts twice.
            if activation == "abs":
                after = _sum(drift, _sum(after, drift, fmpq(-1)), fmpq(2))
            form, drift = positive if activation == "relu" else add(scaled(positive, 2), scaled(form, -1)), after
        values.append(form)
        drifts.append(drift)
    promises = []
    for root, size in drifts[-1].items():
        z = reader.teeth[root].form
        t = reader.absolute(z)
        promises.append((z if t is None else t, t is not None, size))
    return _needed(Reading(len(domain), reader.nodes, values[-1], promises))


def _grouped(terms: Any, rows: list[Any]) -> list[tuple[int, fmpq]]:
    """The terms for what they can drift: w A - 2 w relu(A - 1/2) = (w/2) g(A) moves by |w| with A, not by 3 |w|."""
    weights = dict(terms)
    for unit, weight in terms:
        activation, bias, inner = rows[unit]
        if activation == "relu" and bias == -_HALF and len(inner) == 1 and inner[0][1] == 1:
            source = inner[0][0]
            if weights.get(source) is not None and weight == -2 * weights[source]:
                del weights[unit]
    return list(weights.items())


def _needed(reading: Reading) -> Reading:
    """The same without nodes that nothing reads."""
    d = reading.inputs
    needed: set[int] = set()
    forms = [reading.output, *(f for f, _, _ in reading.promises)]
    pending = [k - d for form in forms for k in form if k >= d]
    while pending:
        n = pending.pop()
        if n not in needed:
            needed.add(n)
            pending.extend(k - d for k in reading.nodes[n].form if k >= d)
    order = sorted(needed)
    place = {d + old: d + new for new, old in enumerate(order)}

    def moved(form: Form) -> Form:
        return {place.get(k, k): v for k, v in form.items()}

    nodes = [Node(moved(n.form), n.levels, n.two_sided) for n in (reading.nodes[i] for i in order)]
    return Reading(d, nodes, moved(reading.output), [(moved(f), side, size) for f, side, size in reading.promises])


def _sum(first: Drift, second: Drift, factor: fmpq) -> Drift:
    total = dict(first)
    for key, value in second.items():
        total[key] = total.get(key, fmpq(0)) + factor * value
    return total


def _key(form: Form) -> Any:
    """A key that forms share which are positive multiples of each other."""
    if not form:
        return frozenset()
    scale = abs(form[max(form)])
    return frozenset((k, v / scale) for k, v in form.items())
