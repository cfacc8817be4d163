"""Does the command `approx` keep its promises: exit codes, one line on bad input, nothing half-written, true words?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import approx
from approx import Approximant, Target
from approx.cli import main
from approx.errors import UnreachableError
from approx.networks import Builder

KEYS = {
    "method", "eps", "bound", "lower", "upper", "witness", "status", "weights", "units", "hidden_layers", "width", "bits",
    "build_seconds", "certify_seconds",
}  # fmt: skip


def secant() -> approx.Network:
    """x, which misses x**2 on [0, 1] by exactly 1/4, at 1/2."""
    b = Builder(1)
    return b.build([b.input()])


def parabola(eps: float = 0.25) -> Approximant:
    return Approximant(secant(), Target("x**2"), 0.25, "secant", "the secant", parameters={"eps": eps}).certified()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `approx ...` in an empty folder; standard output and error apart."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A stand-in for the constructions whose `build` the test sets; it records how it was called."""
    calls: list[tuple[Any, ...]] = []

    def build(*arguments: Any, **options: Any) -> Approximant:
        calls.append((arguments, options))
        return module.answer()

    def builder(target: Target, eps: float, *, order: int = 1) -> Approximant:
        raise NotImplementedError

    module = SimpleNamespace(build=build, catalogue=lambda: {"secant": SimpleNamespace(builder=builder)}, calls=calls)
    module.answer = parabola
    monkeypatch.setitem(sys.modules, "constructions", module)
    return module


def assert_refused(result: Result, *words: str) -> None:
    """Exit 3, nothing on stdout, one line on stderr (with an excerpt and a caret after it for expressions), no file."""
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("approx: ") and len(lines) in (1, 3), lines
    assert len(lines) == 1 or lines[2].strip() == "^"
    for word in words:
        assert word in result.stderr, (word, result.stderr)
    assert "Traceback" not in result.stderr
    assert [p for p in Path().iterdir() if p.name.startswith(("out.", ".out"))] == []


# -- build ----------------------------------------------------------------------------------------------------------------


def test_build_writes_everything_and_says_what_is_certified(run: Callable[..., Result]) -> None:
    done = run("build", "x**2", "--eps", "1e-2", "-o", "out.approx", "--onnx", "out.onnx", "--plot", "out.png")
    assert done.exit_code == 0, done.output
    assert "proved" in done.stdout and "certified" in done.stdout and "agrees up to rounding" in done.stdout
    a = approx.load("out.approx")
    assert isinstance(a, Approximant) and a.certificate is not None and a.certificate.upper <= 1e-2
    assert Path("out.png").read_bytes().startswith(b"\x89PNG") and approx.from_onnx("out.onnx").inputs == 1
    assert sorted(p.name for p in Path().iterdir()) == ["out.approx", "out.onnx", "out.png"]


