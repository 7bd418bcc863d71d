"""What goes wrong with labels, how strongly, and drawn per what."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from segjax.annotations import errors, objects, outline
from segjax.annotations.checks import check_ids, check_length, check_rate, check_whole
from segjax.annotations.errors import MAX_OBJECTS, Choice, Labels
from segjax.annotations.ids import present_ids
from segjax.arguments import checked
from segjax.types import InputError

Scope = Literal["dataset", "volume", "picture", "object"]
OmissionRounding = Literal["down", "at_least_one"]
InclusionRounding = Literal["down", "up", "leave_one"]
# A number, an array of them or a traced value; `Recipe` itself refuses everything else, naming the field.
Strength = Any
# Its shape is compared with that of the labels by `degrade` itself.
Foreign = Int[Array | np.ndarray, "..."]

_BEYOND = ("jitter", "polygon", "shift", "merge", "split", "markov", "confusion")
_WHOLE = ("bias", "polygon", "markov")
_OUTLINES = ("bias", "jitter", "polygon", "shift", "markov")
# Their keys are split from one; later errors fold their place into it, so that these keep their draws.
_FIRST = ("omission", "inclusion", "bias", "jitter", "polygon", "shift", "merge", "split")
_CHOICES = {
    "scope": get_args(Scope),
    "outline_scope": (None, *get_args(Scope)),
    "omission_rounding": get_args(OmissionRounding),
    "inclusion_rounding": get_args(InclusionRounding),
}


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Recipe:
    """What goes wrong with labels: which errors, how strong, drawn per what.

    Strengths are the leaves of a pytree, so that recipes can be passed through `jit` and `vmap`; scopes and roundings
    are static, and so is a 0 of any error but omission, inclusion and bias, which costs nothing. Recipes with single
    numbers are hashable.

    Attributes:
        omission: rate of dropped objects, in [0, 1].
        inclusion: rate of foreign objects added, in [0, 1].
        bias: q_max, the largest number of dilations or erosions, in pixels of the picture; whole, 0 or more.
        jitter: standard deviation of the outline's displacement, in pixels.
        polygon: vertices of the polygon that replaces an outline; 3 to 64, 0 keeps the outline.
        shift: length of the displacement of the whole annotation, in pixels.
        merge: rate of touching pairs of objects that get one id, in [0, 1].
        split: rate of objects cut in two, in [0, 1].
        markov: steps of the process that moves outlines (see `markov`, with its published probabilities); whole, 0 or
            more.
        confusion: rate of objects that get another class, in [0, 1]; for `annotate`, as a mask has no classes.
        scope: what shares one draw: "dataset", "volume", "picture" or "object"; see `degrade` and `degrade_groups`.
        outline_scope: the same for bias, jitter, polygon, shift and markov, at least as fine as `scope`; None: `scope`.
        omission_rounding: how many of n objects a rate r drops: "down" int(r n), "at_least_one" max(1, int(r n)).
        inclusion_rounding: how many of n foreign objects a rate r adds: "down" int(r n), "up" ceil(r n), "leave_one"
            min(ceil(r n), n - 1), which is n - max(1, int((1 - r) n)).

    Raises:
        InputError: a strength, scope or rounding is out of range; the message names the field and the range.
    """

    omission: Strength = 0.0
    inclusion: Strength = 0.0
    bias: Strength = 0
    jitter: Strength = 0.0
    polygon: Strength = 0
    shift: Strength = 0.0
    merge: Strength = 0.0
    split: Strength = 0.0
    markov: Strength = 0
    confusion: Strength = 0.0
    scope: str = "volume"
    outline_scope: str | None = None
    omission_rounding: str = "down"
    inclusion_rounding: str = "down"

    def __post_init__(self) -> None:
        for name in ("omission", "inclusion", "merge", "split", "confusion"):
            check_rate(name, getattr(self, name))
        for name in ("jitter", "shift"):
            check_length(name, getattr(self, name))
        check_whole("bias", self.bias)
        check_whole("markov", self.markov)
        check_whole("polygon", self.polygon, 3, outline.MAX_VERTICES)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(map(str, known))}")
        order = get_args(Scope)
        if self.outline_scope is not None and order.index(self.outline_scope) < order.index(self.scope):
            raise InputError(
                f"outline_scope: {self.outline_scope} is coarser than the scope {self.scope}; give {self.scope} or a "
                "finer one"
            )
        for name in _strength_names():
            value = getattr(self, name)
            if isinstance(value, int | float | np.generic):
                # Equal recipes must hash, print and compile alike, whichever kind of number they were written with.
                object.__setattr__(self, name, int(value) if name in _WHOLE else float(value))

    @property
    def drawn(self) -> dict[str, Any]:
        """How errors are drawn, whichever and however strong: scopes and roundings."""
        return {name: getattr(self, name) for name in _CHOICES}

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[tuple[str, ...], tuple[Any, ...]]]:
        names = tuple(name for name in _strength_names() if name not in _BEYOND or self.has(name))
        return tuple(getattr(self, name) for name in names), (names, tuple(self.drawn.values()))

    @classmethod
    def tree_unflatten(cls, static, strengths) -> "Recipe":
        names, drawn = static
        recipe = object.__new__(cls)
        # No check here: JAX puts placeholders and traced values where the numbers were.
        for name in _strength_names():
            object.__setattr__(recipe, name, 0 if name in _WHOLE else 0.0)
        for name, value in (*zip(names, strengths, strict=True), *zip(_CHOICES, drawn, strict=True)):
            object.__setattr__(recipe, name, value)
        return recipe

    def has(self, name: str) -> bool:
        """False where the strength is the plain number 0; an array or a traced value may turn out to be anything."""
        value = getattr(self, name)
        return not isinstance(value, int | float) or value != 0

    @staticmethod
    def stack(recipes: Sequence["Recipe"]) -> "Recipe":
        """One recipe whose strengths are arrays over the given ones (drawn alike), to be mapped over by `vmap`.

        Raises:
            InputError: no recipes, or their scopes or roundings differ.
        """
        ways = {tuple(recipe.drawn.values()) for recipe in recipes}
        if len(ways) != 1:
            found = sorted(map(str, ways)) or "no recipes"
            raise InputError(f"recipes: scopes must be one and the same, and so must roundings; found {found}")
        used = [n for n in _strength_names() if n not in _BEYOND or any(recipe.has(n) for recipe in recipes)]
        kinds = {name: np.int32 if name in _WHOLE else np.float32 for name in used}
        strengths: dict[str, Any] = {n: np.array([getattr(r, n) for r in recipes], kinds[n]) for n in used}
        return replace(Recipe(**recipes[0].drawn), **strengths)

    def __str__(self) -> str:
        wording = {
            "omission": "{:.4g} % omission",
            "inclusion": "{:.4g} % inclusion",
            "bias": "bias up to {} px",
            "jitter": "boundary jitter of {:.4g} px",
            "polygon": "polygons with {} vertices",
            "shift": "shift by {:.4g} px",
            "merge": "{:.4g} % of touching pairs merged",
            "split": "{:.4g} % of objects split",
            "markov": "{} steps of Markov noise",
            "confusion": "{:.4g} % of classes confused",
        }
        percent = ("omission", "inclusion", "merge", "split", "confusion")
        parts = []
        for name in filter(self.has, _strength_names()):
            value = getattr(self, name)
            if isinstance(value, int | float):
                parts.append(wording[name].format(100 * value if name in percent else value))
            else:
                parts.append(f"{name} of several strengths")
        said = [f"drawn per {_in_words(self.scope)}"]
        if self.outline_scope is not None and any(map(self.has, _OUTLINES)):
            said.append(f"outlines per {_in_words(self.outline_scope)}")
        for error in ("omission", "inclusion"):
            rounding = getattr(self, f"{error}_rounding")
            if rounding != "down" and self.has(error):
                said.append(f"{error} rounded: {rounding.replace('_', ' ')}")
        return ", ".join([" + ".join(parts), *said]) if parts else "no errors"

    def to_json(self) -> str:
        """The recipe as one JSON object; strengths must be single numbers."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe that `to_json` wrote; fields left out are 0.

        Raises:
            InputError: not a JSON object, an unknown field, or a value out of range.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"recipe: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise InputError("recipe: expected a JSON object with one entry per field")
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"recipe: unknown field {name!r}; known fields are {', '.join(known)}")
        return cls(**values)


