import numpy as np
import pytest

from segjax.evaluation import boundary_f, hd95, surface_distances
from segjax.evaluation.references import disc
from segjax.evaluation.sites import area_in_hectares, outline_metrics, size_class
from segjax.types import InputError

TRUTH = disc((60, 60), (30.0, 30.0), 15.0)
MOVED = disc((60, 60), (30.0, 33.0), 15.0)


def test_metrics_are_given_in_pixels_and_metres():
    found = outline_metrics(MOVED, TRUTH, 2.5)
    distances = surface_distances(MOVED, TRUTH)
    for tolerance in (2.0, 4.0, 8.0):
        assert found[f"boundary_f_{tolerance:g}px"] == boundary_f(distances, tolerance)
    assert found["boundary_f_2px"] < found["boundary_f_4px"] == 1
    assert found["hd95_px"] == hd95(distances) and found["hd95_m"] == 2.5 * hd95(distances)
    assert found["iou"] == pytest.approx(np.sum(MOVED & TRUTH) / np.sum(MOVED | TRUTH))
    assert found["area_ha"] == TRUTH.sum() * 2.5**2 / 10_000
    assert set(outline_metrics(MOVED, TRUTH)) == set(found) - {"hd95_m", "area_ha"}


def test_sizes_of_sites():
    assert [size_class(area) for area in (0.49, 0.5, 1.89, 2.0, 9.7)] == [
        "< 0.5 ha", "0.5 to 2 ha", "0.5 to 2 ha", "2 to 8 ha", "> 8 ha",
    ]  # fmt: skip
    assert area_in_hectares(np.ones((100, 50), bool), 2.0) == 2.0
    with pytest.raises(InputError, match="metres_per_pixel must be a positive number"):
        outline_metrics(MOVED, TRUTH, 0.0)
