"""Networks of the studies that segment, for the pictures at hand, and the values of their predictions."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int

from experiments.harness.options import SegmentationOptions, Sizes, zoo_name
from experiments.harness.pictures import Domain, PictureSet
from segjax.evaluation import counts, dice
from segjax.evaluation.picture import picture_metrics
from segjax.models import CLASSIFIERS, NETWORKS, create
from segjax.models.encoder_unet import EncoderUNet
from segjax.models.options import options_of
from segjax.models.pretrained import VERSION, options_from
from segjax.sweeps import Row
from segjax.training import Pictures


def network_of(sizes: Sizes, name: str, pictures: PictureSet, classes: int = 2) -> Any:
    """A network for these pictures; MSD is given their mean and deviation, as published."""
    options = {**sizes.options(name), "classes": classes}
    if name == "msd":
        options |= standardisation(pictures)
    return create(zoo_name(name), **options)


def facts_of(network: Any) -> dict[str, Any]:
    """What a file of weights says about its network, so that `network_from` makes it; nothing of one of others."""
    kinds = [*NETWORKS.items(), *CLASSIFIERS.items(), (EncoderUNet.NAME, EncoderUNet)]
    name = next((name for name, kind in kinds if type(network) is kind), None)
    if name is None:
        return {}
    return {"version": VERSION, "network": name, "options": options_of(network)}


def network_from(facts: Mapping[str, Any]) -> Any:
    """The network that `facts_of` describes; a file has lists for tuples."""
    return create(facts["network"], **options_from(facts["options"]))


def standardisation(pictures: PictureSet) -> dict[str, tuple[float, ...]]:
    """Options of a network that gives these pictures mean and deviation 0 and 1, channel by channel."""
    axes = tuple(range(pictures.images.ndim - 1))
    return {
        "input_mean": tuple(float(value) for value in pictures.images.mean(axes)),
        "input_std": tuple(float(max(value, 1e-6)) for value in pictures.images.std(axes)),
    }


def check_trainable(options: SegmentationOptions, pictures: PictureSet, seeds: int) -> None:
    """Refuse, before anything is written, pictures that a network cannot take and groups that cannot be divided.

    Raises:
        InputError: names the network or the option, and the remedy.
    """
    image = jax.ShapeDtypeStruct((1, *pictures.images.shape[1:]), np.float32)
    for name in options.networks:
        jax.eval_shape(network_of(options.sizes, name, pictures).init, jax.random.key(0), image)
    for seed in range(min(seeds, pictures.splitting.distinct)):
        pictures.split(seed)


def blank_pictures(pictures: PictureSet, batch_size: int) -> Pictures:
    """One batch with nothing annotated."""
    images = pictures.images[:batch_size]
    return Pictures(images, np.zeros(images.shape[:3], np.int32))


def pooled_dice(masks: Bool[np.ndarray, "P H W"], truth: Bool[np.ndarray, "P H W"]) -> float:
    """Dice of all pixels of some pictures together."""
    return float(dice(counts(masks, truth).pooled()))


def prediction_rows(
    predicted: Bool[np.ndarray, "P H W"], domain: Domain, test: Int[np.ndarray, " P"], tolerance: float
) -> tuple[list[Row], float]:
    """Values of every test picture, and the pooled Dice; pixels that nobody judged count as background."""
    predicted = predicted & ~domain.ignored[test]
    rows = [
        Row(metric, value, domain.source.names[index])
        for mask, index in zip(predicted, test, strict=True)
        for metric, value in picture_metrics(mask, domain.labels[index], tolerance).items()
    ]
    return rows, pooled_dice(predicted, domain.labels[test] > 0)
