"""Is what the README and the documentation show true? Commands parse, the example runs, links and JSON keys exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from approx import Approximant, Target
from approx.cli import main
from approx.cli_report import Result
from approx.networks import Builder

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def shown_commands(text: str) -> list[list[str]]:
    """Arguments of every `approx ...` command in the shell blocks of a page."""
    found = []
    for line in "\n".join(blocks(text, "sh")).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "approx":
                found.append(words[1:])
    return found


def test_the_two_commands_are_one_line_each() -> None:
    first, second = (block.strip() for block in blocks(README, "sh")[:2])
    assert "\n" not in first + second
    assert "venv" in first and 'approx build "sin(2*pi*x)" --domain 0 1 --eps 1e-6' in first and "--plot" in first
    assert "[test]" in second and "pytest" in second


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_shown_commands_parse(page: Path) -> None:
    for name, *arguments in shown_commands(page.read_text(encoding="utf-8")):
        assert main.commands[name].make_context(name, list(arguments)).info_name == name


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    import click

    [[name, *arguments]] = shown_commands('```sh\napprox build "x" --eps 1 --color\n```')
    with pytest.raises(click.NoSuchOption):
        main.commands[name].make_context(name, list(arguments))


def test_the_python_example_runs(tmp_path: Path) -> None:
    [example] = blocks(README, "python")
    code = "import matplotlib; matplotlib.use('Agg')\n" + example
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exp.approx", "exp.png"]


def test_the_place_for_results_exists() -> None:
    assert README.count("<!-- results: begin") == README.count("<!-- results: end -->") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_every_json_key_is_documented() -> None:
    b = Builder(1)
    found = Approximant(b.build([b.input()]), Target("x**2"), 0.25, "secant", "").certified()
    keys = json.loads(Result(found.network, found.target, found.certificate, found).to_json())
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_version_is_stated_once_and_the_same() -> None:
    import tomllib

    import approx

    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert approx.__version__ == stated and f"version: {stated}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
