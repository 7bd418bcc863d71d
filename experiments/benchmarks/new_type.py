"""How soon do five annotated pictures of a new type give label files with the networks of the package, and how good?

    python -m experiments.benchmarks.new_type nuclei
    python -m experiments.benchmarks.new_type nuclei --only neutrophil --draws 1

Shots and queries are pictures that the networks never saw: neither did they learn from them, nor was the epoch chosen
on them, as the content of the pictures says. Shots show the type. Queries are drawn whether they show it or not, from
other groups; where none would show it, those that do come first. Both are written to a folder, and the command `python
-m experiments.segment_new_type` is timed from its start to its end, with the compilation and with its own check on
held-out shots, in a process of its own. Dice
is that of all pixels of the queries together, the median over draws. As in study 3, the other types of the list below
count as background, all others count nowhere, and rbc12 is cut into tiles at half its size. Beside it stands the median
Dice of study 3 with as many shots, averaged over its seeds: of other draws, by networks that learnt from other pictures
of that set. Rows of other types that are there already stay.
"""

import csv
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np
import tyro
from PIL import Image

from experiments.benchmarks.commands import add_row, timed
from experiments.harness.pictures import stable_number
from experiments.harness.provenance import ROOT, provenance
from experiments.harness.start import run_command
from experiments.pretrain.recipes import RBC12, RECIPES
from segjax.data import open_source, read_labels
from segjax.data.spec import parse_spec
from segjax.files import replacing
from segjax.models import card
from segjax.models.pretrained import SCORED, picture_digest, used_pictures
from segjax.types import InputError, Sample

RBC = f"{RBC12}&tile=80"
WBC = "wbc_gpl?class_names=neutrophil,lymphocyte,monocyte,eosinophil"
TYPES = {  # the set and the number of the class
    **{"normal cell": (RBC, 1), "spherocyte": (RBC, 4), "target cell": (RBC, 5)},
    **{"neutrophil": (WBC, 1), "lymphocyte": (WBC, 2), "monocyte": (WBC, 3)},
}
LEAST_PIXELS = 30  # of the type in a shot
READING = ("channels", "shrink", "scale")  # options of a set that change its pictures
STUDY = ROOT / "experiments/few_shot/results"
RUNS = {RBC: "red_blood_cells", WBC: "white_blood_cells"}  # of study 3, with these types


class Drawn(NamedTuple):
    """What came of one draw; see `experiments.benchmarks.commands.Timed`."""

    seconds: float
    processor_seconds: float
    dice: float