@checked
def degrade(
    key: PRNGKeyArray, labels: Labels, recipe: Recipe, extra: Foreign | None = None, *, max_objects: int = MAX_OBJECTS
) -> Bool[Array, "*slices H W"]:
    """Apply a recipe to the labels of one volume and return the mask that an annotator with such errors would draw.

    Order: merge, split; omission, inclusion; polygon, jitter, markov, shift; bias. Merging and splitting change what
    omission and per-object bias take for one object; they leave no trace in a mask otherwise. Every error has its own
    key, so that adding one leaves the draws of the others as they are.

    Scopes: "dataset" and "volume" draw once for the call; "picture" draws anew for every leading index. "object"
    decides for every object by itself, for the whole call: omission, inclusion and splitting (and merging, per
    touching pair) become independent coins with probability `rate` instead of exact counts, bias has a sign and a q
    of its own for each object, and a shrinking object shrinks from its neighbours too; polygon, jitter, markov and
    shift are drawn as per volume. Where `outline_scope` differs, outlines and bias follow it, the others `scope`.

    Args:
        labels: ids of the objects, 0 background; an id in several slices is one object.
        recipe: its strengths may be traced.
        extra: ids of foreign objects on the same pixels, for inclusion. Without it a traced inclusion rate has no
        effect.
        max_objects: largest id of `labels` and of `extra`, see `omission` and `inclusion`.

    Raises:
        InputError: inclusion without `extra`, confusion, shapes that differ, or (outside `jit`) an id below 0 or above
        `max_objects`.

    >>> labels = np.array([[1, 0, 2, 0, 3, 0, 4]])
    >>> int(degrade(jax.random.key(0), labels, Recipe(omission=0.5)).sum())
    2
    """
    return _checked(key, key, labels, recipe, extra, (None, None), max_objects)


