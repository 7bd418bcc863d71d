"""Which files of a folder belong together, without opening any: pictures, annotations, class images, groups."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from segjax.data.folders.folder_options import FolderOptions, compiled
from segjax.data.folders.tables import find_file, first_few, folded, is_csv, is_text, near, read_picture_table
from segjax.data.formats import Reading, format_of, formats_of, name_without_ending
from segjax.data.pictures.images import PICTURE_SUFFIXES
from segjax.data.pictures.tiff_layout import Position
from segjax.types import InputError

LABEL_FOLDERS = ("labels", "masks", "instances")
CLASS_FOLDER = "classes"
_PLAIN = Reading()
_OTHER_PICTURES = re.compile(r"\.(?:bmp|gif|webp|jp2|heic|czi|nd2|lif|lsm|oib|oif|vsi|svs|ndpi|mrxs|ims|dcm|nii)", re.I)
_LABEL_ENDING = re.compile(r"_(?:cp_)?(?:masks?|labels?|instances?|rois?)$")


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a folder from being used: where, what is wrong, what to do.

    `spoils` says what for: for training alone, or for anything, as the files are not understood.
    """

    path: Path
    reason: str
    remedy: str
    spoils: Literal["training", "anything"] = "anything"

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.remedy}"


@dataclass(frozen=True)
class Entry:
    """The files of one picture.

    Attributes:
        name, group: as in the source.
        image: the picture.
        labels: its annotation: a label image, a file or folder of another format, or the file of the whole set; None
            where only the class of the whole picture is known.
        classes: its class image; `labels` where these tell the classes themselves; None where nothing does.
        format: of `labels`, a name of `FORMATS`; "" of label images.
        reading: what `labels` do not say themselves.
        class_names: names of class 1, 2, ..., where `labels` names the classes of its objects.
        at, labels_at, classes_at: where in the stacks that the three files are.
    """

    name: str
    group: str
    image: Path
    labels: Path | None
    classes: Path | None
    format: str = ""
    reading: Reading = _PLAIN
    class_names: tuple[str, ...] = ()
    at: Position = ()
    labels_at: Position = ()
    classes_at: Position = ()


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
    images, labels, classes, is_whole = _match(path, options, problems)
    groups = _groups(path, options, sorted(images))
    is_kept = compiled("keep", options.keep)
    kept = [name for name in sorted(images) if is_kept.search(groups[name])]
    if not kept:
        raise InputError(
            f"option keep={options.keep} matches no group; the groups are {first_few(sorted(set(groups.values())))}"
        )
    entries = []
    reading = _reading(path, options)
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
            of_class = (classes or {}).get(name)
            kind = _kind(labels[name], options, is_whole)
            entries.append(Entry(name, groups[name], images[name], labels[name], of_class, kind, reading))
    if len(kinds := {entry.format or "label image" for entry in entries if entry.labels}) > 1:
        raise InputError(f"{path}: holds annotations in several formats ({', '.join(sorted(kinds))}); keep one")
    of_sites = {name: getattr(options, name) for name in ("layer", "class_column", "radius")}
    of_sites["all_touched"] = "true" if options.all_touched == "true" else ""
    if (given := [f"{name}={value}" for name, value in of_sites.items() if value]) and kinds - {"vectors"}:
        raise InputError(f"option {given[0]} is only for files with sites, such as a GeoPackage; leave it out")
    if options.labels == "components" and any(entry.format for entry in entries):
        raise InputError(
            "option labels=components is only for label images; these annotations separate the objects themselves; "
            "leave it out"
        )
    for kind, files in partners.items():
        for name in sorted(set(files) - set(images)):
            nearly = near(name, near_name["own"])
            remedy = "give both one name" if nearly else "add the picture or remove it"
            problems.append(Problem(files[name], f"{kind} image without a picture{nearly}", remedy))
    return entries, problems


def unread(path: Path, options: FolderOptions) -> list[Problem]:
    """A remark where pictures in formats that are not read lie among the others."""
    folder = _image_folder(path, options)
    files = sorted(file.name for file in folder.iterdir() if _OTHER_PICTURES.fullmatch(file.suffix))
    if not files:
        return []
    remedy = "save them as TIFF or PNG (files of microscopes with Fiji or bioio), or remove them"
    return [Problem(folder, f"files in these formats are not read: {first_few(files, 3)}", remedy)]


