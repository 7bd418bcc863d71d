"""Maps beside other packages: the values that their tests state, and the pages about them."""

import re
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import map_pages, map_parity
from experiments.benchmarks.map_fixtures import Fixture, fixtures
from segjax.maps import MAPS, create_map
from segjax.models import create

ROOT = Path(__file__).parents[3]
GIVEN = fixtures()


def test_each_suite_is_there():
    suites = [one.source.split()[0] for one in GIVEN]
    assert {name: suites.count(name) for name in set(suites)} == {"torch-cam": 8, "Captum": 5, "Quantus": 28}


@pytest.mark.parametrize("fixture", [one for one in GIVEN if not one.remark], ids=lambda one: one.title)
def test_ours_is_what_the_suite_states(fixture):
    assert fixture.difference <= 1e-6


@pytest.mark.parametrize("fixture", [one for one in GIVEN if one.remark], ids=lambda one: one.title)
def test_what_follows_another_rule_differs_as_the_rules_say(fixture):
    """The first of equal pixels lies outside the mask; three trapezoids of equal width instead of 2, 2 and 1 pixels."""
    row = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    left = np.array([row[count:].sum() for count in (0, 2, 3, 5)])
    area = np.mean((left[1:] + left[:-1]) / 2)
    expected = 0 if "pointing" in fixture.title else area if "deletion" in fixture.title else 1 - area
    assert float(fixture.ours()) == pytest.approx(expected, abs=1e-6)
    assert fixture.difference > 1e-3


def test_a_difference_is_seen():
    assert Fixture("", "", [1, 2], lambda: [1, 2.5]).difference == 0.5
    assert Fixture("", "", (0.5, 1), lambda: 0.25, bounds=True).difference == 0.25
    assert Fixture("", "", (0.5, 1), lambda: 1.5, bounds=True).difference == 0.5
    assert Fixture("", "", (0.5, 1), lambda: 0.75, bounds=True).difference == 0
    assert Fixture("", "", (0.5, 1), lambda: [0.75, 1.25], bounds=True).difference == 0.25


def test_the_verdict_counts_maps_as_they_are_and_then_with_steps_in_common():
    differences = [
        ("grad_cam", "", 1e-6, 2e-6),
        ("score_cam", "", 0.001, 0.2),
        ("score_cam", "other masks", 0.01, 1e-6),  # the step in common, although the map as it is came nearer
    ]
    rows = [
        {"map": name, "network": network, "way": way, "largest_difference": str(difference), "error_ours": ""}
        for name, way, *pair in differences
        for network, difference in zip(("vgg16", "resnet18"), pair, strict=True)
    ]
    said = map_pages._measured_verdict(rows)
    assert "1 of 2 maps agree to 0.0001" in said and said.endswith("the largest difference of any map is 0.01.")


def test_every_map_of_the_package_was_measured_and_agrees_where_its_steps_are_taken():
    _, rows = map_pages.read_table(ROOT / map_pages.PARITY)
    assert {(row["map"], row["network"]) for row in rows} == set(product(map_parity.METHODS, map_parity.LAYERS))
    least = {}
    for row in rows:
        least[row["map"], row["network"]] = float(row["largest_difference"])  # the last row has most steps in common
    far = {name for (name, _), difference in least.items() if difference > 0.03}
    assert far == {"deep_feature_factorisation"}
    assert all(float(row["error_ours"]) <= float(row["error_theirs"]) for row in rows if row["error_ours"])


def test_the_command_that_measures(tmp_path):
    pytest.importorskip("pytorch_grad_cam")
    map_parity.map_parity(("Grad-CAM, resnet18", "KPCA-CAM, resnet18"), "smoke", tmp_path)
    _, rows = map_pages.read_table(tmp_path / "map_parity.csv")
    assert {row["map"] for row in rows} == {"grad_cam", "elementwise_cam", "kpca_cam"}
    assert all(float(row["largest_difference"]) < 1e-4 for row in rows)


@pytest.mark.parametrize("name", map_pages.PAGES)
def test_the_pages_are_those_that_the_command_writes(name, monkeypatch):
    """Numbers of rounding errors, with an exponent, may differ from machine to machine."""
    monkeypatch.chdir(ROOT)
    plain = [re.sub(r"\d(\.\d+)?e-\d+|\b0\b", "0", text) for text in (map_pages.PAGES[name](), _read(name))]
    assert plain[0] == plain[1], "run: python -m experiments.benchmarks.map_pages"


def _read(name):
    return (map_pages.FOLDER / name).read_text()


def test_maps_that_are_said_to_have_no_target_ignore_it():
    images = jnp.asarray(np.random.default_rng(0).random((1, 16, 16, 1), np.float32))
    network = create("msd_classifier", depth=2)
    variables = network.init(jax.random.key(0), images)
    for name in map_pages.WITHOUT_TARGET:
        explain = create_map(name, network)
        one, other = (explain(variables, images, lambda logits, sign=sign: sign * logits[:, 0]) for sign in (1, -1))
        np.testing.assert_array_equal(one, other)
    assert set(map_pages.WITHOUT_TARGET) < set(MAPS)
