"""Prototype heads against distances and cosines written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from segjax.fewshot import prototypes
from segjax.fewshot.prototypes import CosinePrototype, LocalPrototypes, Prototype, ThresholdPrototype
from segjax.types import InputError


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b / np.linalg.norm(a, axis=-1) / np.linalg.norm(b)


def test_squared_distances_are_a_linear_classifier(support):
    features, targets = support
    head = Prototype()
    found = head.fit(features, targets, jnp.ones(4))
    background, of_type = (features[targets == index].mean(0, dtype=np.float64) for index in (0, 1))
    distances = [((features - mean) ** 2).sum(-1) for mean in (background, of_type)]
    np.testing.assert_allclose(head.predict(found, features), distances[0] - distances[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["weights"], 2 * (of_type - background), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["bias"], (background**2).sum() - (of_type**2).sum(), rtol=1e-4, atol=1e-5)


def test_cosines_are_taken_with_means_per_picture(support):
    features, targets = support
    targets = targets.copy()
    targets[3][targets[3] == 1] = 0  # a picture without the type does not count among those that have it
    head = CosinePrototype()
    found = head.predict(head.fit(features, targets, jnp.float32([1, 1, 0, 1])), features)
    means = [
        np.mean([features[i][targets[i] == index].mean(0) for i in pictures], 0)
        for index, pictures in ((0, (0, 1, 3)), (1, (0, 1)))
    ]
    expected = 20 * (cosine(features, means[1]) - cosine(features, means[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_local_prototypes_are_pure_windows(support):
    features, targets = support
    head = LocalPrototypes(window=4, purity=0.7)
    weights = np.float32([1, 0, 1, 1])
    found = head.predict(head.fit(features, targets, jnp.asarray(weights)), features[:1])
    local = {0: [], 1: []}
    for i in np.flatnonzero(weights):
        for row in range(0, 12, 4):
            for column in range(0, 10, 4):
                of_window = targets[i, row : row + 4, column : column + 4]
                known = of_window >= 0
                share = (of_window[known] == 1).mean()
                mean = features[i, row : row + 4, column : column + 4][known].mean(0)
                if share > 0.7:
                    local[1].append(mean)
                if 1 - share > 0.7:
                    local[0].append(mean)
    local[1].append(features[weights > 0][targets[weights > 0] == 1].mean(0))
    assert len(local[0]) > 3 and len(local[1]) > 3
    scores = []
    for index in (0, 1):
        similarity = 20 * np.stack([cosine(features[:1], mean) for mean in local[index]], -1)
        scores.append((softmax(similarity, -1) * similarity).sum(-1))
    np.testing.assert_allclose(found, scores[1] - scores[0], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("pixels", [1, 7, 24, 479])  # per block, of 480; with and without a remainder
def test_local_prototypes_in_blocks_of_pixels_are_the_direct_formula(pixels, support, monkeypatch):
    features, targets = support
    head = LocalPrototypes(window=3, purity=0.7)
    weights = np.float32([[1, 0, 1, 1], [1, 1, 1, 1]])
    params = jax.vmap(head.fit, (None, None, 0))(features, targets, weights)
    expected = []
    for near, is_type, is_background in zip(
        *(np.asarray(params[name]) for name in ("prototypes", "is_type", "is_background")), strict=True
    ):
        length = np.linalg.norm(features.astype(np.float64), axis=-1, keepdims=True)
        similarity = 20 * (features / length) @ near.T.astype(np.float64)
        classes = (similarity[..., is_type], similarity[..., is_background])
        of_type, of_background = ((softmax(each, -1) * each).sum(-1) for each in classes)
        expected.append(of_type - of_background)
    monkeypatch.setattr(prototypes, "_BLOCK_BYTES", 4 * params["prototypes"].shape[1] * pixels)
    np.testing.assert_allclose(jax.vmap(head.predict, (0, None))(params, features), expected, rtol=1e-4, atol=1e-4)
    first = jax.tree.map(lambda part: part[0], params)
    for predict in (head.predict, jax.jit(lambda *given: head.predict(*given))):
        np.testing.assert_allclose(predict(first, features), expected[0], rtol=1e-4, atol=1e-4)


def test_similarities_of_large_pictures_are_never_held_together():
    windows, count = 5 * 32 * 32 + 1, 4
    shapes = {"prototypes": (windows, count), "subset": (count,)}
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    params |= {name: jax.ShapeDtypeStruct((windows,), bool) for name in ("is_type", "is_background")}
    features = jax.ShapeDtypeStruct((5, 256, 256, count), jnp.float32)
    compiled = jax.jit(LocalPrototypes().predict).lower(params, features).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**26  # all of them take 6.7e9 bytes


def test_without_pure_windows_the_type_has_its_mean_and_the_background_nothing(support):
    features, targets = support
    head = LocalPrototypes(window=12, purity=0.99)
    found = head.fit(features, targets, jnp.ones(4))
    assert found["is_type"].sum() == 1 and found["is_background"].sum() == 0
    expected = 20 * cosine(features, features[targets == 1].mean(0)) + 20
    np.testing.assert_allclose(head.predict(found, features), expected, rtol=1e-4, atol=1e-3)


def test_the_threshold_minimises_the_published_loss(support):
    features, targets = support
    found = jax.jit(ThresholdPrototype().fit)(features, targets, jnp.ones(4))
    mean = np.mean([features[i][targets[i] == 1].mean(0) for i in range(4)], 0)
    anomaly = -20 * cosine(features, mean)
    weight = np.where(targets == 1, 1.0, np.where(targets == 0, 0.1, 0.0))

    def loss(threshold):
        of_type = 1 - 1 / (1 + np.exp(-0.5 * (anomaly - threshold)))
        likelihood = np.where(targets == 1, np.log(of_type), np.log1p(-of_type))
        return -(weight * likelihood).sum() / weight.sum() + threshold / 20

    best = minimize_scalar(loss, bounds=(-40, 40), method="bounded", options={"xatol": 1e-6})
    np.testing.assert_allclose(found["threshold"], best.x, atol=1e-3)
    np.testing.assert_allclose(
        ThresholdPrototype().predict(found, features), (best.x - anomaly) / 2, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "make", [lambda: LocalPrototypes(window=0), lambda: LocalPrototypes(purity=0.0), lambda: ThresholdPrototype(-1.0)]
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(InputError):
        make()
