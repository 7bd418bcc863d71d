"""Every kind of page in headless Chromium: no complaint at any width, nothing out of reach, nothing lost on paper."""

import pytest

from tests.pages import checks
from tests.pages.browser import PAPER, opened
from tests.pages.made import PAGES

pytestmark = pytest.mark.slow  # a browser is started
HEAVIEST = 600_000  # bytes
ONLY_ON_SCREENS = ".narrow, .slider, .csv, .up"


@pytest.fixture(params=PAGES)
def path(request, written):
    return written(request.param)


def test_pages_are_light(path):
    assert path.stat().st_size < HEAVIEST


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (800, "light"), (1200, "dark")])
def test_every_reader_can_use_it(browser, path, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, complaints):
        faults = {check.__name__: check(page) for check in (checks.too_wide, checks.without_alternative, checks.illegible)}
    assert {**faults, "complaints": complaints} == {**dict.fromkeys(faults, []), "complaints": []}


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1200, "dark")])
def test_axe_core_finds_nothing_grave(browser, path, axe, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, _):
        assert checks.grave_violations(page, axe) == []


def test_paper_has_everything(browser, path):
    with opened(browser, path, PAPER, media="print") as (page, complaints):
        assert checks.cut_off(page) == []
        assert checks.not_shown(page, ONLY_ON_SCREENS) == []
        assert complaints == []
