"""A folder of pictures with three types, and study 3 on it at its smallest."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.few_shot.grid import Config
from experiments.few_shot.study import STUDY
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import run

TINY = [
    "--scale", "smoke", "--sizes.unet-width", "2", "--sizes.unet-levels", "1", "--train.epochs", "1",
    "--strategy", "sequential",
]  # fmt: skip


def typed_folder(folder: Path) -> str:
    """Four slides of three pictures with large discs (1), pairs of small squares that touch (2) and rings (3)."""
    rows, columns = np.mgrid[:32, :32]
    generator = np.random.default_rng(0)
    for name in ("images", "labels", "classes"):
        (folder / name).mkdir()
    for number in range(12):
        classes, parted = np.zeros((32, 32), np.uint8), np.zeros((32, 32), bool)
        for kind, middle in enumerate(generator.permutation([(8, 8), (8, 23), (23, 8)]), 1):
            y, x = middle + generator.integers(-1, 2, 2)
            far = np.hypot(rows - y, columns - x)
            square = np.maximum(abs(rows - y), abs(columns - x)) < 4
            classes[(far < 7, square, (far < 7) & (far > 3))[kind - 1]] = kind
            parted = columns >= x if kind == 2 else parted
        labels = np.where((classes == 2) & parted, 4, classes).astype(np.uint8)
        image = np.array([20, 200, 120, 160], np.uint8)[classes] + generator.integers(0, 40, (32, 32), np.uint8)
        for name, content in (("images", image), ("labels", labels), ("classes", classes)):
            Image.fromarray(content).save(folder / name / f"slide{number // 3}-{number % 3}.png")
    return f"folder:{folder}?groups=^(.*)-&class_names=disc,square,ring"


def started(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["few_shot", *TINY, *options])
    run(STUDY)
    return " ".join(capsys.readouterr().out.split())


def smoke(out, data: str, **changes) -> Config:
    """The smoke scale on other pictures, with other options of the study's own."""
    default = overlaid(defaults_of(STUDY, "smoke"), {"run": {"out": out}, "source": {"data": data}})
    return resolved(STUDY, dataclasses.replace(default, **changes))
