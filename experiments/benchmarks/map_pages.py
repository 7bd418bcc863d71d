"""Write the pages about activation maps: the table of all kinds, and how far they are from those of other packages.

    python -m experiments.benchmarks.map_pages

They are segjax/maps/README.md and segjax/maps/PARITY.md. The table comes from the registry of maps. The values of
torch-cam, Captum and Quantus come from their tests, and ours are computed anew. The differences from grad-cam come from
results/map_parity.csv, which `python -m experiments.benchmarks.map_parity` writes. A test says when a page is out of
date.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.map_fixtures import Fixture, fixtures
from experiments.harness.start import run_command
from segjax.files import write_file
from segjax.maps import MAPS, ClassProbability, ClassScore, create_map
from segjax.maps.registry import MapKind, reason_without
from segjax.maps.targets import LOG_ODDS, ResidualSoftmax
from segjax.models import create

FOLDER = Path("segjax/maps")
PARITY = Path("experiments/benchmarks/results/map_parity.csv")
LAYERS = {
    "none": "no layer",
    "pooled": "the layer that is pooled",
    "deep": "one layer",
    "fused": "several layers",
    "evidence": "several layers",
}
EXPLAINED = {
    LOG_ODDS: "log odds of class 1",
    ClassProbability(1): "probability of class 1",
    ClassScore(1): "class 1 beside the classes most like it",
    ResidualSoftmax(1): "class 1, logit and log probability",
}
WITHOUT_TARGET = ("eigen_cam", "kpca_cam")  # they show what varies most
SIDE = 224
AGREES = 1e-4  # what rounding in another order may do to a map in [0, 1]

KINDS = """# Activation maps by name

