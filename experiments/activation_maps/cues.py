"""What the decision rests on: parts of the site and its surroundings are taken away, and the score is watched."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from segjax.maps import LOG_ODDS
from segjax.ops.fill import fill_from_neighbours

REGIONS = ("inside", "rim", "halo", "surroundings")
ELSEWHERE = "elsewhere"  # for comparison: as much as the object covers, half a picture away from it
SMALLEST_RIM = 2.0  # pixels
RIM_SHARE = 0.15  # of the object's radius

Mask = Bool[np.ndarray, "H W"]


def regions(truth: Mask) -> dict[str, Mask]:
    """The picture in four parts, by the distance from the object's outline.

    The rim reaches 0.15 radii (2 pixels at least) to both sides, the halo one radius further out; the radius is that of
    the disc with the object's area. `ELSEWHERE` is the object moved by half a picture, without rim and halo.
    """
    radius = float(np.sqrt(truth.sum() / np.pi))
    width = max(SMALLEST_RIM, RIM_SHARE * radius)
    within, beyond = ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth)
    rim = (truth & (within <= width)) | (~truth & (beyond <= width))
    halo = ~truth & ~rim & (beyond <= width + radius)
    near = truth | rim | halo
    moved = np.roll(truth, (truth.shape[0] // 2, truth.shape[1] // 2), (0, 1))
    return {
        "inside": truth & ~rim,
        "rim": rim,
        "halo": halo,
        "surroundings": ~near,
        ELSEWHERE: moved & ~near,
    }


def scorer(apply: Any) -> Callable[..., Any]:
    """Compiled (variables, images [B, H, W, C], removed bool [B, H, W]) -> log odds [B] of the pictures without that.

    What is removed is filled in from its surroundings.
    """

    @jax.jit
    def score(variables, images, removed):
        return LOG_ODDS(apply(variables, fill_from_neighbours(images, removed)))

    return score


def cue_rows(
    whole: np.ndarray, without: float, removed: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray]
) -> list[dict[str, object]]:
    """Rows of the study from log odds.

    Args:
        whole: of the pictures with the object [P].
        without: mean of pictures without it.
        removed: of the former when a region is removed [P]; alone: when everything else is.
    """
    evidence = float(np.sum(whole - without))
    rows: list[dict[str, object]] = [{"metric": "log_odds_ahead", "value": evidence / len(whole)}]
    for region, values in removed.items():
        rows.append({"metric": f"cue_lost_without_{region}", "value": _share(float(np.sum(whole - values)), evidence)})
    for region, values in alone.items():
        rows.append({"metric": f"cue_left_with_{region}", "value": _share(float(np.sum(values - without)), evidence)})
    return rows


def _share(part: float, evidence: float) -> float:
    """NaN where the classifier does not tell the two kinds of pictures apart."""
    return part / evidence if evidence > 0 else float("nan")
