"""Do imports only point left? The one-way rule of the architecture, read from every file's syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "approx": {"approx"},
    "constructions": {"approx", "constructions"},
    "proofs_checks": {"approx", "constructions", "proofs_checks"},
}
#: The command line stands at the end of the flow: the one place that looks right.
EXCEPT = {"approx/cli.py", "approx/cli_rates.py", "approx/__main__.py"}
#: Inside approx a folder loads only those before it.
ORDER = ("numbers", "targets", "networks", "evaluation", "certification", "interchange", "plots", "studies")
OPTIONAL = ("numba", "onnx", "onnxruntime", "torch", "sympy", "dask", "matplotlib")


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(tree: ast.AST, module: str, at_load: bool = False) -> Iterator[str]:
    """Full names of what a file imports; at_load leaves out functions and `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = module.split(".")[: -node.level]
                yield ".".join([*base, node.module] if node.module else base)
            elif node.module:
                yield node.module
        elif at_load and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or for_types(node)):
            continue
        else:
            yield from imported(node, module, at_load)


def sources() -> list[Path]:
    return sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def against_the_flow(source: str, module: str) -> list[str]:
    """The imports of a module that the rule between packages forbids."""
    package = module.split(".")[0]
    found = imported(ast.parse(source), module)
    return [
        name for name in found if name.split(".")[0] in MAY_IMPORT and name.split(".")[0] not in MAY_IMPORT[package]
    ]


def against_the_order(source: str, module: str) -> list[str]:
    """The imports at load time by a folder of approx of a later one."""
    parts = module.split(".")
    if len(parts) < 2 or parts[0] != "approx" or parts[1] not in ORDER:
        return []
    later = ORDER[ORDER.index(parts[1]) + 1 :]
    names = [name.split(".") for name in imported(ast.parse(source), module, at_load=True)]
    return [".".join(n) for n in names if len(n) > 1 and n[0] == "approx" and n[1] in later]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if str(path.relative_to(ROOT).as_posix()) not in EXCEPT:
        assert against_the_flow(source, module_name(path)) == []
    assert against_the_order(source, module_name(path)) == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import constructions", "approx.plots.style"),
        ("def f():\n    from constructions.relu import square", "approx.networks.network"),
        ("if True:\n    import proofs_checks.p16", "constructions.relu.square"),
    ],
)
def test_a_planted_import_against_the_flow_is_caught(source: str, module: str) -> None:
    assert len(against_the_flow(source, module)) == 1


def test_a_planted_import_against_the_order_is_caught() -> None:
    assert against_the_order("from approx.plots import plot_error", "approx.numbers.balls") == ["approx.plots"]
    assert against_the_order("from ..certification import certify", "approx.targets.target") == ["approx.certification"]
    assert against_the_order("def f():\n    from approx.plots import plot_error", "approx.numbers.balls") == []


def test_optional_packages_are_not_loaded_by_import() -> None:
    code = f"import sys, approx; print([n for n in {OPTIONAL!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
