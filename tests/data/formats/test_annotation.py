import numpy as np

from segjax.data.formats.annotation import Piece, paint


def test_smaller_objects_are_painted_over_larger_ones_whatever_the_order():
    large, small = Piece(0, 0, np.ones((3, 3), bool)), Piece(1, 1, np.ones((1, 2), bool))
    for pieces, expected in (
        ((large, small), [[1, 1, 1], [1, 2, 2], [1, 1, 1]]),
        ((small, large), [[2, 2, 2], [2, 1, 1], [2, 2, 2]]),
    ):
        labels, overlapping, lost = paint((3, 3), pieces)
        np.testing.assert_array_equal(labels, expected)
        assert (overlapping, lost) == (2, [])


def test_an_object_covered_by_another_is_named_as_lost():
    labels, overlapping, lost = paint((1, 2), [Piece(0, 0, np.ones((1, 1), bool)), Piece(0, 0, np.ones((1, 1), bool))])
    np.testing.assert_array_equal(labels, [[2, 0]])
    assert (overlapping, lost) == (1, [0])