def _checked(key, outline_key, labels, recipe, extra, among, max_objects):
    check_ids("labels", labels, max_objects)
    if extra is not None:
        check_ids("extra", extra, max_objects)
        if extra.shape != labels.shape:
            raise InputError(f"extra: shape {extra.shape} differs from that of the labels {labels.shape}")
    elif not isinstance(recipe.inclusion, jax.core.Tracer) and np.any(np.asarray(recipe.inclusion) > 0):
        raise InputError("extra: inclusion needs the labels of foreign objects; pass them, or set inclusion to 0")
    if recipe.has("confusion"):
        raise InputError("confusion: a mask has no classes; set it to 0, or use `annotate`, which draws classes too")
    foreign = None if extra is None else jnp.asarray(extra, jnp.int32)
    return _degrade((key, outline_key), jnp.asarray(labels, jnp.int32), recipe, foreign, among, max_objects)


def degrade_groups(
    key: PRNGKeyArray,
    volumes: Sequence[Int[Array | np.ndarray, "_ _ _"]],
    recipe: Recipe,
    extras: Sequence[Int[Array | np.ndarray, "_ _ _"]] | None = None,
    *,
    max_objects: int = MAX_OBJECTS,
) -> list[Bool[Array, "_ _ _"]]:
    """Apply a recipe to every volume [D, H, W] of a data set; volumes of equal shape are compiled once.

    Scope "dataset" uses one key for all volumes, and omission and inclusion choose among the ids of all volumes, so
    that the same ids are lost everywhere (as in the published runs for simulated cells) and the bias is the same; the
    other scopes fold the position of the volume into the key. After merging or splitting, whose ids are those of a
    volume, omission chooses among these.

    Raises:
        InputError: as `degrade`, or `extras` is not as long as `volumes`.

    >>> volume = np.array([[[1, 0, 2, 0, 3, 0, 4]]])
    >>> masks = degrade_groups(jax.random.key(0), [volume, volume], Recipe(omission=0.5))
    >>> [int(mask.sum()) for mask in masks]
    [2, 2]
    """
    if extras is not None and len(extras) != len(volumes):
        raise InputError(
            f"extras: there are {len(extras)} volumes of foreign objects for {len(volumes)} volumes; give one for each"
        )
    among: tuple[Any, Any] = (None, None)
    if recipe.scope == "dataset":
        is_renumbered = recipe.has("merge") or recipe.has("split")
        among = (
            None if is_renumbered else _ids_of_all(volumes, max_objects),
            None if extras is None else _ids_of_all(extras, max_objects),
        )
    masks = []
    for index, labels in enumerate(volumes):
        own = jax.random.fold_in(key, index)
        object_key = key if recipe.scope == "dataset" else own
        outline_key = key if (recipe.outline_scope or recipe.scope) == "dataset" else own
        extra = None if extras is None else extras[index]
        masks.append(_checked(object_key, outline_key, labels, recipe, extra, among, max_objects))
    return masks


def _ids_of_all(volumes, max_objects) -> Bool[Array, " ids"]:
    return functools.reduce(jnp.logical_or, (present_ids(jnp.asarray(one), max_objects) for one in volumes))


