"""How soon do five annotated pictures of a new type give label files with the networks of the package, and how good?

    python -m experiments.benchmarks.new_type nuclei
    python -m experiments.benchmarks.new_type nuclei --only neutrophil --draws 1

For each type, some pictures are drawn as shots and others as queries, at least half of which show it. They are written
to a folder, and the command `python -m experiments.segment_new_type` is timed from its start to its end, with the
compilation, in a process of its own. Dice is that of all pixels of the queries together, the median over draws; objects
of other types count nowhere. The pictures are rbc12 at half its size, as in study 3, and wbc_gpl.

Pictures that the networks learnt from are not left out. The weights blood_cells learnt from other types in pictures of
rbc12, so only the types of wbc_gpl are new to them.
"""

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from PIL import Image

from experiments.harness.pictures import stable_number
from experiments.harness.provenance import ROOT, comment, provenance
from experiments.harness.start import run_command
from segjax.data import open_source, read_labels
from segjax.files import replacing, write_file
from segjax.types import InputError, Sample

RBC = (
    "rbc12?shrink=2&class_names=normal cell,macrocyte,microcyte,spherocyte,target cell,stomatocyte,ovalocyte,"
    "teardrop,burr cell,schistocyte,uncategorised,hypochromia,elliptocyte"
)
WBC = "wbc_gpl?class_names=neutrophil,lymphocyte,monocyte,eosinophil"
TYPES = {  # the set and the number of the class
    **{"normal cell": (RBC, 1), "spherocyte": (RBC, 4), "target cell": (RBC, 5)},
    **{"neutrophil": (WBC, 1), "lymphocyte": (WBC, 2), "monocyte": (WBC, 3)},
}
LEAST_PIXELS = 30  # of the type in a shot


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
    queries: int = 12
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
        InputError: an unknown type, or too few pictures that show one.
    """
    options = tyro.cli(NewTypeBenchmark, description=__doc__)
    if options.only and options.only not in TYPES:
        raise InputError(f"only: unknown {options.only!r}; choose one of {', '.join(TYPES)}")
    origin = provenance(f"python -m experiments.benchmarks.new_type {shlex.join(sys.argv[1:])}")
    lines = ["type,set,shots,queries,draws,seconds,dice,lowest_dice,highest_dice"]
    for name, (spec, index) in TYPES.items():
        if options.only in ("", name):
            found = [one_draw(options, spec, index, draw) for draw in range(options.draws)]
            seconds, dice = zip(*found, strict=True)
            numbers = statistics.median(dice), min(dice), max(dice)
            texts = [f"{statistics.median(seconds):.1f}", *(f"{number:.3f}" for number in numbers)]
            counts = (options.shots, options.queries, options.draws)
            lines.append(",".join([name, spec.partition("?")[0], *map(str, counts), *texts]))
            print(lines[-1], flush=True)
    write_file(options.out / f"new_type_{options.extractors}.csv", comment(origin) + "\n".join(lines) + "\n")


def one_draw(options: NewTypeBenchmark, spec: str, index: int, draw: int) -> tuple[float, float]:
    """Seconds of the command, and Dice."""
    joint = "&" if "?" in spec else "?"
    source = open_source(f"folder:{options.pictures}/{spec}{joint}channels={options.channels}")
    order = jax.random.permutation(jax.random.key(stable_number(f"{spec} {index} {draw}")), len(source))
    samples = [source[int(place)] for place in order]
    showing = [one for one in samples if np.count_nonzero(one.of_class(index)) >= LEAST_PIXELS]
    shots, sure = showing[: options.shots], showing[options.shots :][: -(-options.queries // 2)]
    used = {one.name for one in (*shots, *sure)}
    queries = [*sure, *(one for one in samples if one.name not in used)][: options.queries]
    if not sure:
        raise InputError(f"shots: {spec} has too few pictures of class {index}; give fewer shots")
    with tempfile.TemporaryDirectory() as folder:
        with replacing(Path(folder) / "given") as given:
            for place in ("shots/images", "shots/classes", "query"):
                (given / place).mkdir(parents=True)
            for sample in shots:
                classes = np.where(_others(sample, index), 255, sample.of_class(index) > 0).astype(np.uint8)
                _picture(sample).save(given / f"shots/images/{sample.name}.png")
                Image.fromarray(classes).save(given / f"shots/classes/{sample.name}.png")
            for sample in queries:
                _picture(sample).save(given / f"query/{sample.name}.png")
        seconds = _timed(options, Path(folder))
        common = total = 0
        for sample in queries:
            judged = ~_others(sample, index)
            found = (read_labels(Path(folder) / f"out/{sample.name}.tif") > 0) & judged
            truth = (sample.of_class(index) > 0) & judged
            common, total = common + 2 * int((found & truth).sum()), total + int(found.sum() + truth.sum())
    return seconds, common / total


def _timed(options: NewTypeBenchmark, folder: Path) -> float:
    """Seconds of the command, which writes label images to FOLDER/out."""
    given = folder / "given"
    command = [sys.executable, "-m", "experiments.segment_new_type", "--extractors", options.extractors, "--no-check"]
    command += ["--shots", f"folder:{given}/shots?channels={options.channels}", "--query", f"{given}/query"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", f"{folder}/out"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise InputError(f"extractors: {done.stderr.strip()}")
    return time.perf_counter() - began


def _others(sample: Sample, index: int) -> np.ndarray:
    """Pixels of objects of other types, or that nobody judged."""
    others = (sample.labels > 0) & (sample.of_class(index) == 0)
    return others if sample.ignored is None else others | sample.ignored


def _picture(sample: Sample) -> Image.Image:
    values = np.round(255 * sample.image).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


if __name__ == "__main__":
    run_command(main)
