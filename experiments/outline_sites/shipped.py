"""Trained weights that find sites: a folder that `experiments.pretrain mounds` wrote."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.outline_sites.held_out import HeldOut, Trivial
from experiments.outline_sites.networks import Gated, Looking
from experiments.site_segmentation.findings import DICE, FALSE_ALARMS, FOUND
from experiments.site_segmentation.operating import Point
from segjax.evaluation import Interval
from segjax.models import card, create
from segjax.models.pretrained import Card, load_pretrained
from segjax.types import InputError

NETWORK, CLASSIFIER = "unet", "unet_classifier"


@dataclass(frozen=True)
class ShippedSites:
    """A network that outlines sites, and a classifier that empties windows; see `experiments.pretrain.mounds`.

    Attributes:
        card: of the weights.
        facts: of the network that outlines: "metres", "side", "point", "held_out", "trivial", "smallest_pixels".
    """

    card: Card
    facts: Mapping[str, Any]
    channels: int = 1
    is_converted: bool = False
    scale: Literal["max", "dtype"] = "dtype"
    count: int = 1

    @property
    def title(self) -> str:
        """What the networks were trained on, in words."""
        return f"simulated mounds (the weights {self.card.name!r})"

    @property
    def side(self) -> int:
        """Of the windows, in pixels."""
        return int(self.facts["side"])

    @property
    def metres(self) -> float | None:
        """Side of a pixel on the ground."""
        return float(self.facts["metres"])

    @property
    def smallest(self) -> tuple[float, str]:
        """Half of the smallest mound that the networks learnt from."""
        return float(self.facts["smallest_pixels"]), "half of the smallest mound that the networks learnt from"

    def point(self, threshold: float | None) -> Point:
        """When a piece counts as a site: by a threshold, or else as chosen on validation pictures."""
        return Point(*self.facts["point"]) if threshold is None else Point(threshold, is_outline=True)

    def looking(self, threshold: float | None) -> Iterator[Looking]:
        """The network, gated by the classifier unless there is a threshold."""
        (network, variables), (classifier, own) = (
            (create(kind, pretrained=self.card.name), load_pretrained(kind, self.card.name).variables["variables"])
            for kind in (NETWORK, CLASSIFIER)
        )
        gate = self.point(threshold).gate
        if not gate:
            yield Looking(network, variables)
            return
        parts = {"network": variables, "classifier": own, "gate": np.float32(gate)}
        yield Looking(Gated(network, classifier), parts)

    @property
    def held_out(self) -> HeldOut:
        """How the networks did on simulated mounds that they never saw."""
        dice, found, alarms = (
            Interval(self.facts["held_out"][name], np.nan, np.nan, 1) for name in (DICE, FOUND, FALSE_ALARMS)
        )
        return HeldOut(dice, found, alarms, Trivial(*self.facts["trivial"]))


def open_shipped(name: str) -> ShippedSites:
    """Trained weights by their name, or a folder of them.

    Raises:
        InputError: there are none, or they do not find sites.
    """
    found = card(name)
    own = found.facts["networks"].get(NETWORK, {})
    if CLASSIFIER not in found.networks or "point" not in own:
        raise InputError(
            f"weights: {name!r} do not find sites; give mounds, or a folder that experiments.pretrain mounds wrote, or "
            "give --run"
        )
    return ShippedSites(found, own)
