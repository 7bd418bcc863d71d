"""The options of the command, and which of them it refuses."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from segjax.fewshot import HEADS, Objects
from segjax.types import InputError

KEPT, PAGE, TABLE = "type.safetensors", "segmented.html", "pictures.csv"


@dataclass(frozen=True)
class NewTypeOptions:
    """Segments a new type of cell in many pictures after it was annotated in a few, the shots.

    The shots are a folder with images/ and labels/, as `python -m experiments.check` expects it. The pictures to
    segment lie in a folder by themselves, or in its folder images/.

    The command writes a label image for every picture (OUT/NAME.tif: 0 is background, 1, 2, ... are the objects),
    OUT/segmented.html (the page: what was found, and how well held-out shots were segmented), OUT/pictures.csv (the
    numbers of every picture) and OUT/type.safetensors (the type that was learnt, and how pictures are read). A later
    call takes this file with --learnt in place of --shots. Your own files are never changed.

    Example: python -m experiments.segment_new_type --extractors nuclei --shots my_shots --query my_pictures --out
    my_labels
    """

    extractors: str
    """Trained networks whose features are combined. A name: those that come with segjax, such as nuclei; its card,
    segjax.models.card("nuclei"), says what pictures they learnt from. Or a folder: networks of your own, such as study
    3 keeps in OUT/extractors/NAME; write ./NAME where the folder lies here."""
    query: Path
    """Folder of the pictures to segment."""
    out: Path
    """Folder for the label images, the page and the type."""
    shots: str | None = None
    """Folder of the few annotated pictures, or a spec with options: "folder:my_shots?labels=components"."""
    learnt: Path | None = None
    """The type.safetensors of an earlier run, in place of shots."""
    target: int = 1
    """Class of the objects to segment, where the shots have several."""
    head: str = "logistic"
    """Method that combines the features: logistic, soft_dice, hidden_layer, two_hidden_layers, ridge, prototype,
    cosine, local_prototypes or threshold_prototype."""
    check: bool = True
    """Hold each shot out once, learn from the others, and measure Dice and object F1 on it. This learns once more for
    every shot, at most ten times. --no-check skips it."""
    objects: Objects = field(default_factory=Objects)


def check_options(options: NewTypeOptions) -> None:
    """Refuse options that cannot be meant, before anything is read.

    Raises:
        InputError: both or neither of shots and learnt, an unknown head, or options that the learnt type has decided.
    """
    if (options.shots is None) == (options.learnt is None):
        raise InputError("shots, learnt: give one of the two, either annotated pictures or the type of an earlier run")
    if options.head not in HEADS:
        raise InputError(f"head: unknown {options.head!r}; choose one of {', '.join(HEADS)}")
    if options.learnt is not None:
        _refuse_decided_options(options)


def _refuse_decided_options(options: NewTypeOptions) -> None:
    """Options that say how to learn would do nothing beside a type that is learnt already."""
    defaults = {field.name: field.default for field in fields(NewTypeOptions)}
    given = [name for name in ("target", "head", "check") if getattr(options, name) != defaults[name]]
    names = [field.name for field in fields(Objects)]
    given += [f"objects.{name}" for name in names if getattr(options.objects, name) != getattr(Objects(), name)]
    if given:
        raise InputError(
            f"{', '.join(given)}: {options.learnt} has decided this already; leave the option out, or learn again "
            "from shots"
        )


def refuse_files_in_the_way(options: NewTypeOptions, targets: list[Path]) -> None:
    """Raise InputError where a label image, or the type of another run, is there already."""
    kept = options.out / KEPT
    is_read = options.learnt is not None and options.learnt.resolve() == kept.resolve()
    for target in targets if is_read else (*targets, kept):
        if target.exists():
            raise InputError(
                f"out: {target} is there already; choose another folder, or, where an earlier run was stopped, remove "
                "the files that it left"
            )
