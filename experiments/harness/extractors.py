"""Trained weights as extractors of features in studies: whether they fit some pictures, and have not seen them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from experiments.harness.weights import made_of
from segjax.data.spec import Spec, parse_spec
from segjax.fewshot import FeatureBank, load_extractors
from segjax.fewshot.files import extractor_files, shipped_extractors
from segjax.models import card
from segjax.models.pretrained import picture_digest, shipped_names, used_pictures
from segjax.types import InputError, Source

SIMULATED = ("microscope", "terrain")


def reason_without_extractors(name: str, source: Source, images: Float32[np.ndarray, "P H W C"]) -> str:
    """Why weights cannot serve as extractors for the pictures of a source; "" where they can.

    Trained weights say which pictures they were made of; extractors that a study saved do not. These pictures are known
    by their content, and, as a picture may have been cut or shrunk, by their name in any folder or simulated set that
    can hold them.
    """
    try:
        bank = FeatureBank(load_extractors(name))
        if bank.channels != images.shape[-1]:
            others = ", ".join(other for other in shipped_extractors() if other != name)
            return f"the extractors {name} take pictures with {bank.channels} channel(s); give other ones ({others})"
        bank.check(images[0], source.names[0])
        weights = name if name in shipped_names() else Path(name)
        seen = "" if extractor_files(name) else _seen(weights, source, images)
    except InputError as error:
        return str(error)
    if seen:
        why = f"the extractors {name} have learnt from a picture with the name or content of {seen}"
        return f"{why}; give other pictures or extractors, or rename it if it is another picture"
    return ""


def _seen(weights: str | Path, source: Source, images: Float32[np.ndarray, "P H W C"]) -> str:
    """The name of a picture that weights were made of; "" where there is none."""
    digests, names = made_of(used_pictures(weights))
    own, theirs = (parse_spec(text) for text in (source.spec, card(weights).facts["about"]["data"].partition(" (")[0]))
    if own.scheme in SIMULATED:
        is_alike = (own.scheme, own.name, _seed(own)) == (theirs.scheme, theirs.name, _seed(theirs))
    else:
        is_alike = theirs.scheme not in SIMULATED
    for picture, image in zip(source.names, images, strict=True):
        if (is_alike and picture.partition("@")[0] in names) or picture_digest(image) in digests:
            return picture
    return ""


def _seed(spec: Spec) -> str:
    return spec.options.get("seed", "0")
