"""What the network of a folder starts from: trained weights, which may learn from the folder as well, or nothing."""

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.harness.weights import objects_of, seen, unlike
from experiments.upgrade_folder.config import SCRATCH, FolderConfig
from experiments.upgrade_folder.pictures import Folder
from segjax.data.pictures.images import convert_channels
from segjax.export import channels_of
from segjax.models import card, create
from segjax.models.pretrained import load_pretrained, picture_digest, used_pictures
from segjax.training.state import Variables
from segjax.types import InputError, Network


class Start(NamedTuple):
    """A trained upgrade network.

    Attributes:
        network: its module.
        variables: as they came.
        channels: of the pictures that it takes, without their labels.
    """

    network: Network
    variables: Variables
    channels: int

    def seen(self, image: np.ndarray) -> np.ndarray:
        """A picture [H, W, C] with the channels that the network takes."""
        return convert_channels(image, self.channels)


class Choice(NamedTuple):
    """Which network repairs: the trained one as it came, or after learning from the folder.

    Attributes:
        weights: name or folder of the trained weights.
        epochs: that the network learnt from the folder.
        as_they_are, tuned: mean Dice of the repaired held-out labels; `tuned` is NaN where there is no such network.
    """

    weights: str
    epochs: int
    as_they_are: float
    tuned: float

    @property
    def is_tuned(self) -> bool:
        """Whether the network that learnt from the folder repairs; NaN is never better."""
        return self.tuned > self.as_they_are

    def __str__(self) -> str:
        before = f"The weights {self.weights!r} as they are bring held-out labels to a Dice of {self.as_they_are:.3f}"
        if not self.epochs:
            return f"{before}. They repair your labels, since --tune 0 lets them learn nothing more."
        if np.isnan(self.tuned):
            return f"{before}. They repair your labels, because learning from your clean labels failed."
        after = f"after {self.epochs} epochs on your clean labels the Dice is {self.tuned:.3f}"
        which = "The network with these epochs repairs" if self.is_tuned else "The weights as they are repair"
        return f"{before}; {after}. {which} your labels."


def start_of(weights: str, channels: int) -> Start:
    """The upgrade network with trained weights, for pictures of so many channels.

    Raises:
        InputError: there are no such weights, they do not repair labels, or they take other pictures.
    """
    found = card(weights)
    if "errors" not in found.facts["about"]:
        raise InputError(f"start: the weights {weights!r} do not repair labels; give upgrader, or {SCRATCH}")
    kind = found.networks[0]
    network, variables = create(kind, pretrained=weights), load_pretrained(kind, weights).variables["variables"]
    wanted = channels_of(network, variables) - 1
    if channels != wanted and (channels, wanted) != (3, 1):
        raise InputError(
            f"start: the weights {weights!r} are for pictures of {wanted} channel(s), and these have {channels}; "
            f"give --start {SCRATCH}"
        )
    return Start(network, variables, wanted)


def of_weights(weights: str, start: Start, folder: Folder) -> list[str]:
    """What the trained weights say of a folder: which pictures they saw, and how its objects differ from theirs."""
    used, said, objects = used_pictures(weights), [], []
    for source, noun in ((folder.whole, "pictures with clean labels"), (folder.noisy, "pictures to repair")):
        digests = {}
        for sample in (source[index] for index in range(len(source))):
            image = start.seen(sample.image)
            digests[sample.name] = picture_digest(image)
            if source is folder.whole:
                objects.append(objects_of(image, sample.labels, sample.ignored))
        said += seen(used, digests, noun)
    shown = [one for one in objects if one is not None]
    return [*said, *unlike(card(weights).facts.get("objects", {}), shown)]


def tuning(config: FolderConfig) -> FolderConfig:
    """The configuration of a network that has learnt already: a fixed, small number of epochs, from one start."""
    loop = dataclasses.replace(config.train.loop, epochs=config.tune, stop="fixed", restarts=0)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, loop=loop))
