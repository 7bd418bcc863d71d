"""Class moments against sums written out pixel by pixel."""

import jax.numpy as jnp
import numpy as np

from segjax.fewshot.moments import class_moments, pixel_weights, relevance, support_moments


def test_moments_are_sums_over_the_pixels_of_a_class(support):
    features, targets = support
    found = np.asarray(class_moments(features, targets))
    for picture in range(len(targets)):
        for index in (0, 1):
            pixels = features[picture][targets[picture] == index].astype(np.float64)
            extended = np.concatenate([pixels, np.ones((len(pixels), 1))], 1)
            np.testing.assert_allclose(found[picture, index], extended.T @ extended, rtol=1e-5, atol=1e-4)


def test_support_moments_leave_pictures_and_features_out(support):
    features, targets = support
    weights, subset = np.float32([1, 0, 1, 0]), np.float32([1, 0, 1, 1, 0])
    found = support_moments(class_moments(features, targets), jnp.asarray(weights), jnp.asarray(subset))
    own, own_targets = features[[0, 2]][..., subset > 0], targets[[0, 2]]
    kept = np.append(subset > 0, True)
    for matrix, index in zip(found, (0, 1), strict=True):
        pixels = own[own_targets == index].astype(np.float64)
        extended = np.concatenate([pixels, np.ones((len(pixels), 1))], 1)
        expected = extended.T @ extended / (own_targets >= 0).sum()
        np.testing.assert_allclose(np.asarray(matrix)[kept][:, kept], expected, rtol=1e-4, atol=1e-5)
        assert not np.asarray(matrix)[~kept].any() and not np.asarray(matrix)[:, ~kept].any()
    np.testing.assert_allclose(found.share, (own_targets == 1).sum() / (own_targets >= 0).sum(), rtol=1e-6)


def test_balanced_classes_have_half_of_the_weight_each(support):
    _, targets = support
    for balanced, share in ((True, 0.5), (False, (targets == 1).sum() / (targets >= 0).sum())):
        rows = np.asarray(pixel_weights(jnp.asarray(targets), jnp.ones(4), balanced))
        np.testing.assert_allclose([rows.sum(), rows[targets == 1].sum()], [1, share], rtol=1e-5)
        assert not rows[targets == -1].any()


def test_relevance_is_fishers_criterion(support):
    features, targets = support
    constant = np.concatenate([features, np.full((*targets.shape, 1), 2, np.float32)], -1)
    found = relevance(support_moments(class_moments(constant, targets), jnp.ones(4), jnp.ones(6)))
    background, of_type = (features[targets == index].astype(np.float64) for index in (0, 1))
    within = (background.var(0) * len(background) + of_type.var(0) * len(of_type)) / (targets >= 0).sum()
    expected = (background.mean(0) - of_type.mean(0)) ** 2 / within
    np.testing.assert_allclose(found[:5], expected, rtol=1e-3)
    assert found[5] == 0 and np.argmax(found) == np.argmax(expected)
