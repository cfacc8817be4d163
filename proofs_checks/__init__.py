"""Do the numbered statements of the papers hold for what is built here? One module per paper, run as tests and report."""

from proofs_checks.statements import Check, Result, checks, report, run, statement

__all__ = ["Check", "Result", "checks", "report", "run", "statement"]
