"""What does the command `approx` do? Build, verify, show, export, study and list: a thin layer over the library."""

from __future__ import annotations

import inspect
import sys
import time
from typing import Any

import click

import approx
from approx.certification.check import LEVELS
from approx.cli_convert import convert
from approx.cli_errors import (
    INTERRUPTED,
    PROVED,
    REFUTED,
    UNDECIDED,
    Commands,
    Constant,
    Interruptions,
    LeadingMinus,
    Setting,
)
from approx.cli_rates import rates
from approx.cli_report import Result, enclosure, exact_text, point_text
from approx.cli_shared import budget_of, check_outputs, domain_option, json_option, load_file, progress_bar, read_target
from approx.errors import InputError, UnreachableError
from approx.plots.labels import rounded_down, rounded_up

#: How often `verify` asks for a tighter enclosure when the accuracy in question lies inside a tight one.
_MOST_TIGHTENINGS = 4
_LEAST_RTOL = 1e-10


def _certification_options(command: Any) -> Any:
    for option in (
        click.option("--seconds", type=Constant(), metavar="S", help="Time limit of one certification.  [default: 60]"),
        click.option("--rtol", type=Constant(), default="0.01", metavar="R", show_default=True,
                     help="Stop when upper <= (1 + R) lower."),
    ):  # fmt: skip
        command = option(command)
    return command


_HELP = """Construct neural networks from functions, with certified uniform errors.

\b
approx build "sin(2*pi*x)" --eps 1e-6 -o sine.approx --plot sine.png
approx verify sine.approx "sin(2*pi*x)" --eps 1e-6
"""

