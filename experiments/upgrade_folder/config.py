"""The options of the command, and which of them it refuses."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from experiments.harness.options import TrainOptions
from segjax.annotations import Recipe
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.spec import parse_spec
from segjax.models import NETWORKS
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError
from segjax.upgrade import mixture

CLEAN, NOISY, PAIRS = "labels", "noisy", "pairs"
STRENGTHS = ("omission", "inclusion", "bias", "jitter")
SCRATCH = "scratch"  # no trained weights
EVERY_RATE = {"omission": (0.25, 0.5, 0.7), "inclusion": (0.25, 0.5)}


@dataclass(frozen=True)
class FolderConfig:
    """Repairs the noisy labels of your own pictures with a network that learns from a few clean labels.

    The folder looks like this. Files that belong together have the same name.

      my_pictures/images/     the pictures (PNG, TIFF, JPEG)
      my_pictures/labels/     clean labels of some of them, objects numbered 1, 2, ...; ten are a good start
      my_pictures/noisy/      noisy labels of the others, which are repaired
      my_pictures/pairs/      if you have them: noisy labels of pictures that are in labels/ as well

    The command writes OUT/labels (the repaired labels as 16-bit TIFF; an object that is the same keeps its id),
    OUT/changes.csv (every object that was added, was removed or has a new outline, with the network's confidence) and
    OUT/review.html (the page: whether repair makes labels better here, and the pictures with the largest changes). Your
    own files are never changed. A run that was stopped continues when you give the same command again.

    Example: python -m experiments.upgrade_folder --data my_pictures --out runs/repaired
    """

    data: str
    """The folder, or a spec with options: "folder:my_pictures?tile=256&groups=^(patient[0-9]+)_". tile: edge of the
    training squares (default: whole pictures where all have one size, else squares of 256). groups, keep, scale,
    channels, empty, images and labels are as in the studies."""
    out: Path
    """Folder that the command writes to; not one of the folders above."""
    mistakes: Literal["mixture", "exactly", "pairs"] = "mixture"
    """Errors in the noisy labels. mixture: you do not know them; the network learns every combination of the strengths
    below. exactly: you know them; give one number for each error. pairs: they are estimated from the folder pairs/."""
    omission: tuple[float, ...] = ()
    """Rates of overlooked objects, 0 to 1."""
    inclusion: tuple[float, ...] = ()
    """Rates of wrongly included objects, 0 to 1, as a share of the objects that --foreign provides."""
    bias: tuple[int, ...] = ()
    """Largest number of pixels by which outlines are too large or too small."""
    jitter: tuple[float, ...] = ()
    """Uneven outlines: standard deviation in pixels. Without any of these four options, a mixture has omission 0.25,
    0.5 and 0.7, inclusion 0.25 and 0.5, and bias of a sixth and a third of the objects' median radius."""
    foreign: Literal["borrowed", "none"] = "borrowed"
    """Objects to include wrongly. borrowed: objects of another picture, placed where this picture has none. none: no
    object is included wrongly."""
    noisy_labels: Literal["same", "instances", "components"] = "same"
    """Format of the noisy labels. instances: numbered objects. components: masks, whose pieces are the objects. same:
    as the clean labels."""
    start: str = "upgrader"
    """What the network starts from. upgrader: weights that come with segjax and have learnt to repair such errors on
    other nuclei and cells; pictures in colour become grey for them. They learn from your clean labels, too, and are
    used as they are where that repairs the held-out labels better; the page says which. scratch: random numbers, so
    that the network learns from your clean labels alone. upgrader is the default because it takes a tenth of the time
    or less, with a Dice of 0.897 beside 0.842 in one draw (experiments/benchmarks/results/upgrade_starts.csv). As they
    are, the weights repair bright-field pictures worst, of which they have seen three; the command
    python -c "from segjax.models import card; print(card('upgrader'))" prints their scores. Or a folder of weights, as
    ./FOLDER."""
    tune: int = 40
    """With trained weights: for how many epochs they learn from your clean labels. 0: they are used as they are."""
    network: str = "unet"
    """unet, segnet or msd. This, the sizes below and --train are for networks that start from scratch: those of --start
    scratch, and those that --folds compares."""
    width: int = 16
    """Channels of the first level of unet or segnet."""
    levels: int = 3
    """Poolings of unet or segnet."""
    depth: int = 50
    """Layers of msd."""
    train: TrainOptions = field(
        default_factory=lambda: TrainOptions(
            StepConfig(loss="both", learning_rate=1e-3, augment=True),
            LoopConfig(batch_size=4, epochs=300, stop="plateau", patience=30),
        )
    )
    draws: int = 4
    """Noisy versions of each held-out picture, which choose the best epoch."""
    folds: int = 0
    """Find out which labels to train on: clean ones alone, noisy ones too, or repaired ones too. The pictures in
    labels/ are divided into this many folds. Each fold in turn is the test set of networks that are trained on the
    other pictures, four per fold. A verdict needs 5 folds. The command says first how long this takes. 0: off."""
    minimum_relative_area: float = 0.1
    """Smallest area of a new object, as a fraction of the median area of the objects in labels/; smaller specks are
    dropped."""
    window: int = 1024
    """Edge in pixels of the windows in which larger pictures are repaired; the result is the same."""
    shown: int = 40
    """Pictures on the page."""
    accept_code: bool = False
    """Continue with results that other code made; the page says so."""
    seed: int = 0
    """Decides which pictures with clean labels are held out, and all random draws."""


def check_folder_config(config: FolderConfig) -> None:
    """Refuse options that cannot be meant, before anything is read.

    Raises:
        InputError: names the option and what it may be.
    """
    if config.network not in NETWORKS:
        raise InputError(f"network: unknown {config.network!r}; choose one of {', '.join(NETWORKS)}")
    for name, least in {"draws": 1, "window": 1, "shown": 0, "seed": 0, "folds": 0, "tune": 0}.items():
        if getattr(config, name) < least:
            raise InputError(f"{name} must be at least {least}, not {getattr(config, name)}")
    own = [name for name in ("network", "width", "levels", "depth") if getattr(config, name) != _default(name)]
    if own and config.start != SCRATCH and not config.folds:
        raise InputError(
            f"{own[0]}: is of networks that start from scratch, but this one starts from the weights "
            f"{config.start!r}; leave the option out, or give --start {SCRATCH}"
        )
    if config.folds == 1:
        raise InputError("folds: 1 leaves no picture to learn from; give 5 or more, or 0 for none")
    if not 0 <= config.minimum_relative_area < float("inf"):
        raise InputError(f"minimum_relative_area must be 0 or more, not {config.minimum_relative_area}")
    given = {name: getattr(config, name) for name in STRENGTHS if getattr(config, name)}
    if config.mistakes == "pairs" and given:
        raise InputError(f"{next(iter(given))}: mistakes=pairs finds the strengths itself; leave the option out")
    if config.mistakes == "exactly":
        if not given:
            raise InputError(f"mistakes: exactly needs the strength of at least one of {', '.join(STRENGTHS)}")
        for name, values in given.items():
            if len(values) > 1:
                raise InputError(
                    f"{name}: mistakes=exactly needs one number, not {len(values)}; give one, or choose mixture"
                )
    if config.foreign == "none" and any(rate > 0 for rate in config.inclusion):
        raise InputError("inclusion: needs objects to include; leave out --foreign none or --inclusion")
    mixture(**given) if given else None  # refuses strengths out of range, and too many of them


def _default(name: str) -> Any:
    return next(one.default for one in fields(FolderConfig) if one.name == name)


def recipes_of(config: FolderConfig, median_radius: float) -> list[Recipe]:
    """The recipes of a configuration that does not learn them from pairs.

    Args:
        median_radius: of the objects in labels/, in pixels; the radius of a disc of their median area.
    """
    given: dict[str, Any] = {name: getattr(config, name) for name in STRENGTHS if getattr(config, name)}
    if config.mistakes == "exactly":
        return [Recipe(**{name: values[0] for name, values in given.items()}, scope="picture")]
    if not given:
        steps = {max(1, round(median_radius / 6)), max(1, round(median_radius / 3))}
        given = {**EVERY_RATE, "bias": tuple(sorted(steps))}
        if config.foreign == "none":
            del given["inclusion"]
    return mixture("picture", **given)


def specs_of(config: FolderConfig) -> tuple[Path, dict[str, str], int | None]:
    """The folder, its options for `segjax.data.open_source` without annotations and tile, and the tile.

    Raises:
        InputError: not a folder, an unknown option, or one that the command sets itself or cannot use.
    """
    spec = parse_spec(config.data if config.data.startswith("folder:") else f"folder:{config.data}")
    if spec.scheme != "folder":
        raise InputError(f"data: {config.data} is not a folder; give the folder with images/, labels/ and noisy/")
    options = dict(spec.options)
    for name in ("annotations", "unlabelled", "volumes"):
        if name in options:
            raise InputError(f"data: option {name} cannot be given here; the command sets it itself")
    for name in ("crop", "shrink"):
        if name in options:
            raise InputError(
                f"data: option {name} cannot be given here, because the repaired labels are for the pictures as their "
                f"files are; leave it out, or {name} the files in images/, labels/ and noisy/"
            )
    tile = options.pop("tile", None)
    if tile is not None and not (tile.isdecimal() and int(tile) > 0):
        raise InputError(f"data: option tile={tile} is not a whole number of pixels; give for example tile=256")
    FolderOptions.parse(options)
    return Path(spec.name).expanduser(), options, None if tile is None else int(tile)


def facts_of(config: FolderConfig) -> dict[str, Any]:
    """The options that decide what is written into the label files."""
    others = ["out", "shown", "window", "accept_code", "folds"]
    if config.start == SCRATCH:
        others += ["start", "tune"]  # runs of earlier versions have no such options
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in others}
