"""The report: one Report struct in; index.html, report.md and report.json out, the same bytes every time."""

from .render import render

__all__ = ["render"]