main = Commands("approx", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
main = click.version_option(approx.__version__, prog_name="approx")(main)
main.add_command(rates)
main.add_command(convert)


@main.command(cls=LeadingMinus, short_help="Build the smallest network certified to E.")
@click.argument("expression", metavar="EXPR")
@domain_option("0 1")
@click.option(
    "--eps", type=Constant(), required=True, metavar="E", help="Uniform error to reach, such as 1e-6 or 1/1000."
)
@click.option(
    "--method",
    default="auto",
    metavar="NAME",
    show_default=True,
    help="A construction of `approx methods`; auto takes the smallest certified network.",
)
@click.option(
    "--set",
    "settings",
    type=Setting(),
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the named method, such as order=4; may be repeated.",
)
@_certification_options
@click.option(
    "-o", "--output", type=click.Path(), metavar="FILE", help="Save network, guarantee and certificate (.approx)."
)
@click.option("--onnx", "onnx_path", type=click.Path(), metavar="FILE", help="Also write an ONNX model (float64).")
@click.option("--plot", "plot_path", type=click.Path(), metavar="FILE", help="Also draw it (.png, .pdf, .svg).")
@click.option("--keep-best", is_flag=True, help="Write the files also when E is not reached (exit code 2 stays).")
@json_option
def build(
    expression: str,
    domain: tuple[tuple[str, str], ...],
    eps: float,
    method: str,
    settings: tuple[tuple[str, Any], ...],
    rtol: float,
    seconds: float | None,
    output: str | None,
    onnx_path: str | None,
    plot_path: str | None,
    keep_best: bool,
    as_json: bool,
) -> int:
    """Build the smallest network whose uniform error is certified to be at most E.

    EXPR is a formula in x, y, z or x1, x2, ... with + - * / **, pi, e, sin, exp, log, abs, max and the like.

    Exit codes: 0 certified, 2 not reached (the best certified result is named), 3 bad input, 130 interrupted.
    """
    import constructions

    check_outputs(output, onnx_path, plot_path)
    target = read_target(expression, domain)
    options = _method_options(constructions, method, dict(settings))
    started = time.perf_counter()
    reached = True
    with Interruptions() as interruptions, progress_bar("building") as progress:

        def report(stage: str, fraction: float | None = None) -> None:
            if interruptions.happened:
                raise KeyboardInterrupt
            progress(stage, fraction)

        try:
            found = constructions.build(
                target, eps, method, rtol=rtol, budget=budget_of(seconds), progress=report, **options
            )
        except UnreachableError as error:
            if error.best is None:
                raise
            found, reached = error.best, False
    elapsed = time.perf_counter() - started
    result = _result(found, eps, elapsed)
    written = _write(found, eps, output, onnx_path, plot_path) if reached or keep_best else {}
    code = PROVED if reached else INTERRUPTED if interruptions.happened else UNDECIDED
    if as_json:
        click.echo(result.to_json(reached=reached, files={name: text for name, (text, _) in written.items()}))
        return code
    click.echo("\n".join([*result.lines(), *(f"  {'wrote':<11}{line}" for _, line in written.values())]))
    if not reached:
        click.echo(_advice(found, eps, bool(written)), err=True)
    return code


@main.command(cls=LeadingMinus, short_help="Certify the error of a network against a formula.")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.argument("expression", metavar="EXPR")
@domain_option("that of an .approx file, else 0 1")
@click.option("--eps", type=Constant(), metavar="E", help="Decide sup error <= E; without it, enclose the error.")
@click.option(
    "--semantics",
    type=click.Choice(["exact", "float32", "float64"]),
    default="exact",
    show_default=True,
    help="Of the exact weights in real arithmetic, or of the ONNX export as it is executed in that type.",
)
@click.option(
    "--norm", type=click.Choice(["abs", "rel"]), default="abs", show_default=True, help="sup |f-net| or sup |f-net|/|f|."
)
@_certification_options
@json_option
def verify(
    file: str,
    expression: str,
    domain: tuple[tuple[str, str], ...],
    eps: float | None,
    semantics: str,
    norm: str,
    rtol: float,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Certify the uniform error between EXPR and the network in FILE (.approx or .onnx).

    Nothing that FILE says about itself is believed: only its weights are used (and, without --domain, the domain of an
    .approx file).

    Exit codes: 0 proved (without --eps: enclosed within R), 1 refuted (with a witness), 2 undecided, 3 bad input;
    Ctrl-C ends the work with what is proved so far (130 if that decides nothing).
    """
    import constructions  # noqa: F401  (adds what it knows of the structure of its networks to certification)

    loaded = load_file(file)
    network = loaded.network if isinstance(loaded, approx.Approximant) else loaded
    stored = loaded.target.domain if isinstance(loaded, approx.Approximant) and not domain else None
    target = read_target(expression, domain, stored)
    with Interruptions() as interruptions, progress_bar("certifying"):
        certificate, spent = _certify(network, target, eps, rtol, seconds, interruptions, semantics=semantics, norm=norm)
    if eps is None:
        code, verdict = (PROVED, "enclosed") if certificate.status == "tight" else (UNDECIDED, "undecided")
    else:
        code, verdict = {True: (PROVED, "proved"), False: (REFUTED, "refuted"), None: (UNDECIDED, "undecided")}[
            certificate.proves(eps)
        ]
    if interruptions.happened and code == UNDECIDED:
        code = INTERRUPTED
    result = Result(network, target, certificate, eps=eps, certify_seconds=spent)
    if as_json:
        click.echo(result.to_json(verdict=verdict, file=file))
    else:
        click.echo("\n".join([*result.lines(), _sentence(verdict, certificate, eps)]))
    return code


@main.command(short_help="Describe the network in a file.")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option("--check", is_flag=True, help="Prove the stored certificate again, by independent code.")
@click.option(
    "--level", type=click.Choice(LEVELS), default="regions", show_default=True, help="How much --check proves."
)
@json_option
def show(file: str, check: bool, level: str, as_json: bool) -> int:
    """Describe the network in FILE (.approx or .onnx), with its target, guarantee and certificate.

    What a file claims is only a claim: --check proves it again (exit code 1 if that fails).
    """
    loaded = load_file(file)
    found = loaded if isinstance(loaded, approx.Approximant) else None
    network = loaded.network if isinstance(loaded, approx.Approximant) else loaded
    certificate = found.certificate if found else None
    if check and certificate is None:
        raise InputError("--check", file, "a file that holds a certificate (approx build -o FILE writes one)")
    with progress_bar("checking"):
        verdict = certificate.check(level) if check and certificate else None
    code = REFUTED if verdict is not None and not verdict.ok else PROVED
    if as_json:
        result = _result(found) if found else Result(network)
        click.echo(result.to_json(file=file, checked=None if verdict is None else {"ok": verdict.ok, "level": level}))
        return code
    if found is not None:
        click.echo("\n".join(_result(found).lines()))
        click.echo(f"  {'statement':<11}{found.statement}")
        for item in found.budget:
            click.echo(f"  {'  of which':<11}{rounded_up(item.value)}  {item.name} ({item.proof})")
        if certificate is not None:
            click.echo(f"  {'by':<11}{certificate.method}" + ("" if check else "; a claim of the file, see --check"))
    click.echo(network.describe())
    if verdict is not None:
        click.echo(str(verdict))
    return code


@main.command(short_help="List the constructions.")
@json_option
def methods(as_json: bool) -> None:
    """List the constructions: what each needs of the target, and what it guarantees."""
    import json

    import constructions

    table = constructions.catalogue()
    if as_json:
        click.echo(json.dumps(table.to_dict(), allow_nan=False))
        return
    click.echo(_methods_table(table) if sys.stdout.isatty() else str(table))


@main.command(short_help="Write a network as an ONNX model.")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.argument("out", type=click.Path(), metavar="OUT.onnx")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
def export(file: str, out: str, dtype: str) -> int:
    """Write the network in FILE as an ONNX model, run it, and report how far it stays from the network (observed).

    Exit codes: 0 the outputs agree up to rounding, 1 they do not, 3 bad input.
    """
    check_outputs(None, out, None)
    loaded = load_file(file)
    network = loaded.network if isinstance(loaded, approx.Approximant) else loaded
    domain = loaded.target.domain if isinstance(loaded, approx.Approximant) else None
    report = approx.interchange.to_onnx(network, out, dtype, _sample(domain))
    click.echo(str(report))
    return PROVED if report.agrees else REFUTED


@main.command(short_help="Check the numbered statements of the papers.")
@click.argument("paper", required=False, metavar="[PAPER]")
@click.option("--full", is_flag=True, help="Also the checks that take minutes.")
def check(paper: str | None, full: bool) -> int:
    """Check the numbered statements of the papers (of one PAPER, or of all) on what is built here.

    Exit codes: 0 all hold, 1 at least one does not, 3 bad input.
    """
    import proofs_checks

    with progress_bar("checking"):
        results = proofs_checks.run(paper=paper, full=full)
    click.echo(proofs_checks.report(results))
    return PROVED if results and all(result.ok for result in results) else REFUTED


# -- what the commands share --------------------------------------------------------------------------------------------


def _certify(
    network: approx.Network,
    target: approx.Target,
    eps: float | None,
    rtol: float,
    seconds: float | None,
    interruptions: Interruptions,
    **kind: Any,
) -> tuple[approx.Certificate, float]:
    """The certificate and the seconds it took; where eps lies inside a tight enclosure, a tighter one that decides."""
    # Below a thousandth of eps nothing more is to be learned: an exact network has no relative gap.
    certificate = approx.certify(network, target, rtol=rtol, atol=1e-3 * (eps or 0.0), budget=budget_of(seconds), **kind)
    spent = float(certificate.work.get("seconds", 0.0))
    for _ in range(_MOST_TIGHTENINGS):
        if (
            eps is None
            or certificate.proves(eps) is not None
            or certificate.status != "tight"
            or interruptions.happened
        ):
            break
        rtol = max(0.5 * (eps / certificate.lower - 1), _LEAST_RTOL)
        certificate = approx.certify(network, target, rtol=rtol, budget=budget_of(seconds), **kind)
        spent += float(certificate.work.get("seconds", 0.0))
    return certificate, round(spent, 4)


def _method_options(constructions: Any, method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The options after a look at the method's own parameters, so that a misspelt one is refused in words."""
    if method == "auto":
        if settings:
            raise InputError("--set", next(iter(settings)), "options only with a named --method")
        return {}
    builder = inspect.signature(constructions.catalogue()[method].builder).parameters.values()
    known = [p.name for p in builder if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            raise InputError("--set", name, f"an option of {method}: {', '.join(known) or 'it has none'}")
    return settings


def _write(
    found: approx.Approximant, eps: float, output: str | None, onnx_path: str | None, plot_path: str | None
) -> dict[str, tuple[str, str]]:
    """Write the files that were asked for; per kind its path and the line to print."""
    written: dict[str, tuple[str, str]] = {}
    if output is not None:
        found.save(output)
        written["approx"] = output, output
    if onnx_path is not None:
        sample = _sample(found.target.domain)
        written["onnx"] = onnx_path, str(approx.interchange.to_onnx(found.network, onnx_path, "float64", sample))
    if plot_path is not None:
        found.plot(plot_path, eps=eps)
        written["plot"] = plot_path, plot_path
    return written


def _sample(domain: Any) -> Any:
    """257 points of the domain for the parity report, the same ones every time; None where no domain is known."""
    if domain is None:
        return None
    import numpy as np

    sides = domain.floats_inside()
    return np.random.default_rng(2016).uniform(sides[:, 0], sides[:, 1], size=(257, len(sides)))


def _result(found: approx.Approximant, eps: float | None = None, elapsed: float | None = None) -> Result:
    spent = found.certificate.work.get("seconds") if found.certificate else None
    built = None if elapsed is None else round(max(0.0, elapsed - (spent or 0.0)), 4)
    return Result(found.network, found.target, found.certificate, found, eps, built, spent)


def _advice(found: approx.Approximant, eps: float, kept: bool) -> str:
    """How to go on when eps was not reached: what the best result is, and how to keep it."""
    certified = found.certificate.upper if found.certificate else float("inf")
    if found.bound < certified:
        best, how = f"proved a priori to {rounded_up(found.bound)}", "more --seconds may certify it; keep it with"
    else:
        best = f"certified to {rounded_up(certified)}"
        how = f"keep it with --eps {rounded_up(certified)}, or with"
    ending = "it was written" if kept else f"{how} --keep-best -o FILE"
    return f"approx: eps = {eps:g} was not reached; the best result is {best}: {ending}"


def _sentence(verdict: str, certificate: approx.Certificate, eps: float | None) -> str:
    error = "|target - network|" + (" / |target|" if certificate.norm == "rel" else "")
    how = "exact real arithmetic" if certificate.semantics == "exact" else f"{certificate.semantics} execution"
    if verdict == "proved":
        return f"proved: sup {error} <= {eps:g} in {how}"
    if verdict == "refuted":
        exact = ", ".join(exact_text(c) for c in certificate.witness)
        where = exact if len(exact) <= 200 else point_text(certificate.witness)
        return f"refuted: {error} >= {rounded_down(certificate.lower)} > {eps:g} at the point {where}"
    if verdict == "enclosed":
        return f"enclosed: the sup {certificate.error_name} is known within the tolerance asked for"
    return f"undecided: {enclosure(certificate)}; more --seconds or a larger --rtol may decide"


def _methods_table(table: Any) -> str:
    from rich.console import Console
    from rich.table import Table

    grid = Table(show_lines=True)
    grid.add_column("method", no_wrap=True)
    grid.add_column("what it needs of the target, guarantees, and costs")
    for row in table:
        variables = (
            "1 variable" if row.dimensions[-1] == 1 else f"{row.dimensions[0]} to {row.dimensions[-1]} variables"
        )
        left = [row.name, variables, ", ".join(row.activations), ", ".join(row.paper)]
        right = [f"needs: {row.needs}", f"guarantee: {row.guarantee}", f"rate: {row.rate}"]
        grid.add_row("\n".join(left), "\n".join(right))
    console = Console(markup=False, highlight=False)
    with console.capture() as capture:
        console.print(grid)
    return capture.get()