`create_map(NAME, network)(variables, images, target)` makes any of these maps, one per picture, at the size of the
pictures. `overlay(image, map)` shows one on its picture. The [guide](../README.md#activation-maps) has examples.
[PARITY.md](PARITY.md) compares the maps with those of other packages.

{table}

- Classifiers of `segjax.models.create` know their layers. For other networks, give `layers=`.
- The target shown is the one that classifiers with two classes have by default.
- Forward passes are those of one picture of {side}x{side} pixels in ResNet-18 with the options shown. A gradient counts
  as two more, the gradient of a gradient as nine in all. `explain.cost(variables, image)` counts them for any network.
- {key} draw random numbers and need `key=`.
- Shapley-CAM needs second derivatives. 3x3 convolutions after its layer have none and are refused.
{refused}

`python -m experiments.benchmarks.map_pages` writes this page from the registry.
"""

COMPARED = """# Activation maps beside other packages

{verdicts}

`python -m experiments.benchmarks.map_pages` writes this page and computes our values. Those beside grad-cam need
PyTorch: `python -m experiments.benchmarks.map_parity` measures them.

## torch-cam, Captum and Quantus: values that their tests state

{fixtures}

{remarks}

Not compared: Captum's tests of layers without pixels, for which there are no maps. Quantus's top-k intersection,
relevance rank accuracy, focus and weighted localisation have no counterpart here. Of its measures of faithfulness,
pixel flipping (here deletion, with the mean in the place of the pixels) and ROAD have one. Their tests state ranges for
trained networks in which any probability and any share lies, so agreement with them says little; that of ROAD is left
out. The tests of the other measures state ranges too, or types, but no value.

## grad-cam: VGG16 and ResNet-18 with equal weights

Both packages explain the same pictures of random numbers with the same random weights. The difference is that of the
pixel where it is largest, in maps from 0 to 1 (signed maps from -1 to 1). Where grad-cam takes a step in another
way, a second row has our map with that step taken as in grad-cam.

{measured}

The last layer of VGG16 is pooled. Where the largest values of a window are equal, as zeros after ReLU are, the two
packages give the gradient to different pixels. Grad-CAM++ and RefineCAM are not linear in the gradient, so they keep a
difference there; the other maps do not.

{factorisation}

[Table](../../experiments/benchmarks/results/map_parity.csv); {header}.
"""


def kinds_page() -> str:
    """The table of all maps."""
    network = create("resnet18")
    image = jnp.zeros((1, SIDE, SIDE, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    rows = [_kind_row(name, kind, create_map(name, network).cost(variables, image)) for name, kind in MAPS.items()]
    columns = ("name", "map", "made of", "explains", "options", "forward passes")
    drawn = [kind.title for kind in MAPS.values() if kind.draws]
    refusing = (create("vgg16", head="hidden"), create("resnet18", norm="group"))
    reasons = [reason_without(name, one) for one in refusing for name in MAPS]
    refused = "\n".join(f"- {reason[0].upper()}{reason[1:]}." for reason in dict.fromkeys(filter(None, reasons)))
    return KINDS.format(table=_table(columns, rows), side=SIDE, key=" and ".join(drawn), refused=refused)


def _kind_row(name: str, kind: MapKind, cost: float) -> tuple[str, ...]:
    explained = "no target" if name in WITHOUT_TARGET else EXPLAINED[kind.target]  # type: ignore[index]
    options = ", ".join(f"`{option}={one.default}`" for option, one in kind.options.items())
    return f"`{name}`", kind.title, LAYERS[kind.layers], explained, options, f"{cost:,.0f}"


def parity_page() -> str:
    """Values of other packages beside ours, and how far apart they are."""
    given = fixtures()
    header, measured = read_table(PARITY)
    columns = ("suite", "value", "stated", "ours", "difference")
    rows = [
        (_suite(one), one.title, _said(one.stated, one.bounds), _said(one.ours(), one.bounds), f"{one.difference:.1g}")
        for one in given
    ]
    remarks = [one.remark for one in given if one.remark]
    sources = [f"- {source}" for source in dict.fromkeys(one.source for one in given)]
    return COMPARED.format(
        verdicts="\n".join(f"- {line}" for line in [*_stated_verdicts(given), _measured_verdict(measured)]),
        fixtures=_table(columns, rows),
        remarks="\n".join([*(f"- {one}" for one in dict.fromkeys(remarks)), "", "Suites:", "", *sources]),
        measured=_table(("map", "step taken as in grad-cam", "VGG16", "ResNet-18"), _by_map(measured)),
        factorisation=_factorisation(measured),
        header=header,
    )


def _stated_verdicts(given: Sequence[Fixture]) -> Iterable[str]:
    for source in dict.fromkeys(one.source for one in given):
        own = [one for one in given if one.source == source]
        far = [one.difference for one in own if not one.remark]
        otherwise = len(own) - len(far)
        if all(one.bounds for one in own):
            yield f"{_suite(own[0])}: {sum(not one for one in far)} of {len(own)} lie in the range that is stated."
            continue
        said = f"{_suite(own[0])}: {len(far)} of {len(own)} values agree, largest difference {max(far):.1g}"
        yield said + (f"; {otherwise} follow another rule, named below." if otherwise else ".")


def _measured_verdict(rows: Sequence[dict[str, str]]) -> str:
    compared = [row for row in rows if not row["error_ours"]]
    # the last row of a pair has the most steps in common
    most_alike = {(row["map"], row["network"]): float(row["largest_difference"]) for row in compared}
    far = {row["map"] for row in compared if not row["way"] and float(row["largest_difference"]) > AGREES}
    kinds = {row["map"] for row in compared}
    return (
        f"grad-cam: {len(kinds - far)} of {len(kinds)} maps agree to {AGREES:g} on both networks as they are. With the "
        f"steps taken as in grad-cam, the largest difference of any map is {max(most_alike.values()):.1g}."
    )


def _by_map(rows: Sequence[dict[str, str]]) -> list[tuple[str, ...]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if not row["error_ours"]:
            found.setdefault((row["map"], row["way"]), {})[row["network"]] = f"{float(row['largest_difference']):.1g}"
    return [
        (MAPS[name].title, way, values.get("vgg16", ""), values.get("resnet18", ""))
        for (name, way), values in found.items()
    ]


def _factorisation(rows: Sequence[dict[str, str]]) -> str:
    said = [
        f"{float(row['error_ours']):.3f} beside {float(row['error_theirs']):.3f} on {NETWORKS[row['network']]}"
        for row in rows
        if row["error_ours"]
    ]
    return (
        "Deep feature factorisation has many solutions, so its maps cannot be compared. Four concepts describe the "
        f"layer with a relative error of {' and '.join(said)} (ours beside grad-cam's)."
    )


NETWORKS = {"vgg16": "VGG16", "resnet18": "ResNet-18"}


def read_table(path: Path) -> tuple[str, list[dict[str, str]]]:
    """What the header says about command, commit and machine, and the rows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("# "))
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return f"`{facts['command']}` at {facts['commit']}; {facts['machine']}", rows


def _said(value: Any, bounds: bool = False) -> str:
    if bounds:
        return f"{np.min(value):.2g} to {np.max(value):.2g}" if np.size(value) > 1 else f"{float(value):.4g}"
    numbers = np.asarray(value, np.float64)
    if numbers.size > 4:
        return f"{numbers.shape[0]}x{numbers.shape[1]} numbers"
    return ", ".join(f"{one:.4g}" for one in numbers.ravel())


def _suite(one: Fixture) -> str:
    return one.source.split(" at ")[0]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


PAGES = {"README.md": kinds_page, "PARITY.md": parity_page}


def main() -> None:
    """Write both."""
    for name, page in PAGES.items():
        write_file(FOLDER / name, page())
        print(f"written: {FOLDER / name}")


if __name__ == "__main__":
    run_command(main)
