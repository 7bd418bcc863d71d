"""How a folder is read: the options after the question mark of `folder:PATH?option=value`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from segjax.data.folders.tables import is_csv
from segjax.data.formats import formats_of
from segjax.types import InputError


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is read; each field is an option of `folder:PATH?option=value&option=value`.

    CSV files are UTF-8, or UTF-16 with its mark, divided by commas, semicolons or tabs as their first line says.

    Attributes:
        images: folder of the pictures; without such a folder the pictures lie in PATH itself.
        annotations: folder of the label images; else the one of labels/, masks/, instances/ that is there, else
            files beside the pictures named as they are plus _mask, _masks, _cp_masks, _label, _labels or _instances,
            else classes/ (class images), whose pieces are the objects. Instead of label images there may be files of
            other formats (`segjax.data.formats.FORMATS`), one for each picture and named as it is; or one for the whole
            set, in PATH or given here; or a folder of masks for each picture.
        format: name of the format of the annotations, where their ending does not tell it: one of `FORMATS`.
        colours: a CSV file (columns colour, class) in the folder or at that path: label images are coded by colour.
        stacks: "refuse" TIFF stacks, or take their "planes" as pictures, named as in "cells@t3,z12"; without groups the
            planes of a file are a group, with volumes=true those of a time point. Labels are stacks with the same axes,
            or ROIs of ImageJ with positions.
        bands: names or numbers (counted from 1) of the channels of TIFF files that are used, divided by commas.
        layer, class_column: of files of sites such as GeoPackage: the layer, where they have several, and the column
            that holds the class of each site.
        radius: metres, of the circle that a point among the sites stands for.
        all_touched: "true" where every pixel belongs to a site that the site touches, not only if its centre does.
        labels: "instances" (one id per object) or "components" (a mask: 8-connected pieces are the objects; several
            values, at most 64, are classes and 255 is left out; a single value is one class).
        class_names: names of class 1, 2, ..., divided by commas; or a CSV file (columns class, name) in the folder or
            at that path. Other values in class images are then refused, but 255.
        groups: a regular expression whose first bracket, found in the picture's name without ending, is the group; or a
            CSV file (columns picture, group) in the folder or at that path. Without it every picture is its own group.
        keep: a regular expression; only pictures in whose group it is found are used.
        scale: division by "max", the picture's own maximum, or by "dtype", the largest value of its file type.
        channels: "1" (grey by luminance) or "3" (grey repeated); needed where grey and RGB are mixed.
        empty: "refuse" or "keep" pictures without any object.
        unlabelled: "refuse" or "skip" pictures without a label image.
        image_labels: a CSV file (columns picture, label) in the folder or at that path: the class of each whole
            picture. Label images are then not needed: pictures without one are not judged, empty ones are kept.
        label_names: names of image-level class 0, 1, ..., divided by commas; without them the labels of the table in
            the order of numbers or of the alphabet.
        volumes: "true" where the pictures of a group are slices whose ids name the same objects.
    """

    images: str = "images"
    annotations: str = ""
    format: str = ""
    colours: str = ""
    stacks: str = "refuse"
    bands: str = ""
    layer: str = ""
    class_column: str = ""
    radius: str = ""
    all_touched: str = "false"
    labels: str = "instances"
    class_names: str = ""
    groups: str = ""
    keep: str = ""
    scale: str = "max"
    channels: str = ""
    empty: str = "refuse"
    unlabelled: str = "refuse"
    image_labels: str = ""
    label_names: str = ""
    volumes: str = "false"

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> "FolderOptions":
        """From the options of a spec; InputError names an unknown option or value and lists the allowed ones."""
        allowed = [field.name for field in fields(cls)]
        for name in options:
            if name not in allowed:
                names = ", ".join([*allowed, *CUTS])
                raise InputError(f"option {name!r} is unknown for folder:; allowed are {names}")
        for name, choices in _CHOICES.items():
            if options.get(name, choices[0]) not in choices:
                raise InputError(
                    f"option {name}={options[name]} is unknown; choose one of {', '.join(filter(None, choices))}"
                )
        for name in ("groups", "keep"):
            if not is_csv(options.get(name, "")):
                compiled(name, options.get(name, ""))
        return cls(**options)

    def __post_init__(self) -> None:
        if self.label_names and not self.image_labels:
            raise InputError("option label_names names the labels of image_labels=FILE.csv; give both, or leave it out")
        if self.volumes == "true" and self.labels == "components":
            raise InputError(
                "option volumes=true needs ids that slices share, but the pieces of masks get new ids in every "
                "slice; leave it out"
            )


CUTS = ("shrink", "crop", "tile", "presence")  # options of `open_source` that say what is made of the pictures
_CHOICES = {
    "labels": ("instances", "components"),
    "scale": ("max", "dtype"),
    "channels": ("", "1", "3"),
    "empty": ("refuse", "keep"),
    "unlabelled": ("refuse", "skip"),
    "volumes": ("false", "true"),
    "stacks": ("refuse", "planes"),
    "all_touched": ("false", "true"),
    "format": ("", *formats_of("read")),
}


def compiled(option: str, expression: str) -> re.Pattern[str]:
    """A regular expression that was given as an option.

    Raises:
        InputError: it is none, or that of the groups has no bracket.
    """
    try:
        found = re.compile(expression)
    except re.error as error:
        raise InputError(f"option {option}={expression} is not a regular expression ({error})") from None
    if option == "groups" and expression and not found.groups:
        raise InputError(
            f"option groups={expression} has no bracket; put the group into brackets, for example "
            "groups=^(patient[0-9]+)_"
        )
    return found