@functools.partial(jax.jit, static_argnames="max_objects")
def _degrade(keys, labels, recipe, extra, among, max_objects):
    draw = functools.partial(_draw, recipe=recipe, among=among, max_objects=max_objects)
    if recipe.outline_scope in (None, recipe.scope):
        return _anew(draw, recipe.scope, keys[0], labels, extra)
    objects_of, outlines_of = (functools.partial(draw, part=part) for part in ("objects", "outlines"))
    drawn = _anew(objects_of, recipe.scope, keys[0], labels, extra)
    return _anew(outlines_of, recipe.outline_scope, keys[1], drawn, extra)


def _anew(draw, scope, key, labels, extra):
    """Labels drawn at once, or with a key of its own for every picture."""
    if scope != "picture":
        return draw(key, labels, extra)
    pictures = labels.reshape(-1, *labels.shape[-2:])
    keys = jax.random.split(key, pictures.shape[0])
    others = None if extra is None else extra.reshape(pictures.shape)
    return jax.vmap(draw)(keys, pictures, others).reshape(labels.shape)


def _draw(key, labels, extra, *, recipe, among, max_objects, part=None):
    """Errors of objects and then of outlines, or one part of them alone."""
    keys = strength_keys(key)
    each_outline = (recipe.outline_scope or recipe.scope) == "object"
    keeps_ids = recipe.scope == "object" or each_outline or recipe.has("polygon")
    if part != "outlines":
        labels = draw_objects(keys, labels, extra, recipe, among, max_objects, keeps_ids)
    if part == "objects":
        return labels
    ids = max_objects * (1 + recipe.has("split") + (extra is not None)) if keeps_ids else 1
    labels = draw_outlines(keys, labels, recipe, ids)
    if each_outline:
        return errors.bias_per_object(keys["bias"], labels, recipe.bias, max_objects=ids)
    return errors.draw_bias(keys["bias"], labels > 0, recipe.bias)


def strength_keys(key: PRNGKeyArray) -> dict[str, PRNGKeyArray]:
    """A key for every error; those that came later leave those of the first as they are."""
    keys = dict(zip(_FIRST, jax.random.split(key, len(_FIRST)), strict=True))
    later = [name for name in _strength_names() if name not in _FIRST]
    return keys | {name: jax.random.fold_in(key, place) for place, name in enumerate(later, start=len(_FIRST))}


def draw_outlines(keys, labels, recipe, max_objects):
    """Polygon, jitter, Markov noise, then shift, on labels or a mask; an error of 0 is left out."""
    if recipe.has("polygon"):
        labels = outline.draw_polygon(keys["polygon"], labels, recipe.polygon, max_objects=max_objects)
    if recipe.has("jitter"):
        labels = outline.draw_jitter(keys["jitter"], labels, recipe.jitter)
    if recipe.has("markov"):
        ids = labels.astype(jnp.int32)
        labels = outline.draw_markov(keys["markov"], ids, recipe.markov, max_objects=max_objects)
    if recipe.has("shift"):
        labels = outline.draw_shift(keys["shift"], labels, recipe.shift)
    return labels


def draw_objects(keys, labels, extra, recipe, among, max_objects, keeps_ids):
    """Merging, splitting, omission, then inclusion; a mask only, where no later error needs to know objects."""
    each = recipe.scope == "object"
    if recipe.has("merge"):
        labels = objects.merge(keys["merge"], labels, recipe.merge, max_objects=max_objects, independent=each)
    ids = max_objects
    if recipe.has("split"):
        labels = objects.split(keys["split"], labels, recipe.split, max_objects=ids, independent=each)
        ids += max_objects
    dropped = Choice(ids, each, recipe.omission_rounding, among[0])
    added = Choice(max_objects, each, recipe.inclusion_rounding, among[1])
    if keeps_ids:
        labels = errors.omit(keys["omission"], labels, recipe.omission, dropped)
        return labels if extra is None else errors.include(keys["inclusion"], labels, extra, recipe.inclusion, added)
    mask = errors.kept_pixels(keys["omission"], labels, recipe.omission, dropped)
    return mask if extra is None else mask | errors.added_pixels(keys["inclusion"], extra, recipe.inclusion, added)


def _in_words(scope: str) -> str:
    return "data set" if scope == "dataset" else scope


def _strength_names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Recipe) if field.name not in _CHOICES)
