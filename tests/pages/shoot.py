"""Screenshots of pages as readers see them: wide, on a phone, dark, without red and green, in print.

python -m tests.pages.shoot runs/demo/report.html --out shots
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.browser import PAPER, browsing, opened
from tests.pages.checks import axe_core, faults_of, grave_violations

MOST = 6  # faults of a kind that are told

VIEWS = {
    "1200": {"width": 1200},
    "400": {"width": 400},
    "dark": {"width": 1200, "scheme": "dark"},
    "deuteranopia": {"width": 1200, "vision": "deuteranopia"},
    "print": {"width": PAPER, "media": "print"},
}


def main() -> None:
    """Shoot every page in every view, and say where the pictures are."""
    parser = argparse.ArgumentParser(prog="python -m tests.pages.shoot", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="HTML files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures; made where it is missing")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS), help="of these only (default: all)")
    parser.add_argument("--unfold", action="store_true", help="open what is folded first")
    parser.add_argument("--cut", type=int, metavar="PX", help="pieces of this height instead of one long picture")
    parser.add_argument("--check", action="store_true", help="also say what the tests of pages would complain about")
    options = parser.parse_args()
    if missing := [str(page) for page in options.pages if not page.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with browsing() as browser:
        for path in options.pages:
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
            for view in options.views:
                for picture in shoot(browser, path, view, options.out, unfold=options.unfold, cut=options.cut):
                    print(picture)
                if options.check:
                    check(browser, path, view)


def check(browser: Browser, path: Path, view: str) -> None:
    """Print the faults of a page in a view."""
    with opened(browser, path, **VIEWS[view]) as (page, complaints):
        faults = {**faults_of(page), "complaints": complaints}
        if view != "print" and (axe := axe_core()):
            faults["axe-core"] = grave_violations(page, axe)
        for kind, found in faults.items():
            for fault in [*found[:MOST], *([f"... {len(found)} in all"] if len(found) > MOST else [])]:
                print(f"{path} {view} {kind}: {fault}")


def shoot(browser: Browser, path: Path, view: str, out: Path, *, unfold: bool, cut: int | None) -> Iterable[Path]:
    """The whole page, or its pieces from the top, as OUT/FOLDER-PAGE-VIEW[-PIECE].png."""
    path = path.resolve()
    with opened(browser, path, **VIEWS[view]) as (page, _):
        if unfold:
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        stem = f"{path.parent.name}-{path.stem}-{view}"
        width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        if cut is None:
            page.screenshot(path=out / f"{stem}.png", full_page=True)
            yield out / f"{stem}.png"
        for piece, top in enumerate(range(0, height, cut) if cut else ()):
            clip = {"x": 0, "y": top, "width": width, "height": min(cut, height - top)}
            page.screenshot(path=out / f"{stem}-{piece}.png", full_page=True, clip=clip)
            yield out / f"{stem}-{piece}.png"


if __name__ == "__main__":
    main()
