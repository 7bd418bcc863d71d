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


LOOKS = (checks.without_alternative, checks.distorted, checks.illegible, checks.pale)


def faults_of(page, *found):
    return {check.__name__: faults for check in found if (faults := check(page))}


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (800, "light"), (1200, "dark")])
def test_every_reader_can_use_it(browser, path, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, complaints):
        assert faults_of(page, checks.too_wide, *LOOKS) == {}
        assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1200, "dark")])
def test_axe_core_finds_nothing_grave(browser, path, axe, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, _):
        assert checks.grave_violations(page, axe) == []


def test_paper_has_everything(browser, path):
    with opened(browser, path, PAPER, media="print") as (page, complaints):
        assert faults_of(page, checks.cut_off, *LOOKS) == {}
        assert checks.not_shown(page, ONLY_ON_SCREENS) == []
        assert complaints == []
