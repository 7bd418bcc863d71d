"""Published protocols of the studies of annotation errors, as settings over the defaults of a scale.

`experiments/PROTOCOLS.md` holds them beside what the papers say.
"""

from collections.abc import Mapping
from typing import Any

from experiments.harness.options import Sizes, flags, overlaid
from segjax.types import InputError

# How labels are drawn: in simulated volumes, and in single pictures, where the authors used functions of their own.
VOLUMES: Mapping[str, Mapping[str, str]] = {
    "miccai2022": {"outline_scope": "volume", "inclusion_rounding": "down"},
    "jimaging2024": {"outline_scope": "picture", "inclusion_rounding": "up"},
}
PICTURES: Mapping[str, Mapping[str, str]] = {
    "miccai2022": {"scope": "volume", "outline_scope": "volume", "inclusion_rounding": "leave_one"},
    "jimaging2024": {"scope": "picture", "outline_scope": "picture", "inclusion_rounding": "up"},
}

STEPS: Mapping[str, Mapping[str, Any]] = {
    "miccai2022": {"loss": "dice", "learning_rate": 1e-4, "accumulate": 1, "augment": False},
    "jimaging2024": {"loss": "dice", "learning_rate": 1e-3, "accumulate": 1, "augment": False},
}
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "miccai2022": {"batch_size": 1, "epochs": 20, "stop": "fixed"},
    "jimaging2024": {"batch_size": 1, "epochs": 1000, "stop": "plateau", "patience": 10},
}


def published(scale: str, protocol: str, data: str) -> dict[str, Any]:
    """What a protocol sets in the groups of options that studies share; nothing for "ours" and unknown ones.

    Args:
        scale: with "paper", networks and their training are set too; smaller networks need other training.
        data: the data spec.
    """
    if protocol not in VOLUMES:
        return {}
    has_volumes = data.startswith("microscope:") and not data.startswith("microscope:tissue")
    if has_volumes:
        drawn = {"scope": "dataset", "omission_rounding": "down", **VOLUMES[protocol]}
    else:
        drawn = {"omission_rounding": "at_least_one", **PICTURES[protocol]}
    settings: dict[str, Any] = {
        "source": {"validation": "slice"},
        "annotations": {"protocol": protocol, **drawn},
        "train": {"loop": {"shuffle": False, "first_epoch_counts": False}},
    }
    if scale == "paper":
        step, loop = STEPS[protocol], LOOPS[protocol]
        if protocol == "miccai2022" and not has_volumes:
            step, loop = {**step, "augment": True}, {**loop, "epochs": 50}  # flips of stained pictures
        settings["train"] = {"step": step, "loop": {**settings["train"]["loop"], **loop}}
        settings["segmentation"] = {"sizes": Sizes()}
        settings["source"]["replicates"] = 1
    return settings


def check_protocol(config: Any, settings: Mapping[str, Any]) -> None:
    """Refuse options that contradict the settings of a configuration's protocol.

    Raises:
        InputError: names the option and both values.
    """
    expected = dict(flags(overlaid(config, settings)))
    for flag, value in flags(config):
        if value != expected[flag]:
            protocol = config.annotations.protocol
            raise InputError(
                f"{flag.lstrip('-')}: {value} contradicts --protocol {protocol}, which sets {expected[flag]}; leave "
                f"{flag} out, or give --protocol ours"
            )
