"""Training an upgrade network: every read of clean labels shows another noisy version of them.

The network sees a picture and, as one more channel, a noisy mask of it; its target is the clean mask. The noisy
mask is drawn on device from the step's key, inside the compiled step, so that no degraded copy is ever stored. Recipes
are traced: one compilation serves every strength, seed and error.

Source: Vădineanu et al., Journal of Imaging 10 (2024) 172.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Int32

from segjax.annotations import Recipe, degrade
from segjax.annotations.errors import MAX_OBJECTS
from segjax.annotations.ids import present_ids
from segjax.arguments import checked
from segjax.models import create
from segjax.training import Pictures, StepConfig, Steps, make_steps
from segjax.training.augment import flip_and_turn
from segjax.training.steps import pure_step
from segjax.types import InputError, Network
from segjax.upgrade.recipes import PUBLISHED_ERRORS, recipe_table

Rounding = Literal["random", "down", "published"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CleanLabels:
    """Clean labels of P pictures, and which noisy versions of them are drawn; see `clean_pictures`.

    Attributes:
        labels: int32 [P, H, W], ids of the objects, 0 background.
        foreign: int32 [P, H, W], ids of the objects that inclusion takes from, or None.
        recipes: recipe with strengths [P, R]: what may go wrong with each picture's labels.
        weights: float32 [P, R], how likely each recipe is.
        seeds: uint32 [P], the draw of each picture when it validates.
    """

    labels: Any
    foreign: Any
    recipes: Any
    weights: Any
    seeds: Any


@checked
def clean_pictures(
    images: Float32[np.ndarray, "P H W C"],
    labels: Int32[np.ndarray, "P H W"],
    recipes: Recipe | Sequence[Recipe],
    *,
    foreign: Int32[np.ndarray, "P H W"] | None = None,
    weights: Sequence[float | int] | None = None,
    errors: Sequence[str] = PUBLISHED_ERRORS,
    draws: int = 1,
    seed: int = 0,
) -> Pictures:
    """Pictures for training or validating with `make_upgrade_steps`.

    Args:
        labels: clean labels, ids of the objects, 0 background.
        recipes: what goes wrong: one recipe, or up to 64 of which each read draws one (`mixture`, `estimate_recipe`).
        foreign: objects that inclusion takes from, on the same pixels.
        weights, errors: see `recipe_table`.
        draws: how often each picture is listed, each time with another seed; for validation, where draws are fixed.
        seed: decides the draws in validation. Training draws from the key of its state.

    Raises:
        InputError: labels that are empty or full everywhere, a recipe that cannot apply, or too many recipes.

    >>> images, labels = np.zeros((2, 8, 8, 1), np.float32), np.stack([np.eye(8, dtype=np.int32)] * 2)
    >>> pictures = clean_pictures(images, labels, Recipe(bias=2), draws=3)  # each picture three times, with three seeds
    >>> pictures.images.shape, len(set(pictures.targets.seeds.tolist()))
    ((6, 8, 8, 1), 6)
    """
    check_masks("labels", labels > 0)
    if draws < 1:
        raise InputError(f"draws must be at least 1, not {draws}")
    table, weight = recipe_table([recipes] if isinstance(recipes, Recipe) else recipes, weights, errors)
    if np.any(table.inclusion[weight > 0] > 0) and (foreign is None or not foreign.any()):
        raise InputError("recipes: inclusion needs foreign objects; give `foreign` with objects, or set inclusion to 0")
    rows = np.repeat(np.arange(len(images)), draws)
    count = len(rows)

    def repeated(values):
        return np.broadcast_to(values, (count, *values.shape))

    clean = CleanLabels(
        labels=labels[rows],
        foreign=None if foreign is None else foreign[rows],
        recipes=jax.tree.map(repeated, table),
        weights=repeated(weight),
        seeds=np.random.SeedSequence(seed).generate_state(count),
    )
    return Pictures(images[rows], clean)


def check_masks(name: str, masks: Bool[np.ndarray, "P H W"]) -> None:
    """Raise `InputError` where no pixel of a set of masks is set, or every one is: such a channel tells nothing."""
    if not masks.any():
        raise InputError(
            f"{name}: empty in every picture, so there is nothing to learn from or to upgrade; give pictures with "
            "objects"
        )
    if masks.all():
        raise InputError(f"{name}: full in every picture, but 0 must be background; give other labels")


@checked
def upgrade_network(
    name: str, images: Float32[np.ndarray, "P H W C"], labels: Int32[np.ndarray, "P H W"], **options: Any
) -> Network:
    """A network of the zoo for pictures with a label channel; MSD is given mean and deviation of every channel.

    Those of the label channel are taken from the clean labels. The default U-Net with one grey channel has
    14,788,418 parameters.

    Raises:
        InputError: as `segjax.models.create`.

    >>> images, labels = np.full((1, 2, 2, 1), 0.5, np.float32), np.array([[[1, 0], [0, 0]]], np.int32)
    >>> upgrade_network("msd", images, labels, depth=3).input_mean  # of the picture, and of the label channel
    (0.5, 0.25)
    """
    if name == "msd" and not {"input_mean", "input_std"} & set(options):
        channels = np.moveaxis(np.asarray(with_labels(images, labels > 0), np.float64), -1, 0)
        options["input_mean"] = tuple(float(channel.mean()) for channel in channels)
        options["input_std"] = tuple(float(max(channel.std(), 1e-6)) for channel in channels)
    return create(name, **options)


def with_labels(
    images: Float[Array | np.ndarray, "*B H W C"], masks: Bool[Array | np.ndarray, "*B H W"]
) -> Float[Array | np.ndarray, "*B H W C+1"]:
    """What an upgrade network sees: the channels of the picture, then the noisy mask as 0 and 1."""
    library = np if isinstance(images, np.ndarray) and isinstance(masks, np.ndarray) else jnp
    return library.concatenate([images, masks[..., None].astype(images.dtype)], axis=-1)


def make_upgrade_steps(
    network: Network, config: StepConfig, *, max_objects: int = MAX_OBJECTS, rounding: Rounding = "random"
) -> Steps:
    """Compiled steps of an upgrade network, for `segjax.training.fit` and `fit_pack` with `clean_pictures`.

    As `make_steps`, but `train` and `validate` take a `CleanLabels` batch in place of targets, and pictures without
    label channel. Training step n draws from fold_in(state.key, n); validation draws from the seed of each picture, the
    same in every epoch. Foreign objects are flipped and turned with the picture. `predict` takes pictures with the
    label channel (`with_labels`).

    Args:
        network: any of the zoo for one channel more than the pictures have.
        max_objects: largest id of labels and foreign objects; a power of two above it is soon compiled for all.
        rounding: how many of the n objects of a picture a rate r drops or adds. "down": int(r n). "random": r n rounded
            up or down at random, so that its mean is r n where pictures show few objects. "published": of objects as
            the recipe says; of foreign ones all but max(1, int((1 - r) n)).

    >>> images, labels = np.zeros((2, 8, 8, 1), np.float32), np.stack([np.eye(8, dtype=np.int32)] * 2)
    >>> steps = make_upgrade_steps(create("msd", depth=1), StepConfig())
    >>> state = steps.init(jax.random.key(0), images)
    >>> state.params["head_kernel"].shape  # from picture, noisy mask and one layer to background and object
    (3, 2)
    >>> pictures = clean_pictures(images, labels, Recipe(bias=1))
    >>> [part.shape for part in jax.eval_shape(steps.validate, state.variables, *pictures)]  # loss, foreground pixels
    [(2,), (2,)]
    """
    plain, step = make_steps(network, config), pure_step(network, config)

    def shown(keys, images, clean):
        masks = noisy_masks(keys, clean, max_objects=max_objects, rounding=rounding)
        return with_labels(images, masks), (clean.labels > 0).astype(jnp.int32)

    def init(key, images, learning_rate=config.learning_rate):
        return plain.init(key, with_labels(images, jnp.zeros(images.shape[:-1], bool)), learning_rate)

    def train(state, images, clean):
        for_turn, for_draw = jax.random.split(jax.random.fold_in(state.key, state.step))
        if config.augment:
            images, clean = _turned(for_turn, images, clean)
        return step(state, *shown(jax.random.split(for_draw, images.shape[0]), images, clean))

    def validate(variables, images, clean):
        return plain.validate(variables, *shown(None, images, clean))

    return Steps(init, jax.jit(train, donate_argnums=0), jax.jit(validate), plain.predict, network)


@partial(jax.jit, static_argnames=("max_objects", "rounding"))
def noisy_masks(
    keys: Any, clean: CleanLabels, *, max_objects: int = MAX_OBJECTS, rounding: Rounding = "random"
) -> Bool[Array, "B H W"]:
    """A noisy mask of each picture, as `make_upgrade_steps` shows them to the network.

    Args:
        keys: one per picture, [B]; None draws from the seeds of the pictures, as validation does.
        max_objects, rounding: as for `make_upgrade_steps`.
    """

    def draw(key, labels, foreign, recipes, weights):
        for_row, for_rates, for_errors = jax.random.split(key, 3)
        row = jax.random.categorical(for_row, jnp.log(weights))
        recipe = jax.tree.map(lambda strengths: strengths[row], recipes)
        if rounding == "published":
            recipe = replace(recipe, inclusion_rounding="leave_one")
        else:
            recipe = replace(recipe, omission_rounding="down", inclusion_rounding="down")
        if rounding == "random" and recipe.scope != "object":  # the coins of "object" keep the mean already
            recipe = _randomly_rounded(for_rates, recipe, labels, foreign, max_objects)
        return degrade(for_errors, labels, recipe, foreign, max_objects=max_objects)

    drawn_from = jax.vmap(jax.random.key)(jnp.asarray(clean.seeds)) if keys is None else keys
    return jax.vmap(draw)(drawn_from, clean.labels, clean.foreign, clean.recipes, clean.weights)


def _turned(key, images, clean: CleanLabels) -> tuple[Float[Array, "B H W C"], CleanLabels]:
    """Picture, labels and foreign objects flipped and turned alike."""
    if clean.foreign is None:
        images, labels = flip_and_turn(key, images, clean.labels)
        return images, replace(clean, labels=labels)
    layers = jnp.stack([clean.labels, clean.foreign], axis=-1)
    images, layers = flip_and_turn(key, images, layers)
    return images, replace(clean, labels=layers[..., 0], foreign=layers[..., 1])


def _randomly_rounded(key, recipe: Recipe, labels: Int[Array, "H W"], foreign, max_objects: int) -> Recipe:
    """Rates r of n objects raised by up to 1 / n, so that int() of their product is r n on average."""
    shares = jax.random.uniform(key, (2,))

    def raised(rate, objects, share):
        count = jnp.sum(present_ids(objects, max_objects))
        return jnp.where(rate > 0, jnp.minimum(rate + share / jnp.maximum(count, 1), 1), rate)

    omission = raised(recipe.omission, labels, shares[0])
    inclusion = recipe.inclusion if foreign is None else raised(recipe.inclusion, foreign, shares[1])
    return replace(recipe, omission=omission, inclusion=inclusion)
