"""Pages in a headless Chromium of the distribution, opened from disk, with whatever they complain about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
NONE = f"no Chromium here (looked for {', '.join(NAMES)}); install the distribution's"
PHONE = 600  # px: narrower windows are touched
PAPER = 718  # px: an A4 sheet at 96 px an inch, without Chromium's margins of 1 cm
ALLOWED = ("file:", "data:", "blob:", "about:")


class Opened(NamedTuple):
    """A page in a tab of its own, and its complaints so far: errors, failed requests, reaches for the network."""

    page: Page
    complaints: list[str]


def chromium() -> str | None:
    """Where the distribution's Chromium is; None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser. Raises RuntimeError where there is none."""
    if (program := chromium()) is None:
        raise RuntimeError(NONE)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        yield browser


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    width: int,
    *,
    scheme: Literal["light", "dark"] = "light",
    media: Literal["screen", "print"] = "screen",
    vision: Literal["none", "deuteranopia"] = "none",
) -> Iterator[Opened]:
    """A page as a reader with a window of this width sees it, without a network; `print` as it goes on paper."""
    view = {"viewport": {"width": width, "height": 900}, "has_touch": width < PHONE, "color_scheme": scheme}
    complaints: list[str] = []

    def pass_on(route: Route, request: Request) -> None:
        if request.url.startswith(ALLOWED):
            route.continue_()
        else:
            complaints.append(f"reaches for {request.url}")
            route.abort()

    with browser.new_context(**view) as context:
        context.route("**/*", pass_on)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:200]}"))
        page.emulate_media(media=media)
        if vision != "none":  # such a session takes the page off paper
            context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", {"type": vision})
        page.goto(path.resolve().as_uri())
        if media == "print":
            page.evaluate("dispatchEvent(new Event('beforeprint'))")  # as Chromium does before it lays out the paper
        yield Opened(page, complaints)
