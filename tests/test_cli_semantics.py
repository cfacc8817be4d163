"""Does `approx verify` certify executions in float32 and float64, and relative errors, with the same exit codes?"""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from approx.cli import main
from approx.networks import Builder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_verify_of_executions_and_relative_errors(tmp_path: Path) -> None:
    b = Builder(1)
    b.build([1 + b.relu(b.input()) * 0.1 + b.relu(b.input() - 0.5)]).to_onnx(tmp_path / "n.onnx")
    arguments = ["verify", str(tmp_path / "n.onnx"), "1+x**2"]
    found = {}
    for options in ([], ["--semantics", "float32"], ["--norm", "rel"], ["--norm", "rel", "--semantics", "float64"]):
        done = run(*arguments, *options, "--json")
        assert done.exit_code == 0
        found[tuple(options[1::2])] = json.loads(done.stdout)
    exact, single, relative = found[()], found["float32",], found["rel",]
    assert exact["slack"] == 0 and 0 < single["slack"] < 1e-5 and single["semantics"] == "float32"
    assert exact["lower"] <= single["upper"] and relative["norm"] == "rel" and relative["upper"] < exact["lower"]
    done = run(*arguments, "--semantics", "float32", "--eps", "0.5")
    assert done.exit_code == 0 and "in float32 execution" in done.stdout
    done = run(*arguments, "--norm", "rel", "--eps", "0.01")
    assert done.exit_code == 1 and "/ |target| >=" in done.stdout
    assert run(*arguments, "--semantics", "float16").exit_code == 3
    assert run("verify", str(tmp_path / "n.onnx"), "x-1/3", "--norm", "rel").exit_code == 3
