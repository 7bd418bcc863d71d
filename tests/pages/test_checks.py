"""Every check of `tests.pages.checks` finds a page's fault, and nothing on a page without it."""

from urllib.parse import quote

import pytest

from tests.pages import checks
from tests.pages.browser import PAPER, opened

pytestmark = pytest.mark.slow  # a browser is started

FRAME = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Faults</title><style>{}</style></head>'
    "<body><main><h1>Faults</h1>{}</main></body></html>"
)
SVG = '<svg role="img" aria-label="chart" width="200" height="100" viewBox="0 0 {0} 100">{1}</svg>'


def found(browser, tmp_path, check, body, width=400, style="", **view):
    path = tmp_path / "page.html"
    path.write_text(FRAME.format(style, body), encoding="utf-8")
    with opened(browser, path, width, **view) as (page, complaints):
        return complaints if check is None else check(page)


@pytest.mark.parametrize(
    ("faulty", "sound"),
    [
        ('<script>console.error("broken")</script>', '<script>console.log("fine")</script>'),
        ("<script>nothing.here</script>", "<script>null?.here</script>"),
        ('<img alt="x" src="https://example.org/x.png">', '<a href="https://example.org/x.png">x</a>'),
        ('<img alt="x" src="missing.png">', "missing.png"),
    ],
    ids=["error", "exception", "network", "missing"],
)
def test_complaints(browser, tmp_path, faulty, sound):
    assert found(browser, tmp_path, None, faulty)
    assert found(browser, tmp_path, None, sound) == []


def test_a_body_that_scrolls_sideways(browser, tmp_path):
    wide = '<div id="wide" style="width: 500px">wide</div>'
    (said,) = found(browser, tmp_path, checks.too_wide, wide)
    assert "of 400 px: div#wide" in said
    assert found(browser, tmp_path, checks.too_wide, f'<div style="overflow-x: auto">{wide}</div>') == []
    assert found(browser, tmp_path, checks.too_wide, wide, width=800) == []


def test_what_paper_cuts_off(browser, tmp_path):
    wide = '<table><tr><td style="min-width: 900px">wide</td></tr></table>'
    for body in (
        wide,
        f'<div style="overflow: auto">{wide}</div>',
        '<div style="height: 9px; overflow: auto">low</div>',
    ):
        assert found(browser, tmp_path, checks.cut_off, body, PAPER, media="print")
    assert found(browser, tmp_path, checks.cut_off, wide.replace("900", "300"), PAPER, media="print") == []


def test_what_is_not_shown(browser, tmp_path):
    folded = '<details><summary>more</summary><p id="folded">text</p></details><nav style="display: none">menu</nav>'
    unfold = "@media print { details::details-content { content-visibility: visible; display: block; } }"
    assert found(browser, tmp_path, checks.not_shown, folded, PAPER, media="print") == ['p#folded "text"']
    assert found(browser, tmp_path, checks.not_shown, folded, PAPER, unfold, media="print") == []


def test_pictures_without_alternative(browser, tmp_path):
    bare = '<img src="data:,">', '<svg id="bare"></svg>', '<div role="img"></div>', '<img alt=" " src="data:,">'
    said = '<img alt="x" src="data:,">', SVG.format(200, ""), '<svg aria-hidden="true"></svg>'
    assert len(found(browser, tmp_path, checks.without_alternative, "".join(bare))) == len(bare)
    assert found(browser, tmp_path, checks.without_alternative, "".join(said)) == []


def test_distorted_pictures(browser, tmp_path):
    address = "data:image/svg+xml," + quote('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>')
    right, wrong = (f'<img alt="discs" src="{address}" width="80" height="{height}">' for height in (60, 80))
    (said,) = found(browser, tmp_path, checks.distorted, right + wrong)
    assert '"discs" is 0.75 times' in said


def test_letters_of_charts(browser, tmp_path):
    letters = '<text x="{}" y="50" style="font: {}px sans-serif">letters</text>'
    for texts, scale in (
        (letters.format(20, 7), 200),
        (letters.format(20, 12), 400),  # drawn half as large
        (letters.format(180, 12), 200),
        (letters.format(20, 12) + letters.format(40, 12), 200),
    ):
        assert found(browser, tmp_path, checks.illegible, SVG.format(scale, texts)), texts
    both = letters.format(20, 12) + letters.format(100, 12)
    assert found(browser, tmp_path, checks.illegible, SVG.format(200, both)) == []


def test_pale_letters_of_charts(browser, tmp_path):
    shown = "".join(
        f'<text x="9" y="{y}" style="font: 12px sans-serif; fill: {ink}">{ink}</text>'
        for y, ink in ((20, "#aaa"), (40, "#666"), (80, "#ddd"), (98, "#999"))
    )
    body = SVG.format(200, f'<rect y="66" width="200" height="34" fill="#333"/>{shown}')
    faults = found(browser, tmp_path, checks.pale, body)
    assert [fault.split('"')[1] for fault in faults] == ["#aaa"]
    faults = found(browser, tmp_path, checks.pale, body, style="body { background: #000 }", scheme="dark")
    assert [fault.split('"')[1] for fault in faults] == ["#666"]


@pytest.mark.parametrize(
    ("faulty", "rule"),
    [
        ('<p style="color: #ccc">pale</p>', "color-contrast"),
        ('<details><summary>more</summary><p style="color: #ccc">pale</p></details>', "color-contrast"),
        ("<button></button>", "button-name"),
    ],
)
def test_what_axe_core_calls_grave(browser, tmp_path, axe, faulty, rule):
    (said,) = found(browser, tmp_path, lambda page: checks.grave_violations(page, axe), faulty)
    assert said.startswith(rule)


def test_axe_core_has_nothing_against_a_sound_page(browser, tmp_path, axe):
    assert found(browser, tmp_path, lambda page: checks.grave_violations(page, axe), "<p>sound</p>") == []
