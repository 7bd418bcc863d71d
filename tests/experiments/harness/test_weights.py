"""What trained weights say of pictures: counted by hand."""

import numpy as np
import pytest

from experiments.harness.weights import Shown, objects_of, seen, told, unlike
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, UsedPicture

USED = [
    UsedPicture("a", "", LEARNT, "1"),
    UsedPicture("b", "", CHOSE, "2"),
    UsedPicture("c", "", SCORED, "3"),
]
NUCLEI = {"classes": ["nucleus"], "diameters": [9.0, 50.0], "brighter": True}


def test_objects_are_measured_against_the_background_that_was_judged():
    labels = np.zeros((4, 6), np.int32)
    labels[0, :4], labels[3, :2], labels[2] = 1, 2, -1
    image = np.where(labels > 0, 0.75, 0.25)[..., None].astype(np.float32)
    image[2] = 1  # not judged
    found = objects_of(image, labels)
    np.testing.assert_allclose(found, (2 * np.sqrt(3 / np.pi), 0.5), rtol=1e-6)  # the median of 4 and 2 pixels
    ignored = labels < 0
    assert objects_of(image, np.maximum(labels, 0), ignored) == found
    np.testing.assert_allclose(objects_of(1 - image, labels).above, -0.5, rtol=1e-6)
    assert objects_of(image, np.minimum(labels, 0)) is None
    assert np.isnan(objects_of(image, np.ones((4, 6), np.int32)).above)


def test_a_card_says_what_all_pictures_agree_on():
    shown = [Shown(8.125, 0.2), Shown(30, 0.1), Shown(12, 0.3)]
    assert told(["cell"], shown) == {"classes": ["cell"], "diameters": [8.12, 30], "brighter": True}
    assert told([], [Shown(3, -0.2)])["brighter"] is False
    assert told([], [*shown, Shown(3, -0.2)])["brighter"] is None


@pytest.mark.parametrize(
    ("known", "shown", "said"),
    [
        (NUCLEI, [Shown(20, 0.3)], []),
        (NUCLEI, [Shown(20, -0.3), Shown(20, 0.3)], []),  # no more than half
        (NUCLEI, [Shown(20, -0.3)] * 2 + [Shown(20, 0.3)], ["In 2 of 3 annotated pictures the objects are darker"]),
        (NUCLEI, [Shown(20, -0.01)], []),  # not clear
        ({**NUCLEI, "brighter": False}, [Shown(20, 0.3)], ["the objects are brighter than the background, but the"]),
        ({**NUCLEI, "brighter": None}, [Shown(20, -0.3)], []),
        (NUCLEI, [Shown(6, 0.3)], []),  # 9 / 1.5
        (NUCLEI, [Shown(5.9, 0.3)], ["a median diameter of 6 px, but the networks learnt from pictures with medians"]),
        (NUCLEI, [Shown(75.1, 0.3)], ["a median diameter of 75 px"]),
        (NUCLEI, [Shown(3, 0.3), Shown(20, 0.3), Shown(99, 0.3)], []),
        (NUCLEI, [Shown(3, -0.3)], ["darker than the background", "a median diameter of 3 px"]),
        (NUCLEI, [Shown(20, float("nan"))], []),
        ({}, [Shown(3, -0.3)], []),
        (NUCLEI, [], []),
    ],
)
def test_objects_of_another_kind_are_named(known, shown, said):
    found = unlike(known, shown)
    assert len(found) == len(said) and all(part in line for part, line in zip(said, found, strict=True))


def test_pictures_that_were_seen_are_told_by_content_and_less_surely_by_name():
    assert seen(USED, {"x": "9", "c": "3", "y": "3"}) == []  # those that gave scores are new
    (line,) = seen(USED, {"x": "1", "y": "2", "z": "4"}, "shots")
    assert line.startswith("The networks learnt from 2 of 3 shots (x, y), or chose their epoch on them.")
    (line,) = seen(USED, {"a": "7", "c": "8"})
    assert line.startswith("1 of 2 pictures (a) have names of some that the networks learnt from")
    assert "but another content" in line
    (line,) = seen(USED, {"a@0,48": "7", "c@0,48": "8", "d@0,48": "9"})
    assert line.startswith("1 of 3 pictures (a@0,48) have names of some") and "or parts of them" in line
    first, second = seen(USED, {"a": "1", "b": "7", "q": "1"})
    assert "2 of 3 pictures (a, q)" in first and "1 of 3 pictures (b)" in second
    assert "(0, 1, 2, ...)" in seen(USED, {str(number): "1" for number in range(4)})[0]
