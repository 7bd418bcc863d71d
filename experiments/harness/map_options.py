"""The options of maps in the studies: how often slow maps run the network, and how finely maps are judged."""

from dataclasses import dataclass
from typing import Any

from experiments.harness.classifier_options import ClassifierSizes
from segjax.maps import MAPS, Explainer, create_map
from segjax.maps.registry import reason_without
from segjax.types import check_least

OURS = "contour_cam"
MAP_TITLES = {name: kind.title for name, kind in MAPS.items()}


@dataclass(frozen=True)
class MapOptions:
    """How often slow maps run the network, and how finely maps are judged.

    Attributes:
        rise_masks: number of random masks of RISE.
        occlusion_patch: side in pixels of the square that occlusion moves across the picture, half a side at a time.
        gradient_samples: number of gradients that SmoothGrad and integrated gradients average.
        removal_steps: number of steps in which insertion and deletion judge a map.
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
    """Why a classifier of these sizes has no such map; None where it has one."""
    return reason_without(name, sizes.create(classifier))
