"""Networks: `create("unet", width=16)` is a Flax module; `init(key, image)`, `apply(variables, image)` -> logits."""

from segjax.models.encoder_unet import ENCODERS
from segjax.models.pretrained import card
from segjax.models.probe import Probe
from segjax.models.registry import CLASSIFIERS, NETWORKS, create
from segjax.models.torchvision import load_smp, load_torchvision
from segjax.models.weights import load_weights, save_weights

__all__ = [
    "CLASSIFIERS",
    "ENCODERS",
    "NETWORKS",
    "Probe",
    "card",
    "create",
    "load_smp",
    "load_torchvision",
    "load_weights",
    "save_weights",
]
