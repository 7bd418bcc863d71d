"""Purchases at other prices: hours, values between purchases, the front, and the same numbers in the page's script."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segjax.reports
from segjax.evaluation import Interval
from segjax.reports import Page, write_page
from segjax.reports.priced import Bought, Priced, front_chart, priced_chart

SCRIPT = Path(segjax.reports.__file__).with_name("priced.js.j2")
PRICES = {"outline": 80.0, "box": 10.0, "picture": 20.0, "outline_per_px": 0.0}


def value(mean: float, half: float = 0.02) -> Interval:
    return Interval(mean, mean - half, mean + half, 5)


def made(**prices: float) -> Priced:
    """Outlines of 1, 4 and 16 pictures with 2 objects: 0.05, 0.2 and 0.8 h; boxes of 3 and 9: 120 and 360 s."""
    outlines = [
        Bought({"outline": 2.0 * n, "picture": float(n), "outline_per_px": 9.0 * n}, value(mean))
        for n, mean in ((1, 0.5), (4, 0.7), (16, 0.8))
    ]
    boxes = [Bought({"box": 2.0 * n, "picture": float(n)}, value(mean)) for n, mean in ((3, 0.6), (9, 0.65))]
    titles = {name: f"a {name}" for name in PRICES}
    curves = {"outlines": outlines, "boxes": boxes}
    return Priced(PRICES | prices, titles, curves, (0.04, 0.1, 0.5), {"outline": 2.0, "picture": 1.0}, "Dice")


def test_hours_are_counts_times_prices():
    assert made().hours({"outline": 2.0, "picture": 1.0, "outline_per_px": 7.0}) == pytest.approx(180 / 3600)


def test_values_between_purchases_follow_the_logarithm_of_hours():
    priced = made()
    assert math.isnan(priced.value_at("outlines", 0.04))
    assert priced.value_at("outlines", 0.05) == 0.5 and priced.value_at("outlines", 0.2) == 0.7
    assert priced.value_at("outlines", 0.1) == pytest.approx(0.6)  # half way from 0.05 to 0.2 by their logarithms
    assert priced.value_at("outlines", 100.0) == 0.8
    assert priced.value_at("boxes", 0.04) == pytest.approx(0.6 + 0.05 * math.log(1.2) / math.log(3))


def test_what_reaches_most_and_where_prices_turn_it():
    priced = made()
    assert [priced.best_at(hours) for hours in (0.01, *priced.budgets)] == ["", "boxes", "boxes", "outlines"]
    assert priced.movable == ["outline", "box", "picture"]  # a price of 0 stays 0, whatever it is multiplied with
    assert priced.moved(outline=0.5).prices["outline"] == 40 and priced.prices["outline"] == 80
    # outlines at half the price: 100 s a picture, so that 0.1 h buy 3.6 of them, and 0.5 h more than was bought
    halved = [case for case in priced.cases((0.5,)) if case[0] == "outline"]
    assert halved == [("outline", 0.5, 0.04, "boxes", "boxes"), ("outline", 0.5, 0.1, "boxes", "outlines")]
    ended = priced._replace(ended=frozenset({"outlines"}))
    assert ("outline", 0.5, 0.5, "outlines", "outlines") in ended.cases((0.5,))
    # at twice the price of a box, three pictures take 180 s, more than 0.04 h, which buy fewer that nobody learnt from
    assert [case[2] for case in priced.cases((2.0,)) if case[0] == "box"] == [0.1, 0.5]


def test_the_front_is_what_nothing_dominates():
    found = [(round(hours, 4), name) for hours, name, _ in made().front()]
    # boxes of 9 pictures take 0.1 h and reach 0.65; outlines of 1 picture take 0.05 h, more than 120 s, and reach less
    assert found == [(0.0333, "boxes"), (0.1, "boxes"), (0.2, "outlines"), (0.8, "outlines")]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_the_front_by_brute_force(points):
    curves = {"a": [Bought({"box": float(cost)}, value(mean / 10)) for cost, mean in points]}
    front = Priced({"box": 10.0}, {}, curves, (), {}, "").front()
    found = {(round(hours * 360), round(10 * one.value.mean)) for hours, _, one in front}
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] >= p[1]}
    assert found == set(points) - beaten


def test_the_chart_has_every_curve_the_front_and_an_axis_of_pictures():
    axes = priced_chart(made()).axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert set(labels) == {"outlines", "boxes", "front"}
    assert axes.get_xscale() == "log" and list(axes.get_xticks()) == [0.04, 0.1, 0.5]
    (above,) = axes.child_axes
    assert [text.get_text() for text in above.get_xticklabels()] == ["0.8", "2", "10"]
    found = front_chart(made())
    assert found.title == "On the front: boxes and outlines" and len(found.table) == 5
    assert priced_chart(made()._replace(curves={})).texts[0].get_text() == "no results yet"
    assert not priced_chart(made()._replace(picture={})).axes[0].child_axes
    wide = made()._replace(curves={"outlines": [Bought({"outline": 2.0}, value(0.9, 0.4))]})
    assert priced_chart(wide).axes[0].get_ylim()[1] == 1  # intervals may reach further than a Dice


def by_node(program: str) -> str:
    """What a program prints that has the page's script before it."""
    whole = f"const document = {{ querySelectorAll: () => [] }};\n{SCRIPT.read_text()}\n{program}"
    return subprocess.run(["node", "-e", whole], capture_output=True, text=True, check=True).stdout


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@needs_node
@pytest.mark.parametrize("ended", [frozenset(), frozenset({"outlines"}), frozenset({"outlines", "boxes"})])
@pytest.mark.parametrize("factors", [{}, {"outline": 0.25}, {"outline": 2.0}, {"box": 4.0}, {"picture": 0.5}])
def test_the_script_knows_what_was_not_bought(factors, ended):
    priced = made()._replace(ended=ended)
    then = priced.moved(**factors)
    program = f"""
const facts = {json.dumps(priced.facts())};
console.log(JSON.stringify(facts.budgets.map((h) => isKnown(facts, {json.dumps(then.prices)}, h))));
"""
    expected = [priced.is_known(then, hours) for hours in priced.budgets]
    assert json.loads(by_node(program)) == expected
    assert all(expected) or factors


