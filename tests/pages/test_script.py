"""What a reader does on a page: sort a table, move a slider, point at a value, save numbers, go back to all pages."""

import io

import pandas as pd
import pytest

from segjax.reports import Page, write_page
from segjax.reports.priced import front_chart
from tests.pages.browser import opened
from tests.pages.made import STEPS
from tests.pages.made import full as full_page
from tests.reports.test_priced import made

pytestmark = pytest.mark.slow  # a browser is started


@pytest.fixture
def full(browser, written):
    with opened(browser, written("full"), 1200) as (page, complaints):
        yield page
    assert complaints == []


@pytest.fixture
def decisions(full):
    return full.get_by_role("region", name="Decisions", exact=True)


def column(table, place):
    return table.locator(f"tbody td:nth-child({place})").all_inner_texts()


def test_the_answer_is_in_the_first_screen(full):
    order = ["h1", ".question", ".verdict", ".note", ".chart svg:visible"]
    tops = [full.locator(one).first.bounding_box() for one in order]
    assert tops == sorted(tops, key=lambda box: box["y"])
    assert tops[-1]["y"] + tops[-1]["height"] <= 900


def test_a_click_on_a_head_sorts_numbers_as_numbers(decisions):
    head = decisions.get_by_role("columnheader", name="difference")
    head.get_by_role("button").click()
    assert column(decisions, 3) == ["-10.2", "+0.7", "+9.5", "-"]
    assert column(decisions, 1)[0] == "U-Net"  # whole rows move
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert column(decisions, 3) == ["+9.5", "+0.7", "-10.2", "-"]
    assert head.get_attribute("aria-sort") == "descending"
    other = decisions.get_by_role("columnheader", name="test sets")
    other.get_by_role("button").click()
    assert column(decisions, 5) == ["1", "5", "5", "10"]
    assert head.get_attribute("aria-sort") is None


def test_texts_sort_as_texts(decisions):
    decisions.get_by_role("button", name="compared").click()
    assert column(decisions, 1)[:2] == [
        "MSD",
        "outlines drawn by a person who had never seen such cells, and repaired by a network afterwards",
    ]


def test_a_slider_changes_what_is_shown(full):
    gallery = full.locator(".gallery").first
    slider, stack = gallery.get_by_role("slider"), gallery.locator(".stack").first
    slider.scroll_into_view_if_needed()
    by_key = {}
    slider.focus()
    for step, presses in zip(STEPS, ("Home", "PageUp", "End"), strict=True):
        if step == STEPS[1]:
            gallery.get_by_role("button", name=step).press("Enter")
        else:
            slider.press(presses)
        assert slider.get_attribute("aria-valuetext") == step
        by_key[step] = stack.screenshot()
    assert len(set(by_key.values())) == len(STEPS)
    box = slider.bounding_box()
    for step, share in zip(STEPS, (0.01, 0.5, 0.99), strict=True):
        slider.click(position={"x": share * box["width"], "y": box["height"] / 2})
        assert stack.screenshot() == by_key[step], step
    slider.press("ArrowLeft")
    assert stack.screenshot() != by_key[STEPS[-1]]


def test_a_slider_moves_all_pictures_of_its_gallery_only(full):
    first, second = (full.locator(".gallery").nth(place) for place in (0, 1))
    before = second.locator(".stack").first.screenshot(), first.locator(".stack").last.screenshot()
    first.get_by_role("slider").press("Home")
    assert second.locator(".stack").first.screenshot() == before[0]
    assert first.locator(".stack").last.screenshot() != before[1]


TIP = "MSD, 10: 0.750 (0.730 to 0.770)"


def test_a_point_says_its_value_to_the_mouse(full):
    said = full.get_by_text(TIP)
    full.locator(".tip:visible").nth(4).hover()
    assert said.is_visible()
    full.mouse.move(2, 2)
    assert not said.is_visible()


def test_a_point_says_its_value_to_a_finger(browser, written):
    with opened(browser, written("full"), 400) as (page, _):
        said = page.get_by_text(TIP)
        page.locator(".tip:visible").nth(4).tap()
        assert said.is_visible()
        box = said.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 400
        page.locator("h1").tap()
        assert not said.is_visible()


def test_numbers_are_saved_as_csv(full):
    with full.expect_download() as waiting:
        full.get_by_role("link", name="Save as CSV").first.click()
    content = waiting.value.path().read_text(encoding="utf-8")
    assert waiting.value.suggested_filename.endswith(".csv")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(content)), full_page().lead.table)


def test_the_index_leads_to_every_page_and_back(browser, written):
    with opened(browser, written("index"), 800) as (page, complaints):
        listed = page.title()
        for title in ("Data card: cells", "How wrong may labels be?"):
            page.get_by_role("link", name=title).click()
            assert page.title() == title
            page.go_back()
        page.get_by_role("link", name=title).click()
        page.get_by_role("link", name="All pages of this folder").click()
        assert page.title() == listed
    assert complaints == []


def test_dark_mode_follows_the_reader(browser, written):
    colours = []
    for scheme in ("light", "dark"):
        with opened(browser, written("full"), 800, scheme=scheme) as (page, _):
            colours.append(
                [page.evaluate(f"getComputedStyle(document.body).{one}") for one in ("backgroundColor", "color")]
            )
    assert colours[0][0] == "rgb(255, 255, 255)"
    light, dark = ([sum(map(int, one[4:-1].split(","))) for one in pair] for pair in colours)
    assert light[0] > 600 > 200 > light[1]
    assert dark[0] < 200 < 600 < dark[1]


def test_a_moved_price_draws_the_front_again(browser, tmp_path):
    priced = made()
    write_page(tmp_path / "p.html", Page("t", "q", "v", lead=front_chart(priced), priced=priced))
    with opened(browser, tmp_path / "p.html", 1200) as (page, complaints):
        said, slider = page.locator(".priced .said"), page.locator("input[name=outline]")
        assert "boxes at 0.1 h (0.650)" in said.inner_text()
        slider.focus()
        for _ in range(4):  # steps of 2 ** -0.25
            slider.press("ArrowLeft")
        half = priced.moved(outline=0.5)
        assert slider.get_attribute("aria-valuetext") == "40 s"
        assert f"outlines at 0.1 h ({half.value_at('outlines', 0.1):.3f})" in said.inner_text()
        assert page.locator("svg.again circle").count() == 5 and not page.locator(".chart .wide").first.is_visible()
        page.get_by_role("button", name="prices as they were").click()
        assert page.locator("svg.again").count() == 0 and page.locator(".chart .wide").first.is_visible()
    assert complaints == []
