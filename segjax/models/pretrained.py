"""Trained weights: those that come with the package, by name, and folders of the same form; each has a card.

A folder of trained weights holds NETWORK.safetensors for each network, card.json, which says how they were made and
how good they are, pictures.csv, which names the pictures that they were made of, and LICENSE.txt. `python -m
experiments.pretrain` of the project's checkout makes such folders.
"""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from segjax.files import Damaged, read_file, read_json
from segjax.models.weights import Weights, load_weights
from segjax.types import InputError

SHIPPED = Path(__file__).parents[1] / "pretrained"
CARD, PICTURES = "card.json", "pictures.csv"
VERSION = 1  # of the networks; one more whenever old weights would give other logits
MOST_CHANNELS = 8  # that a message looks for
FREE = ("remat", "dtype")  # options that the weights do not decide
_FACTS = {"version": int, "segjax": str, "title": str, "about": dict, "networks": dict}
_REMEDY = "install segjax again, or make it anew with python -m experiments.pretrain"
LEARNT, CHOSE, SCORED = "learnt from", "chose the epoch", "scored on"  # sides of pictures


class UsedPicture(NamedTuple):
    """A picture that weights were made of, or scored on.

    Attributes:
        picture: its name.
        group: its volume, patient or map sheet; one group has one side.
        side: `LEARNT`, `CHOSE` or `SCORED`.
        digest: as `picture_digest` gives it.
    """

    picture: str
    group: str
    side: str
    digest: str


@dataclass(frozen=True)
class Card:
    """What is known of trained weights; its text is what people read.

    Attributes:
        name: as it was asked for.
        folder: where the weights lie.
        facts: of the file card.json: "title"; "scale", as the property; "about", texts by heading; "networks", for each
            its "file", "sha256", "options", "parameters", "scores" (texts by what was measured), "made by" (texts by
            heading), and "layers" and "turned" of the features for few-shot segmentation (no layers: it is no
            extractor); "objects" that they learnt from: "classes", "diameters" in pixels (the smallest and the largest
            median of a picture), and "brighter" than the background or not (None: some are, some are not). Missing or
            {}: not known.
    """

    name: str
    folder: Path
    facts: Mapping[str, Any]

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that there are weights for."""
        return tuple(self.facts["networks"])

    @property
    def scale(self) -> str:
        """What pictures are divided by, as `segjax.data.read_picture` takes it: "max" or "dtype"."""
        return str(self.facts.get("scale", "max"))  # cards of earlier versions do not say it

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.facts['title']}", ""]
        lines += [f"{heading}: {text}" for heading, text in self.facts["about"].items()]
        lines += [f"made with: segjax {self.facts['segjax']}, version {self.facts['version']} of the networks"]
        for network, own in self.facts["networks"].items():
            options = ", ".join(f"{name}={value!r}" for name, value in own["options"].items())
            lines += ["", f'create("{network}", pretrained="{self.name}")', f"  options: {options}"]
            lines += [f"  parameters: {own['parameters']:,}"]
            lines += [f"  {measured}: {value}" for measured, value in own["scores"].items()]
            if own["layers"]:
                lines += [f'  features for few annotated pictures: load_extractors("{self.name}")']
            lines += [f"  {heading}: {text}" for heading, text in own["made by"].items()]
            lines += [f"  SHA-256: {own['sha256']}"]
        return "\n".join(lines)

    __repr__ = __str__


def shipped_names() -> tuple[str, ...]:
    """The names of the trained weights that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD}")))


def card(name: str | Path) -> Card:
    """The card of trained weights: what they are for, what pictures they take, how they were made, how good they are.

    `print(card("nuclei"))` shows it, as does `card("nuclei")` alone in an interactive session.

    Args:
        name: of weights that come with the package; or a folder of weights: a `Path`, or text with a slash ("./mine").

    Raises:
        InputError: there is no such name or folder, its card cannot be read, or another version's networks made it.

    >>> sorted(card("nuclei").networks)
    ['msd', 'segnet', 'unet']
    """
    if isinstance(name, Path) or (isinstance(name, str) and ("/" in name or "\\" in name)):
        folder = Path(name)
        if not (folder / CARD).is_file():
            raise InputError(f"pretrained: {name} has no {CARD}; give a folder that experiments.pretrain wrote")
    elif name in (names := shipped_names()):
        folder = SHIPPED / name
    else:
        listed = ", ".join(names) or "none"
        raise InputError(
            f"there are no trained weights {name!r}; choose one of {listed}, or give a folder of weights as ./FOLDER"
        )
    facts = read_json(folder / CARD, "a card of trained weights", _FACTS, _REMEDY)
    if facts["version"] != VERSION:
        raise InputError(
            f"{folder}: these weights are for version {facts['version']} of the networks (segjax {facts['segjax']}), "
            f"but this segjax has version {VERSION}; install segjax {facts['segjax']}, or make them anew with "
            "python -m experiments.pretrain"
        )
    return Card(str(name), folder, facts)


def used_pictures(name: str | Path) -> tuple[UsedPicture, ...]:
    """The pictures that trained weights learnt from, that chose their epoch, and that they were scored on.

    Raises:
        InputError: as `card`, or the list is missing or has other columns.
    """
    path = card(name).folder / PICTURES
    try:
        rows = list(csv.DictReader(io.StringIO(read_file(path).decode())))
        return tuple(UsedPicture(**row) for row in rows)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {_REMEDY}") from None
    except (TypeError, ValueError):
        raise InputError(f"{path}: is no list of pictures; {_REMEDY}") from None


