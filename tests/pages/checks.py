"""Faults of an opened page that a reader would meet; each check gives a line per fault."""

import json
import os
from functools import cache
from pathlib import Path

from playwright.sync_api import Page

GRAVE = ("serious", "critical")
LEAST_LETTERS = 9  # px
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"

NAME = """
const name = one => {
  const kind = one.getAttribute('class'), heading = one.closest('section')?.id;
  return one.localName + (one.id ? '#' + one.id : '') + (kind ? '.' + kind.replaceAll(' ', '.') : '')
    + (heading ? ` in #${heading}` : '') + ` "${one.textContent.trim().replace(/\\s+/g, ' ').slice(0, 40)}"`;
};
"""

TOO_WIDE = """
(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const outside = one => one.getBoundingClientRect().right > width + 1;
  const scrolled = one => one.closest('*') && [...parents(one)].some(up => getComputedStyle(up).overflowX !== 'visible');
  const parents = function* (one) { while ((one = one.parentElement) && one !== document.body) yield one; };
  const found = [...document.body.querySelectorAll('*')].filter(one => outside(one) && !scrolled(one));
  return [`the body scrolls to ${document.documentElement.scrollWidth} of ${width} px: ` + found.slice(0, 3).map(name).join('; ')];
})()
"""

CUT_OFF = """
(() => {
  const width = document.documentElement.clientWidth, found = [];
  for (const one of document.body.querySelectorAll('*')) {
    if (!one.checkVisibility() || one.closest('svg') && one.localName !== 'svg') continue;
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (!box.width || !box.height) continue;
    if (box.right > width + 1 || box.left < -1)
      found.push(`${name(one)} reaches from ${Math.round(box.left)} to ${Math.round(box.right)} of ${width} px`);
    else if (style.overflowX !== 'visible' && one.scrollWidth > one.clientWidth + 1)
      found.push(`${name(one)} shows ${one.clientWidth} of ${one.scrollWidth} px`);
    else if (style.overflowY !== 'visible' && one.scrollHeight > one.clientHeight + 1)
      found.push(`${name(one)} shows ${one.clientHeight} of ${one.scrollHeight} px in height`);
  }
  return found;
})()
"""

NOT_SHOWN = """
(() => {
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const one = text.parentElement;
    if (!text.data.trim() || one.closest('script, style, template, title, desc, nav, button, %s')) continue;
    if (!one.checkVisibility({visibilityProperty: true, opacityProperty: true})) found.push(name(one));
  }
  return found;
})()
"""

WITHOUT_ALTERNATIVE = """
(() => {
  const hidden = one => one.closest('[aria-hidden=true]');
  const said = one => one.getAttribute('aria-label') || one.getAttribute('alt')
    || document.getElementById(one.getAttribute('aria-labelledby') ?? '')?.textContent
    || one.querySelector(':scope > title')?.textContent;
  return [...document.querySelectorAll('img, svg, canvas, [role=img]')]
    .filter(one => !hidden(one) && !said(one)?.trim()).map(one => name(one));
})()
"""

ILLEGIBLE = """
(() => {
  const found = [], said = text => `"${text.textContent.trim().slice(0, 30)}"`;
  for (const svg of document.querySelectorAll('svg')) {
    if (!svg.checkVisibility()) continue;
    const frame = svg.getBoundingClientRect(), chart = svg.getAttribute('aria-label')?.slice(0, 30), boxes = [];
    for (const text of svg.querySelectorAll('text')) {
      if (!text.textContent.trim()) continue;
      const box = text.getBoundingClientRect(), matrix = text.getScreenCTM();
      const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b);
      if (size < LEAST) found.push(`${said(text)} in "${chart}" is ${size.toFixed(1)} px high`);
      if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
        found.push(`${said(text)} in "${chart}" leaves the chart`);
      for (const [other, one] of boxes) {
        const width = Math.min(box.right, one.right) - Math.max(box.left, one.left);
        const height = Math.min(box.bottom, one.bottom) - Math.max(box.top, one.top);
        if (width > 2 && height > Math.min(box.height, one.height) / 3)
          found.push(`${said(text)} in "${chart}" lies over ${said(other)}`);
      }
      boxes.push([text, box]);
    }
  }
  return found;
})()
"""


def illegible(page: Page) -> list[str]:
    """Letters of charts that are too small, outside their chart, or over each other."""
    return _ask(page, ILLEGIBLE.replace("LEAST", str(LEAST_LETTERS)))


def too_wide(page: Page) -> list[str]:
    """Whether the page as a whole scrolls sideways, and what makes it so."""
    return _ask(page, TOO_WIDE)


def cut_off(page: Page) -> list[str]:
    """Elements that paper cannot hold: beyond its edges, or in boxes that would have to be scrolled."""
    return _ask(page, CUT_OFF)


def not_shown(page: Page, allowed: str = ".screen-only") -> list[str]:
    """Texts that are in the page but cannot be seen; controls and elements of the selector `allowed` may be hidden."""
    return _ask(page, NOT_SHOWN.replace("%s", allowed))


def without_alternative(page: Page) -> list[str]:
    """Pictures that say nothing to who cannot see them."""
    return _ask(page, WITHOUT_ALTERNATIVE)


def axe_core() -> Path | None:
    """The script of axe-core: of the variable AXE_CORE, or where npm puts it; None without it."""
    path = Path(os.environ.get("AXE_CORE") or "node_modules/axe-core/axe.min.js")
    return path if path.is_file() else None


@cache
def _script(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def grave_violations(page: Page, axe: Path) -> list[str]:
    """What axe-core calls serious or critical, in all of the page."""
    page.evaluate(UNFOLD)
    page.evaluate(_script(axe))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']} ({one['impact']}, {len(one['nodes'])} times): {one['help']}: "
        + "; ".join(f"{node['html'][:120]} {_why(node)}" for node in one["nodes"][:2])
        for one in found
        if one["impact"] in GRAVE
    ]


def _why(node: dict) -> str:
    data = next((check["data"] for check in node["any"] if check["data"]), None)
    if isinstance(data, dict) and "contrastRatio" in data:
        return f"[{data['fgColor']} on {data['bgColor']}: {data['contrastRatio']}]"
    return "" if data is None else f"[{json.dumps(data)[:120]}]"


def _ask(page: Page, question: str) -> list[str]:
    """The answer to a question in JavaScript, which has `name` for elements."""
    return page.evaluate(f"(() => {{ {NAME} return {question.strip()} }})()")
