"""Pieces of HTML; all text of a run is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["cell", "document", "figures", "heading", "pairs", "preformatted", "section", "table"]

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 0 auto; max-width: 68rem;
  padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #eee; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
pre { background: #f6f6f4; padding: .75rem; overflow-x: auto; font-size: 13px; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figcaption { font-size: 13px; color: #555; }
svg { max-width: 100%; height: auto; }
.good { color: #00664a; } .bad { color: #a33a00; }
"""


def document(title: str, body: str) -> str:
    """Return a whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n{body}\n"
        "</body></html>\n"
    )


def heading(text: str, level: int) -> str:
    """Return a heading; 1 is that of the page."""
    return f"<h{level}>{escape(text)}</h{level}>"


def section(title: str, *parts: str) -> str:
    """Return a section, empty if all its parts are."""
    content = "\n".join(filter(None, parts))
    return f"<section>\n{heading(title, 2)}\n{content}\n</section>" if content else ""


def figures(*drawn: tuple[str, str]) -> str:
    """Return charts with their captions, side by side where there is room."""
    return "".join(
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"
        for caption, svg in drawn
    )


def table(rows: Sequence[Mapping[str, object]], most: int = 0) -> str:
    """Return a table of rows with the same keys; of more than `most` rows the first ones."""
    if not rows:
        return ""
    shown = rows[:most] if most else rows
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{cell(value)}</td>' for value in row.values())}</tr>\n"
        for row in shown
    )
    rest = f"<p>{len(rows) - len(shown):,} more are left out.</p>" if len(rows) > len(shown) else ""
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>{rest}"


def pairs(found: Mapping[str, object]) -> str:
    """Return a table of names and values."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{cell(value)}</td></tr>\n" for name, value in found.items()
    )
    return f"<table><tbody>\n{lines}</tbody></table>" if lines else ""


def preformatted(text: str) -> str:
    """Return text as it is."""
    return f"<pre>{escape(text)}</pre>" if text else ""


def cell(value: object) -> str:
    """Return a number with six digits, a count with all of them, text escaped."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))