def picture_digest(image: Float32[np.ndarray, "H W C"]) -> str:
    """16 hexadecimal digits of a picture's content.

    They follow from its shape and the order of its values, so that it does not matter what these were divided by.
    """
    ranks = np.unique(image, return_inverse=True)[1].astype("<u4")
    return hashlib.sha256(f"{image.shape}".encode() + ranks.tobytes()).hexdigest()[:16]


def load_pretrained(network: str, name: str | Path) -> Weights:
    """Trained variables in float32 as "variables", and what the file holds beside them, with the facts of the card.

    Raises:
        InputError: as `card`, no weights for such a network, a file that is missing, or one of another version.
        Damaged: the file is not the one that the card was written for.
    """
    found = card(name)
    own = _of_network(found, network)
    path = found.folder / own["file"]
    try:
        digest = hashlib.sha256(read_file(path)).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {_REMEDY}") from None
    if digest != own["sha256"]:
        raise Damaged(f"{path}: is damaged (its SHA-256 is not the one on its card); {_REMEDY}")
    variables, facts = load_weights(path, is_ours=True)  # of 16 bits
    check_version(path, facts, _REMEDY)
    return Weights(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), variables), dict(own))


def check_version(
    path: Path, facts: Mapping[str, Any], remedy: str = "make them anew, or use the segjax that wrote them"
) -> None:
    """Raises InputError where a file is of another version of the networks; a file that says none is of version 1."""
    if (stored := facts.get("version", 1)) != VERSION:
        raise InputError(
            f"{path}: these weights are for version {stored} of the networks, but this segjax has version {VERSION}; "
            f"{remedy}"
        )


def pretrained_options(network: str, name: str | Path) -> dict[str, Any]:
    """The options of a network that some weights belong to.

    Raises:
        InputError: as `card`, or no weights for such a network.
    """
    return options_from(_of_network(card(name), network)["options"])


def check_agreement(network: str, trained: nn.Module, name: str | Path, given: Mapping[str, Any]) -> None:
    """Raises InputError where a given option contradicts the weights, which belong to `trained`."""
    for option, value in given.items():
        if option not in FREE and value != (own := getattr(trained, option)):
            raise InputError(
                f"network {network}: {option}={value!r} contradicts the weights {str(name)!r}, which have "
                f"{option}={own!r}; leave the option out, or leave out pretrained"
            )


def options_from(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a network from a file, in which tuples are lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def _of_network(found: Card, network: str) -> Mapping[str, Any]:
    """What a card says of a network, which is given as `create` or as its class names it."""
    for name, own in found.facts["networks"].items():
        if name.replace("_", "") == network.replace("_", ""):
            return own
    raise InputError(
        f"network {network}: there are no weights {found.name!r} for it; these are for {', '.join(found.networks)}"
    )


class Pretrained(nn.Module):
    """A network that may start from trained weights.

    Attributes:
        pretrained: whose weights `init` gives, by a name or folder as `card` takes it; the key then decides nothing.
            None: `init` draws them.
    """

    pretrained: str | Path | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrained is not None and isinstance(self.parent, nn.Module):
            raise InputError(
                f"pretrained: as a part of a {type(self.parent).__name__} a network gets no trained weights, because "
                "that draws the variables of its parts; leave pretrained out there, and put the variables in afterwards"
            )

    @nn.nowrap
    def init(self, rngs: Any, image: Any, *others: Any, **options: Any) -> Any:  # type: ignore[override]
        """Variables for pictures of this shape: the trained ones, or drawn from the key.

        Raises:
            InputError: the trained weights are for pictures with another number of channels, or as `load_pretrained`.
        """
        if self.pretrained is None:
            return super().init(rngs, image, *others, **options)
        kind = type(self).__name__.lower()
        trained = load_pretrained(kind, self.pretrained).variables["variables"]
        fresh = self.clone(pretrained=None)

        def fits(channels: int) -> bool:
            one = jax.ShapeDtypeStruct((*image.shape[:-1], channels), image.dtype)
            wanted = jax.eval_shape(lambda x: fresh.init(jax.random.key(0), x, *others, **options), one)
            return bool(jax.tree.map(jnp.shape, wanted) == jax.tree.map(jnp.shape, trained))

        if not fits(image.shape[-1]):
            known = next((f"{n} channel{'s'[: n > 1]}" for n in range(1, MOST_CHANNELS + 1) if fits(n)), "others")
            raise InputError(
                f"the weights {str(self.pretrained)!r} take pictures with {known}, not {image.shape[-1]}; convert the "
                f"pictures (card({str(self.pretrained)!r}) says how)"
            )
        return trained

    @nn.nowrap
    def init_with_output(self, rngs: Any, image: Any, *others: Any, **options: Any) -> Any:  # type: ignore[override]
        """Output and variables, as `init` and then `apply` give them."""
        if self.pretrained is None:
            return super().init_with_output(rngs, image, *others, **options)
        variables = self.init(rngs, image, *others, **options)
        return self.apply(variables, image, *others, **options), variables
