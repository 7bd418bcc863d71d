"""Wrong arguments of public functions, and what is said of them; run without the checks of the tests, as users are.

Prints the message of each as JSON, by the pattern that it is to match; null where another error was raised, or none.
"""

import json
import traceback

import jax
import jax.numpy as jnp
import numpy as np

from segjax.annotations import Recipe, bias, degrade, inclusion, jitter, merging, omission, to_target
from segjax.data import PatchConfig, open_source
from segjax.evaluation import confidence, counts, deletion, dice, interval, overlaps, surface_dice, surface_distances
from segjax.fewshot import Extractor, Objects, create_head, segment_new_type
from segjax.maps import create_map
from segjax.models import create
from segjax.training import LoopConfig, Member, Pictures, StepConfig, make_steps, soft_dice
from segjax.types import InputError
from segjax.upgrade import mixture

KEY = jax.random.key(0)
LABELS = np.pad(np.ones((2, 2), np.int32), 3)
MASK, IMAGE = LABELS > 0, jnp.ones((1, 8, 8, 1))
MSD = create("msd", depth=1)
BYTES = np.ones((8, 8, 1), np.uint8)


def score(images):
    return images.mean((1, 2, 3))


CASES = {
    "key must be a key, as jax.random.key": lambda: omission(0, LABELS, 0.5),
    "labels must be whole numbers .*, not float64": lambda: omission(KEY, LABELS + 0.5, 0.5),
    "labels must be whole numbers .*, not list": lambda: merging(KEY, LABELS.tolist(), 0.5),
    "extra must be whole numbers .*, not int32 .4, 8.; sizes": lambda: inclusion(KEY, LABELS, LABELS[:4], 0.5),
    "mask must be bool .*, not int32": lambda: bias(KEY, LABELS, 1),
    "smoothness: 0.0 is not a finite length in pixels, above 0": lambda: jitter(KEY, LABELS, 1.0, smoothness=0.0),
    "ignore must be bool .*, not bool .4, 8.": lambda: to_target(LABELS, ignore=MASK[:4]),
    "recipe must be Recipe, not float 0.3": lambda: degrade(KEY, LABELS, 0.3),
    "target must be .*, not bool .1, 8.": lambda: counts(MASK, MASK[:1]),
    "prediction must be bool .*, not int32": lambda: counts(LABELS, MASK),
    "sums must be OverlapCounts, not bool .8, 8.": lambda: dice(MASK),
    "truth must be bool .*, not bool .1, 8.": lambda: surface_distances(MASK, MASK[:1]),
    "tolerance: 'a' is not a distance": lambda: surface_dice(surface_distances(MASK, MASK), "a"),
    "truth must be whole numbers .*, not int32 .4, 8.": lambda: overlaps(LABELS, LABELS[:4]),
    "maps must be floating-point .*, not float32 .1, 4, 4.": lambda: confidence(score, IMAGE, jnp.ones((1, 4, 4))),
    "steps must be a whole number": lambda: deletion(score, IMAGE, IMAGE[..., 0], IMAGE, steps=0),
    "values: give one finite number": lambda: interval("abc"),
    "unknown network .'unet'.": lambda: create(["unet"]),
    "head: unknown .'ridge'.": lambda: create_head(["ridge"]),
    "map: unknown .'cam'.": lambda: create_map(["cam"], create("msd_classifier")),
    "images: number 0 holds uint8; give float32 from 0 to 1": lambda: segment_new_type(
        [Extractor(MSD, MSD.init(KEY, IMAGE))], [BYTES], [MASK], [BYTES]
    ),
    "minimum_area must be a number of at least 1, not 'a'": lambda: Objects(minimum_area="a"),
    "epochs must be a number of at least 1, not '3'": lambda: LoopConfig(epochs="3"),
    "size must be a number of at least 1, not None": lambda: PatchConfig(size=None),
    "learning_rate must be a positive number, not a": lambda: StepConfig(learning_rate="a"),
    "network must be Network, not int 3": lambda: make_steps(3, StepConfig()),
    "target must be whole numbers .*, not int32 .1, 4, 4.": lambda: soft_dice(
        jnp.ones((1, 8, 8, 2)), jnp.ones((1, 4, 4), jnp.int32)
    ),
    "training targets: have the shape": lambda: Member(
        KEY, Pictures(np.ones((2, 8, 8, 1), np.float32), LABELS[None]), Pictures(np.asarray(IMAGE), LABELS[None])
    ),
    "source: give its spec as text": lambda: open_source(3),
    "mixture: omission takes several strengths": lambda: mixture(omission=0.3),
}


def answer(call):
    try:
        call()
    except InputError as error:
        return str(error)
    except Exception:
        traceback.print_exc()
    return None


def check_allowed():
    """Whole numbers of any width and arrays of any kind may be given."""
    plain = degrade(KEY, LABELS, Recipe(bias=1))
    for labels in (LABELS.astype(np.uint8), jnp.asarray(LABELS)):
        np.testing.assert_array_equal(degrade(KEY, labels, Recipe(bias=1)), plain)
    assert jax.vmap(lambda key: degrade(key, LABELS, Recipe(bias=1)))(jax.random.split(KEY, 3)).shape == (3, 8, 8)


if __name__ == "__main__":
    check_allowed()
    print(json.dumps({pattern: answer(call) for pattern, call in CASES.items()}))
