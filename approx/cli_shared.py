"""What do all commands of the command line share? Options, targets, limits, places for files, and the progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import approx
from approx.errors import InputError, MissingExtraError


def domain_option(default: str) -> Any:
    """The option --domain; `default` is what the help says of its absence."""
    return click.option(
        "--domain",
        "domain",
        nargs=2,
        multiple=True,
        metavar="LO HI",
        help=f"Interval of a variable, once for each variable in order; ends such as -1, 1/3, pi/4.  [default: {default}]",
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (null: not finite or not known)."
)


def read_target(expression: str, domain: tuple[tuple[str, str], ...], stored: Any = None) -> approx.Target:
    """The target of a formula and the values of --domain, checked to be defined; notes on its ends go to stderr."""
    ends = [(low.strip(), high.strip()) for low, high in domain]
    target = approx.Target(expression, domain=ends or stored)
    target.check_defined()
    for note in target.domain.notes:
        click.echo(f"approx: note: {note}", err=True)
    return target


def load_file(file: str) -> approx.Approximant | approx.Network:
    """What is in a file: .onnx, or .approx (which holds an Approximant or a plain Network)."""
    if Path(file).is_dir():
        raise InputError("FILE", file, "a file, this is a folder")
    return approx.from_onnx(file) if file.lower().endswith(".onnx") else approx.load(file)


def budget_of(seconds: float | None) -> approx.Budget | None:
    """The limit of one certification, or None for the default."""
    return approx.Budget(seconds=seconds) if seconds is not None else None


def check_outputs(output: str | None, onnx_path: str | None, plot_path: str | None) -> None:
    """Refuse what could not be written in the end, before any long work."""
    named = {"--output": output, "--onnx": onnx_path, "--plot": plot_path}
    given = {option: Path(text) for option, text in named.items() if text is not None}
    for option, path in given.items():
        if path.is_dir():
            raise InputError(option, str(path), "a file name, this is a folder")
        if not path.parent.is_dir():
            raise InputError(option, str(path), f"a file in an existing folder; {path.parent} does not exist")
        if not os.access(path.parent, os.W_OK):
            raise InputError(option, str(path), f"a file in a folder with write permission; {path.parent} has none")
    if len({path.resolve() for path in given.values()}) < len(given):
        raise InputError(" and ".join(given), str(next(iter(given.values()))), "a different file for each")
    if plot_path is not None:
        from approx.plots import picture_type

        picture_type(plot_path)
    if onnx_path is not None:
        if not onnx_path.lower().endswith(".onnx"):
            raise InputError("--onnx", onnx_path, "a file name ending in .onnx")
        try:
            import onnx  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("onnx", "onnx", "writing ONNX files") from error


@contextmanager
def progress_bar(first: str) -> Iterator[Any]:
    """A callable (stage, fraction) that shows progress on stderr when that is a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, fraction=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(first, total=None)

        def show_stage(stage: str, fraction: float | None = None) -> None:
            bar.update(task, description=stage)
            if fraction is not None:
                bar.update(task, total=1.0, completed=fraction)

        yield show_stage
