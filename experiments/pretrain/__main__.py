"""Command line of the trained weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from experiments.harness.provenance import provenance
from experiments.harness.start import run_command
from experiments.pretrain import finished, mounds, upgrader
from experiments.pretrain.recipes import RECIPES
from experiments.pretrain.train import Maker, open_material
from experiments.pretrain.write import add_scores, kept_card, kept_scores, write_network
from segjax.models.pretrained import load_pretrained
from segjax.types import InputError

NAME = "pretrain"
OTHERS = {"mounds": mounds.make, "upgrader": upgrader.make}  # that a study's own training makes


@dataclass(frozen=True)
class PretrainOptions:
    """Makes trained weights that come with the package: `create("unet", pretrained="nuclei")`.

    The networks of a name learn from open pictures and are scored on others, which they never saw. Beside each, the
    same network learns from a few annotated pictures only, for comparison. What is finished is kept: a command that was
    stopped goes on when you give it again.

    Example: python -m experiments.pretrain nuclei
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Which weights: a name of the table in experiments/pretrain/recipes.py, mounds or upgrader."""
    pictures: Path = Path("../shared/data")
    """Folder of the public sets."""
    out: Path = Path("segjax/pretrained")
    """Folder in which the folder NAME is written."""
    work: Path = Path("runs/pretrain")
    """Folder for trainings of mounds and upgrader that are not finished."""


def main() -> None:
    """Train, score and write the networks that are missing.

    Raises:
        InputError: an unknown name, or pictures or a folder that cannot be used.
    """
    options = tyro.cli(PretrainOptions, prog=f"python -m experiments.{NAME}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if options.name not in (names := (*RECIPES, *OTHERS)):
        raise InputError(f"name: unknown {options.name!r}; choose one of {', '.join(names)}")
    origin = provenance(f"python -m experiments.{NAME} {options.name}")  # before files are written
    if options.name in OTHERS:
        if (folder := options.out / options.name).exists():
            raise InputError(f"{folder}: holds weights already; move it away, or give another --out")
        made = OTHERS[options.name](str(options.pictures), options.work / options.name)
        finished.write(folder, made, origin)
        console.print(f"written: {folder}")
        return
    material, folder = open_material(RECIPES[options.name], str(options.pictures)), options.out / options.name
    makers = {kind: Maker(material, kind) for kind in material.recipe.networks}
    for kind, maker in makers.items():
        if kind not in kept_card(folder, material)["networks"]:
            write_network(folder, kind, maker.make(), material, origin)
            console.print(f"trained: {kind}")
    rivals = [(count, draw) for count, draws in material.recipe.scratch.items() for draw in range(draws)]
    for count, draw in ((None, 0), *rivals):  # the weights themselves first
        for kind, maker in makers.items():
            learnt_from = count or maker.all
            if any(one[:3] == (kind, learnt_from, draw) for one in kept_scores(folder)):
                continue
            kept = load_pretrained(kind, folder).variables["variables"]
            variables = maker.train(count, draw).variables if count else kept
            add_scores(folder, material, maker.scores(variables, learnt_from, draw))
            for measured, value in kept_card(folder, material)["networks"][kind]["scores"].items():
                console.print(f"{kind}: {measured}: {value}")
    console.print(f"written: {folder}")


if __name__ == "__main__":
    run_command(main)
