"""Which files of a folder belong together, without opening any: pictures, label images, class images, groups."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from segjax.data.images import PICTURE_SUFFIXES
from segjax.data.tables import first_few, folded, is_csv, is_text, near, read_picture_table
from segjax.types import InputError

LABEL_FOLDERS = ("labels", "masks", "instances")
CLASS_FOLDER = "classes"
_LABEL_ENDING = re.compile(r"_(?:cp_)?(?:masks?|labels?|instances?)$")


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a folder from being used: where, what is wrong, what to do."""

    path: Path
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.remedy}"


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is read; each field is an option of `folder:PATH?option=value&option=value`.

    CSV files are UTF-8, or UTF-16 with its mark, divided by commas, semicolons or tabs as their first line says.

    Attributes:
        images: folder of the pictures; without such a folder the pictures lie in PATH itself.
        annotations: folder of the label images; else the one of labels/, masks/, instances/ that is there, else
            files beside the pictures named as they are plus _mask, _masks, _cp_masks, _label, _labels or _instances,
            else classes/ (class images), whose pieces are the objects.
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
                raise InputError(f"option {name}={options[name]} is not among {', '.join(filter(None, choices))}")
        for name in ("groups", "keep"):
            if not is_csv(options.get(name, "")):
                _compile(name, options.get(name, ""))
        return cls(**options)

    def __post_init__(self) -> None:
        if self.volumes == "true" and self.labels == "components":
            raise InputError(
                "option volumes=true needs ids shared between slices; pieces of masks get new ones in every slice"
            )


CUTS = ("shrink", "crop", "tile", "presence")  # options of `open_source` that say what is made of the pictures
_CHOICES = {
    "labels": ("instances", "components"),
    "scale": ("max", "dtype"),
    "channels": ("", "1", "3"),
    "empty": ("refuse", "keep"),
    "unlabelled": ("refuse", "skip"),
    "volumes": ("false", "true"),
}


@dataclass(frozen=True)
class Entry:
    """The files of one picture; `classes` is None without class images, and `labels` where these are all there is.

    `labels` is None where only the class of the whole picture is known.
    """

    name: str
    group: str
    image: Path
    labels: Path | None
    classes: Path | None


def fit_to_folder(path: Path, options: FolderOptions) -> FolderOptions:
    """The options with class images taken as masks where the folder has no label images beside them.

    Raises:
        InputError: missing folder, one inside that is nearly named as it should be, or volumes=true with class images
            alone.
    """
    if not path.is_dir():
        raise InputError(f"folder:{path} is not a folder; give the folder that holds images/ and labels/")
    _refuse_near_folders(path, options)
    if options.annotations or not (path / CLASS_FOLDER).is_dir():
        return options
    has_labels = any((path / name).is_dir() for name in LABEL_FOLDERS)
    beside = (_LABEL_ENDING.search(file.stem) for file in _files(_image_folder(path, options)))
    if has_labels or any(beside):
        return options
    return replace(options, annotations=CLASS_FOLDER, labels="components")


def list_folder(path: Path, options: FolderOptions) -> tuple[list[Entry], list[Problem]]:
    """Complete entries in the order of their names, and a problem for every file without its partner.

    Raises:
        InputError: no pictures at all, no labels at all, a groups option that does not fit.
    """
    problems: list[Problem] = []
    images, labels, classes = _match(path, options, problems)
    groups = _groups(path, options, sorted(images))
    is_kept = _compile("keep", options.keep)
    kept = [name for name in sorted(images) if is_kept.search(groups[name])]
    if not kept:
        raise InputError(
            f"option keep={options.keep} fits no group; the groups are {first_few(sorted(set(groups.values())))}"
        )
    entries = []
    partners = {"label": labels, "class": classes or {}}
    near_name = {kind: {folded(name): name for name in files} for kind, files in (*partners.items(), ("own", images))}

    def lacks(name: str, kind: str, remedy: str) -> Problem:
        nearly = near(name, near_name[kind])
        return Problem(images[name], f"has no {kind} image{nearly}", "give both one name" if nearly else remedy)

    for name in kept:
        if name not in labels and options.image_labels:
            entries.append(Entry(name, groups[name], images[name], None, None))
        elif name not in labels and options.unlabelled == "skip":
            continue
        elif name not in labels:
            problems.append(lacks(name, "label", "add one of the same name, or give unlabelled=skip"))
        elif classes is not None and name not in classes:
            problems.append(lacks(name, "class", f"add classes/{name}.png or remove the picture"))
        else:
            entries.append(Entry(name, groups[name], images[name], labels[name], (classes or {}).get(name)))
    for kind, files in partners.items():
        for name in sorted(set(files) - set(images)):
            nearly = near(name, near_name["own"])
            remedy = "give both one name" if nearly else "add the picture or remove it"
            problems.append(Problem(files[name], f"{kind} image without its picture{nearly}", remedy))
    return entries, problems


