"""Faults of an opened page that a reader would meet; each check gives a line per fault."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

LEAST_LETTERS = 9  # px: the height of a chart's letters
GRAVE = ("serious", "critical")
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"


def too_wide(page: Page) -> list[str]:
    """Whether the page as a whole scrolls sideways, and what makes it so."""
    return _ask(page, "too_wide")


def cut_off(page: Page) -> list[str]:
    """Elements that paper cannot hold: beyond its edges, or in boxes that would have to be scrolled."""
    return _ask(page, "cut_off")


def not_shown(page: Page, allowed: str = ".none") -> list[str]:
    """Texts that are in the page but cannot be seen; controls and elements of the selector `allowed` may be hidden."""
    return _ask(page, "not_shown", allowed)


def without_alternative(page: Page) -> list[str]:
    """Pictures that say nothing to who cannot see them."""
    return _ask(page, "without_alternative")


def distorted(page: Page) -> list[str]:
    """Pictures that are wider or higher than they should be."""
    return _ask(page, "distorted")


def illegible(page: Page) -> list[str]:
    """Letters of charts that are too small, outside their chart, or over each other."""
    return _ask(page, "illegible", LEAST_LETTERS)


def axe_core() -> Path | None:
    """The script of axe-core: of the variable AXE_CORE, or where npm puts it; None without it."""
    if given := os.environ.get("AXE_CORE"):
        return Path(given)
    path = Path("node_modules/axe-core/axe.min.js")
    return path if path.is_file() else None


def grave_violations(page: Page, axe: Path) -> list[str]:
    """What axe-core calls serious or critical, folded parts included."""
    page.evaluate(UNFOLD)
    page.evaluate(_script(axe))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']} ({one['impact']}, {len(one['nodes'])} times): {one['help']}: "
        + "; ".join(f"{node['html'][:120]} {_why(node)}" for node in one["nodes"][:2])
        for one in found
        if one["impact"] in GRAVE
    ]


def _why(node: dict[str, Any]) -> str:
    data = next((check["data"] for check in node["any"] if check["data"]), None)
    return "" if data is None else json.dumps(data)[:200]


def _ask(page: Page, check: str, *options: Any) -> list[str]:
    script = _script(Path(__file__).with_name("checks.js"))
    return page.evaluate(f"options => {{ {script} return checks.{check}(...options); }}", options)


@cache
def _script(path: Path) -> str:
    return path.read_text(encoding="utf-8")