@needs_node
@pytest.mark.parametrize("factors", [{}, {"outline": 0.25}, {"box": 4.0, "picture": 0.5}, {"outline": 2.0}])
def test_the_script_counts_as_the_library_does(factors):
    priced = made().moved(**factors)
    hours = [0.01, 0.034, 0.05, 0.07, 0.1, 0.3, 0.8, 5.0]
    asked = f"""
const facts = {json.dumps(priced.facts())};
const at = (h) => facts.curves.map((one) => valueAt(one.points, facts.prices, h));
console.log(JSON.stringify({hours}.map((h) => [bestAt(facts.curves, facts.prices, h)?.[0] ?? "", ...at(h)])));
console.log(drawn(facts, facts.prices));
"""
    first, _, picture = by_node(asked).partition("\n")
    for hour, (best, *values) in zip(hours, json.loads(first), strict=True):
        assert best == priced.best_at(hour)
        expected = [priced.value_at(name, hour) for name in priced.curves]
        assert [math.nan if one is None else one for one in values] == pytest.approx(expected, nan_ok=True)
    assert picture.count("<circle") == 5 and "NaN" not in picture and "outlines" in picture
    (front,) = re.findall('class="front" d="([^"]*)"', picture)
    assert front.count("L") == len(priced.front()) - 1


def test_a_page_holds_the_numbers_and_a_slider_for_each_price(tmp_path):
    priced = made()
    chart = front_chart(priced)
    write_page(tmp_path / "p.html", Page("t", "q", "v", lead=chart, priced=priced))
    text = (tmp_path / "p.html").read_text()
    held = text.partition('<script type="application/json">')[2].partition("</script>")[0]
    assert json.loads(held) == json.loads(json.dumps(priced.facts()))
    assert [f'name="{name}"' in text for name in PRICES] == [True, True, True, False]
    assert "const bestAt" in text
    write_page(tmp_path / "q.html", Page("t", "q", "v", lead=chart))
    assert "bestAt" not in (tmp_path / "q.html").read_text()


def test_names_cannot_leave_the_page_s_script(tmp_path):
    priced = made()
    named = priced._replace(curves={"</script><b>": priced.curves["boxes"]})
    write_page(tmp_path / "p.html", Page("t", "q", "v", lead=front_chart(named), priced=named))
    assert "</script><b>" not in (tmp_path / "p.html").read_text()
