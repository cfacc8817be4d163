"""How a network shows itself to a person: text for a terminal, HTML for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approx.networks.network import Network

_LONGEST = 24


def _rows(network: Network) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for k, layer in enumerate(network.layers, 1):
        name = "output" if k == len(network.layers) else str(k)
        sources = ", ".join("input" if b.source == 0 else str(b.source) for b in layer.blocks) or "none"
        rows.append((name, layer.activation, str(layer.units), str(layer.weights), sources))
    if len(rows) > _LONGEST:
        hidden = len(rows) - _LONGEST
        middle = ("...", f"{hidden} more layers", "", "", "")
        rows = [*rows[: _LONGEST // 2], middle, *rows[-(_LONGEST // 2) :]]
    return rows


def describe(network: Network) -> str:
    """Size, tags and a table of the layers, as text.

    >>> from approx.networks import identity
    >>> print(identity(1).describe().splitlines()[0])
    Network R^1 -> R^1, 1 weights, 0 units, 0 hidden layers, width 0, 3 bits
    """
    s = network.size
    tags = network.tags
    known = [name.replace("_", " ") for name, value in tags.items() if value is True]
    lines = [
        f"Network R^{network.inputs} -> R^{network.outputs}, {s.weights:,} weights, {s.units:,} units, "
        f"{s.hidden_layers:,} hidden layers, width {s.width:,}, {s.bits:,} bits",
        f"  {', '.join(known)}; Lipschitz constant at most {tags['lipschitz']:.4g} (max norm)",
    ]
    header = ("layer", "activation", "units", "weights", "reads from")
    table = [header, *_rows(network)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines += ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines)


def describe_html(network: Network) -> str:
    """The same as an HTML table."""
    head = "".join(f"<th>{c}</th>" for c in ("layer", "activation", "units", "weights", "reads from"))
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in _rows(network))
    return f"<p>{escape(repr(network))}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