@dataclass(frozen=True)
class NewTypeBenchmark:
    """What is given to the command, and how often."""

    extractors: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Networks of the package, as `segment_new_type --extractors` takes them."""
    pictures: Path = Path("../shared/data")
    """Folder of the public sets."""
    channels: int = 1
    """1 for networks of grey pictures, 3 for those of colour."""
    shots: int = 5
    """Annotated pictures."""
    queries: int = 24
    """Pictures to segment."""
    draws: int = 3
    """How often shots and queries are drawn."""
    only: str = ""
    """One type alone."""
    out: Path = Path("experiments/benchmarks/results")
    """Folder for new_type_NAME.csv."""


def main() -> None:
    """Time the command for every type and write the table.

    Raises:
        InputError: an unknown type or one that the networks know, unknown networks, or too few pictures of a type.
    """
    options = tyro.cli(NewTypeBenchmark, description=__doc__)
    if options.only and options.only not in TYPES:
        raise InputError(f"only: unknown {options.only!r}; choose one of {', '.join(TYPES)}")
    if options.extractors not in RECIPES:
        raise InputError(f"extractors: unknown {options.extractors!r}; choose one of {', '.join(RECIPES)}")
    chosen = [options.only] if options.only else [*TYPES]
    refuse_learnt(options.extractors, chosen)
    origin = provenance(f"python -m experiments.benchmarks.new_type {shlex.join(sys.argv[1:])}")
    for name in chosen:
        spec, index = TYPES[name]
        samples = new_samples(options, spec)
        kin = [other for set_, other in TYPES.values() if set_ == spec]
        found = [one_draw(options, samples, index, kin, draw) for draw in range(options.draws)]
        seconds, processor, dice = zip(*found, strict=True)
        row = {
            **{"type": name, "set": spec.partition("?")[0], "new_pictures": len({one.group for one in samples})},
            **{"shots": options.shots, "queries": options.queries, "draws": options.draws},
            **{"seconds": f"{statistics.median(seconds):.1f}"},
            **{"processor_seconds": f"{statistics.median(processor):.1f}", "dice": f"{statistics.median(dice):.3f}"},
            **{"lowest_dice": f"{min(dice):.3f}", "highest_dice": f"{max(dice):.3f}"},
            "study_3_dice": study_dice(name, options.shots),
        }
        print(row, flush=True)
        path = options.out / f"new_type_{options.extractors}.csv"
        add_row(path, origin, row, lambda one: (list(TYPES).index(one["type"]), int(one["shots"])))


def refuse_learnt(weights: str, types: Sequence[str]) -> None:
    """Raises InputError where the networks learnt one of the types."""
    if learnt := [name for name in types if name in card(weights).facts["objects"]["classes"]]:
        raise InputError(f"extractors: {weights!r} have learnt the type {learnt[0]}; choose a new one by --only")


def study_dice(name: str, shots: int) -> str:
    """The median Dice of study 3 with so many shots and the method of the command; nothing where it has none."""
    path = STUDY / RUNS[TYPES[name][0]] / "trials.csv"
    if not path.exists():  # nobody has published it yet
        return ""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    setting = {"type": name, "shots": str(shots), "method": "logistic", "feature_selection": "all"}
    found = [float(row["dice_pooled_median"]) for row in rows if setting.items() <= row.items()]
    return f"{statistics.mean(found):.3f}" if found else ""


def seen_names(weights: str, pictures: Path, name: str) -> set[str]:
    """Names of the pictures of a set that the networks learnt from, or that their epoch was chosen on.

    They are told by their content, read as the recipe of the networks reads its pictures.

    Raises:
        InputError: the networks learnt from this set, but a picture of it that they saw is not there.
    """
    recipe = parse_spec(RECIPES[weights].data)
    reading = "&".join(f"{option}={value}" for option, value in recipe.options.items() if option in READING)
    source = open_source(f"folder:{pictures}/{name}{'?' if reading else ''}{reading}")
    used = {one.digest: one.picture for one in used_pictures(weights) if one.side != SCORED}
    digests = {one.name: picture_digest(one.image) for one in (source[place] for place in range(len(source)))}
    gone = sorted({*used} - {*digests.values()})
    if recipe.name == f"{{pictures}}/{name}" and gone:
        raise InputError(
            f"pictures: {pictures}/{name} has no picture like {used[gone[0]]}, which the networks saw; what is new to "
            "them is not known. Give the set that they learnt from"
        )
    return {name for name, digest in digests.items() if digest in used}


def new_samples(options: NewTypeBenchmark, spec: str) -> list[Sample]:
    """The pictures of a set, or their tiles, that are new to the networks."""
    joint = "&" if "?" in spec else "?"
    source = open_source(f"folder:{options.pictures}/{spec}{joint}channels={options.channels}")
    seen = seen_names(options.extractors, options.pictures, spec.partition("?")[0])
    return [source[place] for place, name in enumerate(source.names) if name.partition("@")[0] not in seen]


def one_draw(options: NewTypeBenchmark, whole: Sequence[Sample], index: int, kin: Sequence[int], draw: int) -> Drawn:
    """The command with some shots and queries; of the other types those of `kin` are background."""
    order = jax.random.permutation(jax.random.key(stable_number(f"{index} {draw}")), len(whole))
    samples = [whole[int(place)] for place in order]
    showing = [one for one in samples if np.count_nonzero(one.of_class(index)) >= LEAST_PIXELS]
    shots, queries = divided(samples, showing, options.shots, options.queries)
    if len(shots) < options.shots or not any(one.of_class(index).any() for one in queries):
        raise InputError(f"shots: too few new pictures show class {index}; give fewer shots")
    with tempfile.TemporaryDirectory() as folder:
        with replacing(Path(folder) / "given") as given:
            for place in ("shots/images", "shots/classes", "query"):
                (given / place).mkdir(parents=True)
            for sample in shots:
                classes = np.where(_unjudged(sample, kin), 255, sample.of_class(index) > 0).astype(np.uint8)
                _picture(sample).save(given / f"shots/images/{sample.name}.png")
                Image.fromarray(classes).save(given / f"shots/classes/{sample.name}.png")
            for sample in queries:
                _picture(sample).save(given / f"query/{sample.name}.png")
        command = ["--extractors", options.extractors, "--query", f"{folder}/given/query"]
        command += ["--shots", f"folder:{folder}/given/shots?channels={options.channels}", "--out", f"{folder}/out"]
        done = timed("segment_new_type", command)
        common = total = 0
        for sample in queries:
            judged = ~_unjudged(sample, kin)
            found = (read_labels(Path(folder) / f"out/{sample.name}.tif") > 0) & judged
            truth = (sample.of_class(index) > 0) & judged
            common, total = common + 2 * int((found & truth).sum()), total + int(found.sum() + truth.sum())
    return Drawn(done.seconds, done.processor_seconds, common / total)


def divided(
    samples: Sequence[Sample], showing: Sequence[Sample], shots: int, queries: int
) -> tuple[list[Sample], list[Sample]]:
    """Shots and queries, the first of their groups' pictures; of a rare type, the queries that show it come first.

    Shots are of half of the groups that show the type, or of as many as have enough pictures of it.
    """
    groups = list(dict.fromkeys(one.group for one in showing))
    count = (len(groups) + 1) // 2
    while count < len(groups) and sum(one.group in groups[:count] for one in showing) < shots:
        count += 1
    own, shown = groups[:count], {one.name for one in showing}
    others = [one for one in samples if one.group not in own]
    if not any(one.name in shown for one in others[:queries]):
        others.sort(key=lambda one: one.name not in shown)
    return [one for one in showing if one.group in own][:shots], others[:queries]


def _unjudged(sample: Sample, kin: Sequence[int]) -> np.ndarray:
    """Pixels of objects of types that take no part, or that nobody judged."""
    others = ~np.isin(np.append(0, sample.classes)[sample.labels], [0, *kin])
    return others if sample.ignored is None else others | sample.ignored


def _picture(sample: Sample) -> Image.Image:
    values = np.round(255 * sample.image).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


if __name__ == "__main__":
    run_command(main)
