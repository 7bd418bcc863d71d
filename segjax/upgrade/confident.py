"""Confident learning for masks: pixels whose label a network confidently contradicts are relabelled.

The rival that repairs labels without being shown how they go wrong. Source: Northcutt et al., JAIR 70 (2021),
confident joint and pruning by noise rate; used for masks by Zhang et al., MICCAI 2020, with its hard correction.
"""

import numpy as np
from jaxtyping import Bool, Float, Int


def confident_joint(
    probability: Float[np.ndarray, "*shape"], mask: Bool[np.ndarray, "*shape"]
) -> Int[np.ndarray, "2 2"]:
    """How many pixels with given label i (row) are confidently of class j (column).

    A pixel is confidently of the more probable one of the classes j whose probability reaches t_j, the mean probability
    of j over the pixels with label j. A class without pixels is never reached.

    Args:
        probability: of an object, in [0, 1].
        mask: the given labels.
    """
    reached = []
    for label, p in ((False, 1 - probability), (True, probability)):
        threshold = p[mask == label].mean() if np.any(mask == label) else np.inf
        reached.append(np.where(p >= threshold, p, -1.0))
    off, on = reached
    counted = np.maximum(off, on) >= 0
    return np.array(
        [
            [np.count_nonzero(counted & (mask == label) & ((on > off) == truth)) for truth in (False, True)]
            for label in (False, True)
        ]
    )


def correct_mask(
    probability: Float[np.ndarray, "*shape"], mask: Bool[np.ndarray, "*shape"]
) -> Bool[np.ndarray, "*shape"]:
    """The mask with the labels flipped that are likely wrong.

    Of the n_i pixels with label i, the share that the confident joint gives to the other class, rounded down, is
    flipped: those to which the network gives the other class with the highest probability (the first of equals).

    Args:
        probability: of an object, in [0, 1], by a network trained on labels of this kind.
        mask: the given labels of one picture, or of several that share their errors.
    """
    joint = confident_joint(probability, mask)
    corrected = mask.copy().reshape(-1)
    for label, own in ((False, 1 - probability), (True, probability)):
        pixels = np.flatnonzero(mask == label)
        confident = joint[int(label)]
        wrong = int(len(pixels) * confident[int(not label)] / max(confident.sum(), 1))
        order = np.argsort(own.reshape(-1)[pixels], kind="stable")  # the least believed label first
        corrected[pixels[order[:wrong]]] = not label
    return corrected.reshape(mask.shape)
