"""What does `approx rates` do? It measures how the proved error falls with the weights, and draws it."""

from __future__ import annotations

import click
import numpy as np

from approx.cli_errors import INTERRUPTED, PROVED, REFUTED, UNDECIDED, Constant, LeadingMinus
from approx.cli_shared import budget_of, check_outputs, domain_option, json_option, progress_bar, read_target
from approx.errors import InputError

_MOST_POINTS = 100


@click.command(cls=LeadingMinus, short_help="Measure error against weights, by method.")
@click.argument("expression", metavar="EXPR")
@domain_option("0 1")
@click.option(
    "--method",
    "methods",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A construction of `approx methods`, with options as in local-taylor:order=3; may be repeated.",
)
@click.option(
    "--weights",
    type=Constant(),
    nargs=2,
    default=("100", "10000"),
    show_default=True,
    metavar="LOW HIGH",
    help="Numbers of weights from LOW to HIGH, in equal ratios.",
)
@click.option("--points", type=int, default=7, show_default=True, metavar="N", help="How many of them.")
@click.option(
    "--order",
    type=Constant(),
    metavar="R",
    help="Smoothness of the class for the lower bounds.  [default: 2 or Hölder]",
)
@click.option("--rtol", type=Constant(), default="0.05", metavar="R", show_default=True,
              help="Errors enclosed within R enter the fit.")  # fmt: skip
@click.option("--seconds", type=Constant(), metavar="S", help="Time limit of one certification.  [default: 20]")
@click.option("--plot", "plot_path", type=click.Path(), metavar="FILE", help="Also draw it (.png, .pdf, .svg).")
@click.option(
    "--phases", "phases_path", type=click.Path(), metavar="FILE", help="Also draw rates against depth exponents."
)
@json_option
def rates(
    expression: str,
    domain: tuple[tuple[str, str], ...],
    methods: tuple[str, ...],
    weights: tuple[float, float],
    points: int,
    order: float | None,
    rtol: float,
    seconds: float | None,
    plot_path: str | None,
    phases_path: str | None,
    as_json: bool,
) -> int:
    """Measure how the proved error of EXPR falls with the number of weights, beside theory and lower bounds.

    Every method is asked for the largest network of at most W weights, which is certified. The last columns of the table are
    the error over the error that no such network goes below: for this function (pieces), or for the worst of its class.

    Exit codes: 0 done, 1 rows contradict each other, 2 a method has no row, 3 bad input, 130 interrupted (the rows so far).
    """
    import approx
    import constructions  # noqa: F401  (registers its methods with the studies)

    check_outputs(None, None, plot_path)
    check_outputs(None, None, phases_path)
    if not 2 <= points <= _MOST_POINTS:
        raise InputError("--points", points, f"a whole number from 2 to {_MOST_POINTS}")
    if not 1 <= weights[0] < weights[1]:
        raise InputError("--weights", weights, "two numbers with 1 <= LOW < HIGH")
    target = read_target(expression, domain)
    wanted = [float(w) for w in np.geomspace(*weights, points)]
    with progress_bar("rates") as progress:
        study = approx.studies.rates(
            target, methods, wanted, order=order, rtol=rtol, budget=budget_of(seconds), progress=progress
        )
    files: dict[str, str] = {}
    if plot_path is not None and study.rows:
        study.plot(plot_path)
        files["plot"] = plot_path
    if phases_path is not None and study.rows and study.smoothness is not None:
        approx.studies.phase_diagram(study).plot(phases_path)
        files["phases"] = phases_path
    if as_json:
        click.echo(study.to_json(files=files))
    else:
        click.echo("\n".join([str(study), *(f"wrote {path}" for path in files.values())]))
    contradictions = study.contradictions()
    for sentence in contradictions:
        click.echo(f"approx: contradiction: {sentence}", err=True)
    if study.interrupted:
        return INTERRUPTED
    if contradictions:
        return REFUTED
    return PROVED if {r.method for r in study.rows} == set(study.methods) else UNDECIDED
