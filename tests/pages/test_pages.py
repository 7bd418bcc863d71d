"""Every kind of page in headless Chromium: no complaint at any width, nothing out of reach, nothing lost on paper."""

import pytest

from tests.pages import checks
from tests.pages.browser import PAPER, opened
from tests.pages.made import PAGES
from tests.pages.studies import STUDIES, study_page

pytestmark = pytest.mark.slow  # a browser is started
HEAVIEST = 600_000  # bytes
VIEWS = ((400, "light"), (800, "light"), (1200, "dark"))


@pytest.fixture(params=PAGES)
def path(request, written):
    return written(request.param)


def test_pages_are_light(path):
    assert path.stat().st_size < HEAVIEST


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_every_reader_can_use_it(browser, path, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, complaints):
        assert checks.faults_of(page) == {}
        assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), VIEWS[::2])
def test_axe_core_finds_nothing_grave(browser, path, axe, width, scheme):
    with opened(browser, path, width, scheme=scheme) as (page, _):
        assert checks.grave_violations(page, axe) == []


def test_paper_has_everything(browser, path):
    with opened(browser, path, PAPER, media="print") as (page, complaints):
        assert checks.faults_of(page) == {}
        assert complaints == []


@pytest.mark.parametrize("name", STUDIES)
def test_pages_of_studies_are_sound(browser, tmp_path, name):
    path = study_page(name, tmp_path)
    assert path.stat().st_size < HEAVIEST
    for width, scheme in VIEWS[::2]:
        with opened(browser, path, width, scheme=scheme) as (page, complaints):
            assert checks.faults_of(page) == {}
            assert complaints == []
    with opened(browser, path, PAPER, media="print") as (page, _):
        assert checks.faults_of(page) == {}
