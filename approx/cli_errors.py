"""How does the command line fail? Every user error becomes one line on stderr and exit code 3, an interruption 130."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, NoReturn

import click

from approx.errors import ApproxError, ExpressionError, InputError
from approx.targets import Target

PROVED, REFUTED, UNDECIDED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3, 130


class Commands(click.Group):
    """A click group that exits 3 with one line on bad input, whoever noticed it, and 130 when interrupted."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; with standalone_mode (the default) exit with the documented code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name or "approx", complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else "")
            sys.exit(0)
        except click.Abort:
            _fail("interrupted; nothing was written", INTERRUPTED)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context else ""
            _fail(error.format_message() + hint)
        except ExpressionError as error:
            _fail(_expression_message(error), pointer=error.pointer() if error.text else "")
        except ApproxError as error:
            _fail(str(error))
        except MemoryError:
            _fail("the computation needs more memory than this machine has")
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = BAD_INPUT, pointer: str = "") -> NoReturn:
    click.echo("approx: " + " ".join(message.split()), err=True)
    if pointer:
        click.echo("\n".join("  " + line for line in pointer.splitlines()), err=True)
    sys.exit(code)


def _expression_message(error: ExpressionError) -> str:
    place = f", column {error.position + 1}" if error.text else ""
    return f"expression{place}: {error.reason}"


class LeadingMinus(click.Command):
    """A command whose arguments may be expressions and numbers that begin with a minus sign."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a blank before arguments such as -x**2 or -1, which click would take for options."""
        names = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        return super().parse_args(ctx, [_shielded(argument, names) for argument in args])


def _shielded(argument: str, names: set[str]) -> str:
    looks_short = len(argument) > 1 and argument[0] == "-" and argument[1] != "-"
    return " " + argument if looks_short and argument[:2] not in names else argument


class Constant(click.ParamType):
    """A positive number: a decimal, a fraction or an expression without variables; its float64 value."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The nearest float64; raises InputError unless it is positive and finite."""
        if isinstance(value, float):
            return value
        label = param.opts[0] if param is not None else "number"
        accepted = "a positive number such as 1e-6 or 1/1000"
        try:
            constant = Target(value, domain=[(0, 1)])
            spread = [float(constant(0.0)), float(constant(1.0))]
        except ApproxError as error:
            raise InputError(label, value.strip(), accepted) from error
        if spread[0] != spread[1] or not 0 < spread[0] < float("inf"):
            raise InputError(label, value.strip(), accepted)
        return spread[0]


class Setting(click.ParamType):
    """NAME=VALUE, the value a whole number, a decimal, true or false, or a word."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The pair (name, value)."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip().isidentifier():
            raise InputError("--set", value, "NAME=VALUE, for example order=4")
        return name.strip(), _setting_value(text.strip())


def _setting_value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class Interruptions:
    """A context in which Ctrl-C raises KeyboardInterrupt as ever, and is remembered in `happened`.

    Certification catches the interruption and returns what is proved so far; the command line still has to know.
    """

    happened = False

    def __enter__(self) -> Interruptions:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        raise KeyboardInterrupt
