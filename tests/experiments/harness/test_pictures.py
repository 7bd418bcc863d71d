"""Pixels that nobody judged stay out of targets and of scores."""

import jax
import numpy as np
from PIL import Image

from experiments.harness.networks import prediction_rows
from experiments.harness.pictures import Splitting, faulty_targets, read_domain
from segjax.annotations import Recipe
from segjax.data import open_source


def test_pixels_that_nobody_judged_count_in_no_target_and_no_score(tmp_path):
    labels = np.zeros((12, 12), np.uint8)
    labels[2:5, 2:5], labels[2:5, 8:11] = 1, 2
    classes = np.where(labels > 0, 1, 0).astype(np.uint8)
    classes[7:] = 255
    for folder, picture in (("images", 9 * labels + 1), ("labels", labels), ("classes", classes)):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / folder / "a.png")
    domain = read_domain(open_source(f"folder:{tmp_path}"), Splitting(2, "group"), 1)
    targets = faulty_targets(jax.random.key(0), domain, (0,), Recipe(bias=3))
    assert (targets[0, 7:] == -1).all() and set(np.unique(targets[0, :7])) <= {0, 1}

    truth = domain.labels[0] > 0
    spoilt = truth | (classes == 255)
    (rows, pooled), (clean_rows, clean) = (
        prediction_rows(mask[None], domain, np.array([0]), 2.0) for mask in (spoilt, truth)
    )
    assert pooled == clean == 1.0 and rows == clean_rows