def _match(
    path: Path, options: FolderOptions, problems: list[Problem]
) -> tuple[dict[str, Path], dict[str, Path], dict[str, Path] | None, bool]:
    """Pictures, annotations and class images by picture name (None where there is no folder of class images), and
    whether the annotations are one file of the whole set."""
    image_folder, class_folder = _image_folder(path, options), path / CLASS_FOLDER
    found = _one_folder_each(path) if image_folder == path and not _files(path) else {}
    if found:
        images, labels = ({name: place[part] for name, place in found.items()} for part in (0, 1))
        return images, labels, None, False
    whole = _file_of_the_set(path, image_folder, options)
    label_folder = whole or _label_folder(path, options)
    files = _files(image_folder, problems)
    if whole or image_folder != label_folder:
        images = _by_name(files, problems)
        of_labels = [] if whole else _annotation_files(label_folder, problems)
        labels = dict.fromkeys(images, whole) if whole else _by_name(of_labels, problems, frozenset(images))
    else:
        images = _by_name([file for file in files if not _LABEL_ENDING.search(file.stem)], problems)
        beside = [file for file in _annotation_files(image_folder, []) if file not in files]
        own = [file for file in beside if _name_of(file, frozenset(images)) in images and not file.is_dir()]
        of_labels = [file for file in files if _LABEL_ENDING.search(file.stem)]
        labels = _by_name(of_labels + own, problems, frozenset(images))
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
        return images, labels, labels, False
    if not class_folder.is_dir() or class_folder in (label_folder, image_folder):
        return images, labels, None, whole is not None
    of_classes = _by_name(_files(class_folder, problems), problems, frozenset(images))
    return images, labels, of_classes, whole is not None


def _refuse_near_folders(path: Path, options: FolderOptions) -> None:
    """Raise InputError for a folder such as Labels/ or Classes/, which would be passed over."""
    meant = {options.images, CLASS_FOLDER, *([options.annotations] if options.annotations else LABEL_FOLDERS)}
    missing = {folded(name): name for name in meant if not (path / name).is_dir()}
    for folder in sorted(path.iterdir()):
        nearly = near(folder.name, missing)
        if nearly and folder.is_dir() and folder.name not in meant:
            raise InputError(f"{folder}: would not be read{nearly}; rename it to {missing[folded(folder.name)]}")


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
            place = path / options.annotations
            raise InputError(f"option annotations={options.annotations}: {place} is neither a folder nor a file")
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
        name = file.stem if names is None else _name_of(file, names)
        if name in found:
            problems.append(Problem(file, f"same name as {found[name].name}", "rename or remove one of the two"))
        found.setdefault(name, file)
    return found


def _name_of(file: Path, names: frozenset[str]) -> str:
    """Name of the picture that an annotation belongs to."""
    name = file.name if file.is_dir() else name_without_ending(file)
    return name if name in names else _LABEL_ENDING.sub("", name)


def _reading(path: Path, options: FolderOptions) -> Reading:
    colours = find_file(path, "colours", options.colours) if options.colours else None
    try:
        radius = float(options.radius or 0)
    except ValueError:
        raise InputError(
            f"option radius={options.radius} is not a number of metres; give for example radius=20"
        ) from None
    return Reading(colours, None, options.layer, options.class_column, radius, options.all_touched == "true")


def _kind(labels: Path, options: FolderOptions, is_whole: bool) -> str:
    """The format of an annotation, which may be that of the whole set; "" of a label image."""
    if options.format or options.colours:
        return options.format or "colours"
    kind = format_of(labels, is_whole)
    if not kind and labels.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"{labels}: its ending does not tell its format; give format={'|'.join(formats_of('read'))}")
    return kind


def _annotation_files(folder: Path, problems: list[Problem]) -> list[Path]:
    """Label images, files of other formats, and folders of masks, by name."""
    shown = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and is_text(file.name)]
    others = [file for file in shown if format_of(file)]
    return [*_files(folder, problems), *others]


def _one_folder_each(path: Path) -> dict[str, tuple[Path, Path]]:
    """Picture and folder of masks of every NAME/images/ beside NAME/masks/, as in the Data Science Bowl 2018."""
    from segjax.data.formats.object_masks import find  # on use: the module reads pictures, this one does not

    return {name: (place.image, place.masks) for name, place in find(path).items()}


def _file_of_the_set(path: Path, image_folder: Path, options: FolderOptions) -> Path | None:
    """The one file that holds the annotations of all pictures; None where there is none.

    Raises:
        InputError: several that may be it.
    """
    if options.annotations and not (path / options.annotations).is_dir():
        places = (path / options.annotations, Path(options.annotations).expanduser())
        return next((place for place in places if place.is_file()), None)
    if options.annotations or any((path / name).is_dir() for name in LABEL_FOLDERS):
        return None
    names = {file.stem for file in _files(image_folder)}
    found = [file for file in sorted(path.iterdir()) if file.is_file() and format_of(file, is_whole=True)]
    found = [file for file in found if file.stem not in names]
    if len(found) > 1:
        names_of = first_few([file.name for file in found])
        raise InputError(
            f"{path}: several files may hold the annotations ({names_of}); choose one with annotations=FILE"
        )
    return found[0] if found else None


def _groups(path: Path, options: FolderOptions, names: Sequence[str]) -> dict[str, str]:
    if not options.groups:
        return {name: name for name in names}
    table: dict[str, str] = {}
    if is_csv(options.groups):
        table = read_picture_table(path, "groups", options.groups, "group")
        groups = {name: table.get(name) for name in names}
    else:
        matches = {name: compiled("groups", options.groups).search(name) for name in names}
        groups = {name: match.group(1) if match else None for name, match in matches.items()}
    listed = {folded(name): name for name in table}
    missing = [name + near(name, listed) for name, group in groups.items() if not group]
    if missing:
        raise InputError(
            f"option groups={options.groups} gives no group for {first_few(missing)}; every picture needs one"
        )
    return {name: str(group) for name, group in groups.items()}
