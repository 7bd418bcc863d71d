"""The browser, axe-core, and the pages that are looked at."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages.browser import NONE, browsing, chromium
from tests.pages.checks import axe_core
from tests.pages.made import PAGES


@pytest.fixture(scope="module")  # not longer: other tests of this process need event loops, and Playwright's is running
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip(NONE)
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="session")
def axe() -> Path:
    if (path := axe_core()) is None:
        pytest.skip("no axe-core here: `npm install --no-save axe-core`, or its axe.min.js in the variable AXE_CORE")
    return path


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the page of a name is; it is written when it is first asked for."""

    @cache
    def write(name: str) -> Path:
        return PAGES[name](tmp_path_factory.mktemp("page"))

    return write