def _match(
    path: Path, options: FolderOptions, problems: list[Problem]
) -> tuple[dict[str, Path], dict[str, Path], dict[str, Path] | None]:
    """Pictures, label images and class images by picture name; None where there is no folder of class images."""
    image_folder, label_folder, class_folder = (
        _image_folder(path, options),
        _label_folder(path, options),
        path / CLASS_FOLDER,
    )
    files = _files(image_folder, problems)
    if image_folder == label_folder:
        images = _by_name([file for file in files if not _LABEL_ENDING.search(file.stem)], problems)
        labels = _by_name([file for file in files if _LABEL_ENDING.search(file.stem)], problems, frozenset(images))
    else:
        images = _by_name(files, problems)
        labels = _by_name(_files(label_folder, problems), problems, frozenset(images))
    if not images:
        raise InputError(
            f"{image_folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}); put them there or give images=NAME"
        )
    if not labels and not options.image_labels:
        raise InputError(
            f"{path} has no labels: no pictures in {', '.join(f'{name}/' for name in (*LABEL_FOLDERS, CLASS_FOLDER))} "
            "and none named NAME_mask beside NAME; put label images there or give annotations=FOLDER "
            "(or image_labels=FILE.csv to classify whole pictures)"
        )
    if class_folder == label_folder and options.labels == "components":
        return images, labels, labels
    if not class_folder.is_dir() or class_folder in (label_folder, image_folder):
        return images, labels, None
    return images, labels, _by_name(_files(class_folder, problems), problems, frozenset(images))


def _refuse_near_folders(path: Path, options: FolderOptions) -> None:
    """Raise InputError for a folder such as Labels/ or Classes/, which would be passed over."""
    meant = {options.images, CLASS_FOLDER, *([options.annotations] if options.annotations else LABEL_FOLDERS)}
    missing = {folded(name): name for name in meant if not (path / name).is_dir()}
    for folder in sorted(path.iterdir()):
        nearly = near(folder.name, missing)
        if nearly and folder.is_dir() and folder.name not in meant:
            raise InputError(f"{folder}: would be passed over{nearly}; rename it to {missing[folded(folder.name)]}")


def _image_folder(path: Path, options: FolderOptions) -> Path:
    folder = path / options.images
    if folder.is_dir():
        return folder
    if options.images != FolderOptions.images:
        raise InputError(f"option images={options.images}: {folder} is not a folder")
    return path


def _label_folder(path: Path, options: FolderOptions) -> Path:
    if options.annotations:
        if not (path / options.annotations).is_dir():
            raise InputError(f"option annotations={options.annotations}: {path / options.annotations} is not a folder")
        return path / options.annotations
    present = [name for name in LABEL_FOLDERS if (path / name).is_dir()]
    if len(present) > 1:
        raise InputError(f"{path} has several label folders ({', '.join(present)}); choose one with annotations=NAME")
    return path / present[0] if present else _image_folder(path, options)


def _files(folder: Path, problems: list[Problem] | None = None) -> list[Path]:
    """Picture files in a folder by name; hidden ones (such as ._x.png of macOS) are passed over.

    A name that is no text could not be written into results: it is added to the problems.
    """
    files = [f for f in folder.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and not f.name.startswith(".")]
    if problems is not None:
        reasons = [f"the file name {file.name!r} is not UTF-8" for file in files if not is_text(file.name)]
        problems += [Problem(folder, reason, "rename the file") for reason in reasons]
    return sorted(file for file in files if is_text(file.name))


def _by_name(files: Sequence[Path], problems: list[Problem], names: frozenset[str] | None = None) -> dict[str, Path]:
    """Files by picture name; of labels (`names` given) an ending such as _mask is taken off if pictures have none."""
    found: dict[str, Path] = {}
    for file in files:
        name = file.stem if names is None or file.stem in names else _LABEL_ENDING.sub("", file.stem)
        if name in found:
            problems.append(Problem(file, f"same name as {found[name].name}", "rename or remove one of the two"))
        found.setdefault(name, file)
    return found


def _groups(path: Path, options: FolderOptions, names: Sequence[str]) -> dict[str, str]:
    if not options.groups:
        return {name: name for name in names}
    table: dict[str, str] = {}
    if is_csv(options.groups):
        table = read_picture_table(path, "groups", options.groups, "group")
        groups = {name: table.get(name) for name in names}
    else:
        matches = {name: _compile("groups", options.groups).search(name) for name in names}
        groups = {name: match.group(1) if match else None for name, match in matches.items()}
    listed = {folded(name): name for name in table}
    missing = [name + near(name, listed) for name, group in groups.items() if not group]
    if missing:
        raise InputError(
            f"option groups={options.groups} gives no group for {first_few(missing)}; every picture needs one"
        )
    return {name: str(group) for name, group in groups.items()}


def _compile(option: str, expression: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise InputError(f"option {option}={expression} is no regular expression ({error})") from None
    if option == "groups" and expression and not compiled.groups:
        raise InputError(
            f"option groups={expression} has no bracket; mark the group, for example groups=^(patient[0-9]+)_"
        )
    return compiled
