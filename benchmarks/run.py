"""Which benchmark to run? `python benchmarks/run.py NAME...` prints one table per name; without a name it lists them.

Every table is measured within one run (medians), so that its ratios mean something on a shared machine; absolute figures
do not travel. Set OPENBLAS_NUM_THREADS=1 for one core.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks: every module of this folder that has a `table` function."""
    here = Path(__file__).parent
    return sorted(p.stem for p in here.glob("*.py") if "\ndef table(" in p.read_text(encoding="utf-8"))


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks and print their tables; 3 for an unknown name."""
    sys.path.insert(0, str(Path(__file__).parent))
    unknown = [name for name in chosen if name not in names()]
    if unknown or not chosen:
        print(f"benchmarks: {', '.join(names())}" + (f"; unknown: {', '.join(unknown)}" if unknown else ""))
        return 3 if unknown else 0
    for name in chosen:
        module = importlib.import_module(name)
        print(f"# {name}: {(module.__doc__ or '').splitlines()[0]}")
        for line in aligned(module.table()):
            print(line)
    return 0


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as lines with aligned columns."""
    widths = [max(len(row[i]) if i < len(row) else 0 for row in rows) for i in range(max(map(len, rows)))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)).rstrip() for row in rows]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