def test_build_json_is_one_strict_object(run: Callable[..., Result]) -> None:
    done = run("build", "exp(x)", "--eps", "1/100", "--method", "piecewise-linear", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found.keys() >= KEYS and found["reached"] is True and found["eps"] == 0.01
    assert 0 < found["lower"] <= found["upper"] <= 0.01 and found["weights"] > 0 and found["status"] == "tight"
    assert 0 <= found["witness"][0] <= 1 and found["build_seconds"] >= 0


def test_build_in_two_variables_with_all_kinds_of_ends(run: Callable[..., Result]) -> None:
    done = run("build", "-x*y", "--domain", "-1", "1/3", "--domain", "-pi", "pi", "--eps", "1/10", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["domain"].startswith("[-1, 1/3] x [-")
    assert "irrational" in done.stderr  # the rounded end is said


def test_build_is_reproducible(run: Callable[..., Result]) -> None:
    for name in ("out.one", "out.two"):
        assert run("build", "sin(3*x)", "--eps", "1/20", "-o", name).exit_code == 0
    first, second = (approx.load(name) for name in ("out.one", "out.two"))
    assert isinstance(first, Approximant) and isinstance(second, Approximant) and first.network == second.network


def test_build_passes_its_options_on(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    options = ("--rtol", "1/20", "--seconds", "7", "--method", "secant", "--set", "order=3")
    assert run("build", "x**2", "--eps", "0.25", *options).exit_code == 0
    [(arguments, given)] = stub.calls
    assert arguments[1:] == (0.25, "secant") and given["order"] == 3 and given["rtol"] == 0.05
    assert given["budget"].seconds == 7


def test_expressions_and_ends_may_begin_with_a_minus(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    assert run("build", "-exp(-x)", "--domain", "-2", "-1/2", "--eps", "1").exit_code == 0
    [(arguments, _)] = stub.calls
    assert arguments[0].text == "-exp(-x)" and str(arguments[0].domain) == "[-2, -1/2]"


def test_json_has_null_where_nothing_finite_is_known(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    from dataclasses import replace

    def answer() -> Approximant:
        found = parabola()
        assert found.certificate is not None
        return replace(
            found, bound=float("inf"), certificate=replace(found.certificate, upper=float("inf"), status="budget")
        )

    stub.answer = answer
    done = run("build", "x**2", "--eps", "1", "--json")
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["bound"] is None and found["upper"] is None and found["lower"] == 0.25
    assert "inf" in run("build", "x**2", "--eps", "1").stdout


def test_build_that_does_not_reach_names_the_best_and_how_to_keep_it(
    run: Callable[..., Result], stub: SimpleNamespace
) -> None:
    def fail() -> Approximant:
        raise UnreachableError("no construction is certified to reach it", parabola())

    stub.answer = fail
    done = run("build", "x**2", "--eps", "1e-9", "-o", "out.approx")
    assert done.exit_code == 2 and "0.25" in done.stderr and "--keep-best" in done.stderr
    assert not Path("out.approx").exists()
    assert "certified to 0.25" in done.stderr and len(done.stderr.splitlines()) == 1
    kept = run("build", "x**2", "--eps", "1e-9", "-o", "out.approx", "--keep-best", "--json")
    assert kept.exit_code == 2 and json.loads(kept.stdout)["reached"] is False and Path("out.approx").exists()


def test_a_bound_that_is_better_than_the_certificate_is_named(
    run: Callable[..., Result], stub: SimpleNamespace
) -> None:
    from dataclasses import replace

    def fail() -> Approximant:
        found = parabola()
        assert found.certificate is not None
        raise UnreachableError("the budget ended", replace(found, certificate=replace(found.certificate, upper=1e9)))

    stub.answer = fail
    done = run("build", "x**2", "--eps", "0.1")
    assert done.exit_code == 2 and "proved a priori to 0.25" in done.stderr and "--seconds" in done.stderr


def test_build_with_nothing_certified_at_all(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    def fail() -> Approximant:
        raise UnreachableError("no construction is certified to reach eps = 1e-09:\n nothing applies")

    stub.answer = fail
    assert_refused(run("build", "x**2", "--eps", "1e-9", "-o", "out.approx"), "nothing applies")


def test_interrupted_build_writes_nothing(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    def interrupt() -> Approximant:
        raise KeyboardInterrupt

    stub.answer = interrupt
    done = run("build", "x**2", "--eps", "1e-9", "-o", "out.approx", "--plot", "out.png")
    assert done.exit_code == 130 and done.stderr.strip() == "approx: interrupted; nothing was written"
    assert list(Path().iterdir()) == []


# -- verify ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["approx", "onnx"])
def test_verify_proves_refutes_and_encloses(run: Callable[..., Result], kind: str) -> None:
    name = f"net.{kind}"
    secant().save(name) if kind == "approx" else secant().to_onnx(name)
    proved = run("verify", name, "x**2", "--eps", "0.26")
    assert proved.exit_code == 0 and "proved: sup |target - network| <= 0.26" in proved.stdout
    wrong = run("verify", name, "x**2", "--eps", "0.24")
    assert wrong.exit_code == 1 and "refuted" in wrong.stdout and "at the point 1/2" in wrong.stdout
    assert run("verify", name, "x**2").exit_code == 0
    found = json.loads(run("verify", name, "x**2", "--eps", "0.24", "--json").stdout)
    assert found.keys() >= KEYS and found["verdict"] == "refuted" and found["witness_exact"] == ["1/2"]
    assert found["lower"] <= 0.25 <= found["upper"] <= 0.2525


@pytest.mark.parametrize(("eps", "code"), [("0.25000001", 0), ("0.24999999", 1)])
def test_verify_tightens_until_a_close_accuracy_is_decided(run: Callable[..., Result], eps: str, code: int) -> None:
    b = Builder(1)
    b.build([b.relu(b.input()) * 0.75]).save("net.approx")  # misses sin(pi x)/4 + 3x/4 by 1/4
    assert run("verify", "net.approx", "sin(pi*x)/4 + 3*x/4", "--rtol", "1/2", "--eps", eps).exit_code == code


def test_verify_uses_the_domain_of_the_file_unless_told(run: Callable[..., Result]) -> None:
    Approximant(secant(), Target("x**2", domain=(0, "1/2")), 1.0, "secant", "").save("a.approx")
    assert json.loads(run("verify", "a.approx", "x**2", "--json").stdout)["domain"] == "[0, 1/2]"
    told = run("verify", "a.approx", "x**2", "--domain", "-1", "1", "--json")
    assert json.loads(told.stdout)["domain"] == "[-1, 1]" and json.loads(told.stdout)["lower"] == 2.0


def test_verify_does_not_believe_the_file(run: Callable[..., Result]) -> None:
    from dataclasses import replace

    honest = parabola()
    assert honest.certificate is not None
    false = replace(honest, certificate=replace(honest.certificate, lower=0.0, upper=1e-9), bound=1e-9)
    false.save("false.approx")
    assert run("verify", "false.approx", "x**2", "--eps", "1e-3").exit_code == 1
    assert run("show", "false.approx", "--check").exit_code == 1
    assert "a claim of the file" in run("show", "false.approx").stdout


def test_verify_is_undecided_when_the_budget_is_too_small(run: Callable[..., Result]) -> None:
    b = Builder(2)
    b.build([b.relu(b.input(0) + b.input(1)) - b.relu(b.input(0) - b.input(1))]).save("net.approx")
    command = ("verify", "net.approx", "sin(40*x*y)", "--domain", 0, 1, "--domain", 0, 1, "--seconds", "1e-6")
    done = run(*command, "--eps", "1.9999", "--json")
    assert done.exit_code in (1, 2), done.output
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["verdict"] == ("refuted" if done.exit_code == 1 else "undecided")
    assert run("verify", "net.approx", "sin(40*x*y)", *command[3:]).exit_code == 2


# -- show, methods, export ------------------------------------------------------------------------------------------------


def test_show_describes_and_checks(run: Callable[..., Result]) -> None:
    parabola().save("a.approx")
    done = run("show", "a.approx", "--check", "--level", "full")
    assert done.exit_code == 0, done.output
    for word in ("x**2", "secant", "certified", "statement", "Network R^1 -> R^1", "check (full): passed"):
        assert word in done.stdout
    assert json.loads(run("show", "a.approx", "--check", "--json").stdout)["checked"]["ok"] is True
    secant().save("net.approx")
    assert "Network R^1" in run("show", "net.approx").stdout
    assert_refused(run("show", "net.approx", "--check"), "certificate")


def test_methods_lists_every_construction(run: Callable[..., Result]) -> None:
    import constructions

    names = [row.name for row in constructions.catalogue()]
    shown = run("methods")
    assert shown.exit_code == 0 and names and all(name in shown.stdout for name in names)
    listed = json.loads(run("methods", "--json").stdout)
    assert [row["name"] for row in listed] == names


def test_methods_on_a_terminal_is_a_table() -> None:
    from approx.cli import _methods_table
    from constructions import catalogue

    table = _methods_table(catalogue())
    assert "guarantee" in table and all(len(line) <= 400 for line in table.splitlines())


def test_export_prints_the_parity_report(run: Callable[..., Result]) -> None:
    parabola().save("a.approx")
    done = run("export", "a.approx", "out.onnx", "--dtype", "float32")
    assert done.exit_code == 0 and "float32" in done.stdout and "observed difference" in done.stdout
    assert approx.from_onnx("out.onnx").size.weights == 1


@pytest.mark.parametrize(("verdicts", "code"), [([True, True], 0), ([True, False], 1), ([], 1)])
def test_check_runs_the_statements(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verdicts: list[bool], code: int
) -> None:
    asked: list[Any] = []

    def statements(paper: str | None = None, full: bool = False) -> list[SimpleNamespace]:
        asked.append((paper, full))
        return [SimpleNamespace(ok=ok) for ok in verdicts]

    module = SimpleNamespace(run=statements, report=lambda results: f"{len(results)} statements")
    monkeypatch.setitem(sys.modules, "proofs_checks", module)
    done = run("check", "P16", "--full")
    assert done.exit_code == code and done.stdout == f"{len(verdicts)} statements\n" and asked == [("P16", True)]


# -- bad input: the list of the issue ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("foo(x)", ["unknown function 'foo'"]),
        ("x + w", ["unknown name 'w'"]),
        ("x + y", ["variable"]),
        ("sin(2*pi*x", ["expected ')'", "^"]),
        ("2 x", ["operator", "^"]),
        ("", ["empty"]),
        ("1/(x - 1/2)", ["division by zero", "1/2"]),
        ("log(x - 1/2)", ["logarithm"]),
        ("sqrt(x - 1/2)", ["square root"]),
        ("9**9**9**9", ["exponent"]),
        ("(" * 200 + "x" + ")" * 200, ["nesting"]),
        ("(" * 5000 + "x" + ")" * 5000, []),
        ("x" + "**x" * 300, ["nesting"]),
        ("10**99999 * x", ["bits"]),
        ("__import__('os').system('touch out.hacked')", []),
    ],
)
def test_bad_expressions(run: Callable[..., Result], expression: str, words: list[str]) -> None:
    started = time.process_time()
    assert_refused(run("build", expression, "--domain", "0", "1", "--eps", "1e-3", "-o", "out.approx"), *words)
    assert time.process_time() - started < 1


def test_the_caret_stands_under_the_error(run: Callable[..., Result]) -> None:
    lines = run("build", "1 + foo(x)", "--eps", "1e-3").stderr.splitlines()
    assert lines[1][lines[2].index("^") :].startswith("foo")


@pytest.mark.parametrize("text", ["x+" * 5_000_000 + "x", "(" * 10_000_000, "9" * 10_000_000, "sin" * 3_000_000])
def test_ten_megabytes_are_refused_within_a_second(run: Callable[..., Result], text: str) -> None:
    started = time.process_time()
    done = run("build", text, "--eps", "1e-3", "-o", "out.approx")
    assert time.process_time() - started < 1
    assert_refused(done, "characters")
    assert len(done.stderr) < 1000


@pytest.mark.parametrize(
    "ends", [("1", "0"), ("1", "1"), ("nan", "1"), ("0", "inf"), ("0", "x"), ("0", "1/0"), ("0", "1e99999"), ("", "1")]
)
def test_bad_domains(run: Callable[..., Result], ends: tuple[str, str]) -> None:
    assert_refused(run("build", "x**2", "--domain", *ends, "--eps", "1e-3", "-o", "out.approx"), "domain")


@pytest.mark.parametrize("eps", ["0", "-1e-3", "nan", "inf", "x", "", "1e-99999", "small"])
def test_bad_eps(run: Callable[..., Result], eps: str) -> None:
    assert_refused(run("build", "x**2", "--eps", eps, "-o", "out.approx"), "--eps")
    secant().save("net.approx")
    assert_refused(run("verify", "net.approx", "x**2", "--eps", eps), "--eps")


@pytest.mark.parametrize("option", ["--rtol", "--seconds"])
def test_bad_numbers(run: Callable[..., Result], option: str) -> None:
    for text in ("0", "-1", "nan"):
        assert_refused(run("build", "x**2", "--eps", "1e-3", option, text), option)


def test_bad_methods_and_options(run: Callable[..., Result]) -> None:
    def build(*more: str) -> Result:
        return run("build", "exp(x)", "--eps", "1e-3", "-o", "out.approx", *more)

    assert_refused(build("--method", "magic"), "magic", "piecewise-linear")
    assert_refused(build("--set", "order=3"), "--method")
    assert_refused(build("--method", "local-taylor", "--set", "ordr=3"), "ordr", "order")
    assert_refused(build("--method", "local-taylor", "--set", "order"), "NAME=VALUE")
    assert_refused(build("--method", "local-taylor", "--set", "order=0"), "order")
    assert_refused(build("--method", "local-taylor", "--set", "order=-1"), "order")


def test_usage_errors_exit_with_3_too(run: Callable[..., Result]) -> None:
    for command in (["build"], ["build", "x"], ["buidl", "x"], ["build", "x", "--eps", "1", "--frob"], ["verify", "x"]):
        assert_refused(run(*command), "--help")


def test_files_that_are_not_what_they_claim(run: Callable[..., Result]) -> None:
    parabola().save("good.approx")
    data = Path("good.approx").read_bytes()
    import io
    import zipfile

    def altered(old: bytes, new: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as copy:
            for member in source.namelist():
                copy.writestr(member, source.read(member).replace(old, new))
        return out.getvalue()

    files = {
        "truncated.approx": data[: len(data) // 2],
        "empty.approx": b"",
        "text.approx": b"import os; os.system('true')",
        "version.approx": altered(b'"version": 1', b'"version": 2'),
        "nested.approx": altered(b'"budget": []', b'"budget": ' + b"[" * 100_000 + b"]" * 100_000),
        "huge.approx": altered(b'"units": 1', b'"units": 1000000000000'),
        "truncated.onnx": b"\x08\x08\x12\x06approx\x3a\xff\xff\xff\x7f",
    }
    for name, contents in files.items():
        Path(name).write_bytes(contents)
        for command in (["show", name], ["verify", name, "x**2"], ["export", name, "out.onnx"]):
            started = time.process_time()
            assert_refused(run(*command))
            assert time.process_time() - started < 1, name
    assert "version 2" in run("show", "version.approx").stderr
    assert_refused(run("show", "missing.approx"), "missing.approx", "No such file")
    assert_refused(run("show", "."), "folder")


def test_onnx_with_unsupported_operators_names_them(run: Callable[..., Result]) -> None:
    import onnx

    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Softmax", ["x"], ["h"]), onnx.helper.make_node("TopK", ["h", "h"], ["y", "i"])]
    ends = [value("x", onnx.TensorProto.DOUBLE, ["N", 1])], [value("y", onnx.TensorProto.DOUBLE, ["N", 1])]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", *ends)), "softmax.onnx")
    assert_refused(run("verify", "softmax.onnx", "x"), "Softmax", "TopK")


def test_networks_that_do_not_fit_the_target(run: Callable[..., Result]) -> None:
    b = Builder(2)
    b.build([b.input(0)]).save("two.approx")
    assert_refused(run("verify", "two.approx", "x"), "2 inputs")


@pytest.mark.parametrize(
    ("option", "path"),
    [("-o", "missing/out.approx"), ("-o", "folder"), ("--plot", "missing/out.png"), ("--plot", "out.xyz"), ("--onnx", "folder"),
     ("--onnx", "out.txt"), ("-o", "")],
)  # fmt: skip
def test_places_that_cannot_be_written_are_refused_before_the_work(
    run: Callable[..., Result], stub: SimpleNamespace, option: str, path: str
) -> None:
    Path("folder").mkdir()
    assert_refused(run("build", "x**2", "--eps", "1", option, path))
    assert stub.calls == []


def test_one_place_for_two_files_is_refused(run: Callable[..., Result], stub: SimpleNamespace) -> None:
    assert_refused(run("build", "x", "--eps", "1", "-o", "out.onnx", "--onnx", "./out.onnx"), "different file")


def test_no_write_permission(
    run: Callable[..., Result], stub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, whom nothing stops
    assert_refused(run("build", "x", "--eps", "1", "-o", "out.approx"), "write permission")
    assert stub.calls == []


# -- real processes -------------------------------------------------------------------------------------------------------


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "approx", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False, **options
    )


def test_process_exit_codes(tmp_path: Path) -> None:
    secant().save(tmp_path / "net.approx")
    good = process("verify", "net.approx", "x**2", "--eps", "0.26", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    bad = process("build", "1/x", "--eps", "1", "-o", "out.approx", cwd=tmp_path)
    assert bad.returncode == 3 and len(bad.stderr.splitlines()) == 1 and bad.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["net.approx"]


def test_process_that_builds_says_nothing_on_stderr(tmp_path: Path) -> None:
    done = process("build", "x**2", "--eps", "1e-2", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["upper"] <= 1e-2


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """A certification that would take minutes, interrupted after a moment: the enclosure so far, and exit code 130."""
    b = Builder(2)
    b.build([b.relu(b.input(0) + b.input(1) - 1)]).save(tmp_path / "net.approx")
    command = [sys.executable, "-m", "approx", "verify", "net.approx", "sin(30000*x*y)*cos(20000*x)", "--domain", "0", "1"]
    command += ["--domain", "0", "1", "--rtol", "1e-9", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        time.sleep(8)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "Traceback" not in err, err
    if out:
        found = json.loads(out, parse_constant=pytest.fail)
        assert found["verdict"] == "undecided" and (found["upper"] is None or found["lower"] <= found["upper"])
    assert [p.name for p in tmp_path.iterdir()] == ["net.approx"]
