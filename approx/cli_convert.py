"""What does `approx convert` do? It writes the same function with another piecewise-linear activation, and proves it."""

from __future__ import annotations

from dataclasses import replace

import click

import approx
from approx.cli_errors import PROVED, UNDECIDED
from approx.cli_report import Result
from approx.cli_shared import check_outputs, domain_option, json_option, load_file
from approx.errors import InputError


@click.command(short_help="Write a network with another piecewise-linear activation.")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.argument("activation", metavar="ACTIVATION")
@click.argument("out", type=click.Path(), metavar="OUT.approx")
@domain_option("that of the target in FILE")
@json_option
def convert(file: str, activation: str, out: str, domain: tuple[tuple[str, str], ...], as_json: bool) -> int:
    """Write the network in FILE with units of ACTIVATION only: the same function on the domain, proved to differ by 0.

    ACTIVATION is relu, abs, leaky-relu, leaky-relu(1/5), hard-tanh, or 'piecewise(-1,1; 0,1,0; -1)': breakpoints, slopes,
    and the value at the first breakpoint. --domain is for files without a target.

    Exit codes: 0 written, the difference is proved to be 0; 2 written, not proved; 3 bad input.
    """
    check_outputs(out, None, None)
    loaded = load_file(file)
    found = loaded if isinstance(loaded, approx.Approximant) else None
    network = loaded.network if isinstance(loaded, approx.Approximant) else loaded
    if found is not None and domain:
        raise InputError("--domain", domain, "none: the target in FILE has a domain, on which its guarantee holds")
    box = found.target.domain if found else approx.Target("0", domain=list(domain)).domain if domain else None
    sides = None if box is None else list(zip(box.lower, box.upper, strict=True))
    converted = approx.convert(network, activation, sides)
    certificate = approx.compare(network, converted, sides) if sides else None
    if found is not None:
        text = f"{found.statement} Converted exactly to {activation} (P16 Proposition 1)."
        changed = replace(found, network=converted, certificate=None, statement=text)
        changed.save(out)
    else:
        converted.save(out)
    size, same = converted.size, certificate is None or certificate.upper == 0
    verdict = "equal everywhere by its identities" if certificate is None else "equal on the domain" if same else "undecided"
    if as_json:
        click.echo(Result(converted, None, certificate).to_json(file=out, activation=activation, verdict=verdict))
    else:
        before, after = (f"{s.weights:,} weights in {s.units:,} units" for s in (network.size, size))
        click.echo(f"{out}: {before} became {after}; {verdict if not same else 'proved ' + verdict}")
    return PROVED if same else UNDECIDED
