"""The options of classifiers in the studies: which there are, and of what size."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from experiments.harness.options import arranges, check_choices, decides
from segjax.models import CLASSIFIERS, create
from segjax.training import LoopConfig
from segjax.training.consistency import Consistency
from segjax.types import InputError, Network

TAUGHT = tuple(f"{name}+{term}" for name in CLASSIFIERS for term in get_args(Consistency))


class Architecture(NamedTuple):
    """What the name of a classifier in a study stands for: vgg16, or vgg16+puzzle with a term of consistency."""

    name: str
    consistency: Consistency | None

    @classmethod
    def of(cls, classifier: str) -> "Architecture":
        """That of a name which `ClassifierOptions.check` has passed."""
        name, _, term = classifier.partition("+")
        return cls(name, next((one for one in get_args(Consistency) if one == term), None))


@dataclass(frozen=True)
class ClassifierSizes:
    """Sizes of the classifiers; the defaults are the published ones.

    Attributes:
        vgg_width: channels of the first layers of VGG16.
        vgg_head: "average" averages the last maps, which CAM needs; "hidden" is torchvision's head of three layers.
        resnet_width: channels of the first layers of ResNets.
        msd_depth: layers of MSD.
        msd_width: channels per layer of MSD.
        unet_width: channels of the first layers of U-Net.
        unet_levels: how often U-Net halves the picture.
        norm: "running" uses running averages when testing; "group" is GroupNorm; "none" leaves normalisation out (MSD
            never normalises).
        pooling: how MSD and U-Net turn the map of a class into one number.
        dtype: "bfloat16" computes with 16 bits, which is faster on GPUs and TPUs only.
    """

    vgg_width: int = 64
    vgg_head: Literal["average", "hidden"] = "average"
    resnet_width: int = 64
    msd_depth: int = 50
    msd_width: int = 1
    unet_width: int = 64
    unet_levels: int = 4
    norm: Literal["running", "group", "none"] = "running"
    pooling: Literal["average", "log_sum_exp", "top_share", "rank"] = "average"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def create(self, classifier: str, **options: Any) -> Network:
        """The module of a classifier, with further options of `segjax.models.create`."""
        name = Architecture.of(classifier).name
        return create(name, dtype=self.dtype, **self._own_options(name), **options)

    def _own_options(self, network: str) -> dict[str, Any]:
        if network == "vgg16":
            return {"width": self.vgg_width, "norm": self.norm, "head": self.vgg_head}
        if network == "msd_classifier":
            return {"depth": self.msd_depth, "width": self.msd_width, "pooling": self.pooling}
        if network == "unet_classifier":
            size = {"width": self.unet_width, "levels": self.unet_levels}
            return {**size, "norm": self.norm, "pooling": self.pooling}
        return {"width": self.resnet_width, "norm": self.norm}


@dataclass(frozen=True)
class ClassifierOptions:
    """Which classifiers are trained, and for which objects."""

    classifiers: tuple[str, ...] = arranges(("vgg16", "resnet18", "msd_classifier"))
    """Any of vgg16, resnet18, resnet34, resnet50, msd_classifier, unet_classifier. With +puzzle behind the name, a
    classifier is also taught that the map of a picture is that of its four quarters put together (Puzzle-CAM). With
    +seam, it is taught that the map of a picture, halved, is that of the halved picture (SEAM)."""
    classifier_sizes: ClassifierSizes = decides(make=ClassifierSizes)
    target: int = decides(1)
    """Class of the objects to look for; classes count from 1."""
    label: str = decides("")
    """The image-level label to look for; by default the second. Give it where a table has more than two labels, or does
    not give their order by label_names."""

    def check(self, loop: LoopConfig) -> None:
        """Raises InputError where an option cannot be, given how long is trained; names it and what it may be."""
        check_choices("classifiers", self.classifiers, (*CLASSIFIERS, *TAUGHT))
        if not self.classifiers:
            raise InputError(f"classifiers: there are none; give at least one of {', '.join(CLASSIFIERS)}")
        if self.target < 1:
            raise InputError(f"target: classes count from 1, not {self.target}; give 1 or more")
        for name in self.classifiers:
            self.classifier_sizes.create(name)
            if Architecture.of(name).consistency == "puzzle" and loop.stop != "fixed":
                raise InputError(
                    f"classifiers: {name} weighs its second term more and more over the first half of the epochs, "
                    f"whose number stop={loop.stop} does not fix; give stop=fixed, or +seam"
                )


@dataclass(frozen=True)
class Classifier:
    """The training of a classifier; `epochs` 0 are those of the configuration."""

    network: str
    seed: int
    epochs: int = 0
