"""Faults of an opened page that a reader would meet; each check gives a line per fault."""

import io
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page

LEAST_LETTERS = 7.5  # px: the height of a chart's letters
LEAST_CONTRAST = 4.0  # WCAG 2 asks for 4.5, which small letters show as 4.2
ONLY_ON_SCREENS = ".narrow, .slider, .csv, .up"
GRAVE = ("serious", "critical")
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"


def too_wide(page: Page) -> list[str]:
    """Whether the page as a whole scrolls sideways, and what makes it so."""
    return _ask(page, "too_wide")


def cut_off(page: Page) -> list[str]:
    """Elements that paper cannot hold: beyond its edges, or in boxes that would have to be scrolled."""
    return _ask(page, "cut_off")


def not_shown(page: Page) -> list[str]:
    """Texts that are in the page but cannot be seen, except those that only a screen needs."""
    return _ask(page, "not_shown", ONLY_ON_SCREENS)


def without_alternative(page: Page) -> list[str]:
    """Pictures that say nothing to who cannot see them."""
    return _ask(page, "without_alternative")


def distorted(page: Page) -> list[str]:
    """Pictures that are wider or higher than they should be."""
    return _ask(page, "distorted")


def illegible(page: Page) -> list[str]:
    """Letters of charts that are too small, outside their chart, or over each other."""
    return _ask(page, "illegible", LEAST_LETTERS)


def pale(page: Page) -> list[str]:
    """Letters of charts that hardly differ from what is behind them, as drawn; axe-core does not look at charts."""
    letters = _ask(page, "letters")
    drawn = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB") if letters else None
    contrasts = [(one["text"], _contrast(np.asarray(drawn.crop(tuple(map(round, one["box"])))))) for one in letters]
    return [f'"{text}" has a contrast of {contrast:.1f}' for text, contrast in contrasts if contrast < LEAST_CONTRAST]


def _contrast(drawn: np.ndarray) -> float:
    """Between the brightest and the darkest pixel, as WCAG 2 counts."""
    part = drawn / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    light = linear @ (0.2126, 0.7152, 0.0722)
    return float((light.max() + 0.05) / (light.min() + 0.05))


def faults_of(page: Page) -> dict[str, list[str]]:
    """All of these, by check: those of screens, or those of paper where the page is as printed."""
    is_printed = page.evaluate("matchMedia('print').matches")
    checks = (cut_off, not_shown) if is_printed else (too_wide,)
    checks += (without_alternative, distorted, illegible, pale)
    return {check.__name__: found for check in checks if (found := check(page))}


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


def _ask(page: Page, check: str, *options: Any) -> Any:
    script = _script(Path(__file__).with_name("checks.js"))
    return page.evaluate(f"options => {{ {script} return checks.{check}(...options); }}", options)


@cache
def _script(path: Path) -> str:
    return path.read_text(encoding="utf-8")
