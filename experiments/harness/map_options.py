"""The options of maps in the studies: how much those that try things out, and their judging, may cost."""

from dataclasses import dataclass
from typing import Any

from experiments.harness.classifiers import ClassifierSizes
from segjax.maps import MAPS, Explainer, create_map, reason_without
from segjax.models import create
from segjax.types import check_least

OURS = "contour_cam"
MAP_TITLES = {name: kind.title for name, kind in MAPS.items()}


@dataclass(frozen=True)
class MapOptions:
    """How much maps that try things out, and their judging, may cost.

    Attributes:
        rise_masks: random masks of RISE.
        occlusion_patch: side in pixels of the square that occlusion moves by half of it.
        gradient_samples: gradients that SmoothGrad and integrated gradients average.
        removal_steps: steps of insertion and deletion, which judge a map.
    """

    rise_masks: int = 4000
    occlusion_patch: int = 16
    gradient_samples: int = 32
    removal_steps: int = 50

    def __post_init__(self) -> None:
        check_least(self, rise_masks=1, occlusion_patch=2, gradient_samples=1, removal_steps=1)

    def create(self, name: str, network: Any) -> Explainer:
        """A map of a classifier with these options."""
        own: dict[str, dict[str, Any]] = {
            "rise": {"masks": self.rise_masks},
            "occlusion": {"patch": self.occlusion_patch},
            "smooth_grad": {"samples": self.gradient_samples},
            "integrated_gradients": {"steps": self.gradient_samples},
        }
        return create_map(name, network, **own.get(name, {}))


def reason_without_map(name: str, classifier: str, sizes: ClassifierSizes) -> str | None:
    """Why a classifier of these sizes has no such map; None where it has."""
    return reason_without(name, create(classifier, **sizes.options(classifier)))
