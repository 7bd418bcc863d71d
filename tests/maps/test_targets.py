import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import ClassDifference, ClassProbability, ClassScore, RegionScore
from segjax.maps.targets import FinerScore, ResidualSoftmax
from segjax.types import InputError

LOGITS = jnp.array([[1.0, 4.0, 2.0], [0.0, -1.0, 3.0]])


def test_scores_of_a_classifier():
    np.testing.assert_allclose(ClassScore(1)(LOGITS), [4, -1])
    np.testing.assert_allclose(ClassDifference(2, 0)(LOGITS), [1, 3])
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    np.testing.assert_allclose(ClassProbability(2)(LOGITS), shares[:, 2], rtol=1e-6)


def test_a_class_is_compared_with_those_of_the_nearest_logits():
    np.testing.assert_allclose(FinerScore(0, 1, 0.5)(LOGITS), [1 - 0.5 * 2, 0 - 0.5 * -1])
    np.testing.assert_allclose(FinerScore(0)(LOGITS), [1 - 0.6 * (4 + 2) / 2, 0 - 0.6 * (-1 + 3) / 2], rtol=1e-6)
    with pytest.raises(InputError, match="target: the network has one class only"):
        FinerScore(0)(LOGITS[:, :1])


def test_the_residual_softmax_is_logit_and_logarithm_of_probability():
    expected = LOGITS[:, 1] + jnp.log(ClassProbability(1)(LOGITS))
    np.testing.assert_allclose(ResidualSoftmax(1)(LOGITS), expected, rtol=1e-5)


def test_a_region_is_summed_with_its_weights():
    logits = jnp.arange(2 * 2 * 3 * 2, dtype=jnp.float32).reshape(2, 2, 3, 2)
    region = jnp.array([[1.0, 0, 0], [0, 0, 0.5]])
    np.testing.assert_allclose(RegionScore(1, region)(logits), [1 + 11 / 2, 13 + 23 / 2])


def test_equal_targets_are_equal():
    assert ClassScore(1) == ClassScore(1) != ClassScore(2)
    assert hash(ClassDifference(1, 0)) == hash(ClassDifference(1, 0))


@pytest.mark.parametrize("index", [3, -1])
@pytest.mark.parametrize(
    "make", [ClassScore, ClassProbability, FinerScore, ResidualSoftmax, lambda i: ClassDifference(0, i)]
)
def test_a_class_that_does_not_exist_is_refused(make, index):
    with pytest.raises(InputError, match=f"class {index} does not exist; the network has classes 0 to 2"):
        make(index)(LOGITS)


def test_targets_of_the_other_kind_of_network_are_refused():
    with pytest.raises(InputError, match="use ClassScore"):
        RegionScore(0, jnp.ones((2, 2)))(LOGITS)
    with pytest.raises(InputError, match="use RegionScore"):
        ClassScore(0)(jnp.ones((1, 2, 2, 3)))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            (LOGITS, LOGITS),
            r"it returns a tuple.*ClassScore\(1\)\(output\[0\]\) \(there are: output\[0\], output\[1\]\)",
        ),
        ([LOGITS], r"it returns a list.*ClassScore\(1\)\(output\[0\]\)"),
        (
            {"logits": LOGITS, "aux": 1},
            r"it returns a dict, not one array of logits.*\(output\['logits'\]\).*output\['aux'\]",
        ),
        (None, "it returns a NoneType, not one array"),
    ],
)
@pytest.mark.parametrize(
    "target", [ClassScore(1), ClassDifference(1, 0), ClassProbability(1), RegionScore(0, jnp.ones((2, 2)))]
)
def test_what_is_no_single_array_is_refused_with_where_the_logits_may_be(target, output, message):
    with pytest.raises(InputError, match=f"network: {message}"):
        target(output)
