"""Every command and every piece of Python in the guides runs, on the smallest inputs that it takes.

A command runs as it stands there, with options appended that make it small, in a folder with the files that it names.
One of which nothing is known here fails.
"""

import contextlib
import functools
import importlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import run as harness
from segjax.models import create
from segjax.ops.components import components
from segjax.training import LoopConfig, Pictures
from tests import guide_inputs

ROOT = Path(__file__).parents[1]
GUIDES = ("README.md", "experiments/README.md", "segjax/README.md", "launch/README.md", "CONTRIBUTING.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = ("python", "make", "pip", "source", "srun", "sbatch", "kubectl", "sky")

UNET = "--sizes.unet-width 2 --sizes.unet-levels 1 --train.epochs 1 --strategy sequential"
MSD = "--scale smoke --networks msd --sizes.msd-depth 1 --train.epochs 1 --strategy sequential"
CLASSIFIER = "--classifiers msd_classifier --classifier-sizes.msd-depth 2"
SMALL = {  # what is appended to the commands of a module
    "experiments": "",
    "experiments.check": "",
    "experiments.index": "",
    "experiments.compare_labels": "",
    "experiments.convert": "",
    "experiments.prepare": "",
    "experiments.read_parquet": "",
    "experiments.benchmarks.round_trips": "--to coco",
    "experiments.ladder": "--baselines otsu --annotated 1",
    "experiments.cut_scene": "--tile 32 --block 3 --per-site 1 --without 1 --distance 100",
    "experiments.annotation_errors": f"{MSD} --levels 0.5 6",
    "experiments.annotation_upgrade": f"{MSD} --questions quality --clean 2 --noisy 2 --clean-counts 2 --compare-at 2",
    "experiments.annotation_budget": f"--scale smoke {UNET} --arms careful points --budgets 0.5",
    "experiments.few_shot": f"--scale smoke {UNET} --banks joint_ignored --heads logistic --baselines"
    " --feature-counts 1 --feature-selections first --shots 1 --compare-shots 1 --draws 2",
    "experiments.activation_maps": f"--scale smoke --questions cues --train.epochs 2 --epochs-looked-at 1 {CLASSIFIER}"
    " --strategy sequential",
    "experiments.site_segmentation": f"--scale smoke --rules otsu --completions none {UNET} {CLASSIFIER}"
    " --classify.epochs 1 --sizes.unet-width 4 --train.epochs 12 --epoch-pictures 40 --folds 3",
    "experiments.outline_sites": "--learnt outlines",
    "experiments.segment_new_type": "",
    "experiments.export": "",
    "experiments.pretrain": "",
    "experiments.upgrade_folder": "--start scratch --network msd --depth 2 --train.epochs 2 --draws 1 "
    "--mistakes exactly --omission 0.5",
    "launch.local": f"{MSD} --errors bias --levels 6",
    "launch.slurm": "",
    "launch.status": "",
    "launch.multihost": "",
    "launch.slice": "",
}
OF_LAUNCHERS = {"launch.local": ["--processes", "1"], "launch.slurm": ["--dry-run"]}  # before the --
NEEDS = {  # modules whose command in the guides makes the files
    "experiments.outline_sites": "experiments.site_segmentation",
    "experiments.site_segmentation": "experiments.cut_scene",
    "experiments.segment_new_type": "experiments.few_shot",
    "experiments.index": "experiments.activation_maps",
    "experiments.export": "experiments.upgrade_folder",
    "launch.status": "launch.local",
}
GEO = ("experiments.cut_scene", "experiments.site_segmentation", "experiments.outline_sites")
SLOW = (*GEO, "experiments.annotation_errors", "experiments.annotation_upgrade", "experiments.few_shot")
SLOW += ("experiments.activation_maps", "experiments.segment_new_type", "experiments.upgrade_folder")
SLOW += ("experiments.annotation_budget", "experiments.export", "experiments.index", "launch.local", "launch.status")
ELSEWHERE = {  # beginnings of commands that need what a test has not; the file that runs them, and its words for them
    "make demo": ("Makefile", "python -m experiments.annotation_errors --scale demo"),
    "make test": (".ci/run", "make test"),
    "make lint": (".ci/run", "make lint"),
    "make bench": ("tests/experiments/benchmarks/test_scripts.py", "--scale"),
    "pip install": ("tests/test_wheel.py", "pip"),
    "source .venv/bin/activate": ("Makefile", "-m venv $(VENV)"),
    "kubectl apply -f launch/kubernetes_indexed_job.yaml": ("tests/launch/test_manifests.py", "kubernetes_indexed_job"),
    "sky jobs launch --num-jobs 8 launch/skypilot.yaml": ("tests/launch/test_manifests.py", "skypilot.yaml"),
    "srun --ntasks-per-node=4 --gres=gpu:4": ("launch/connection.py", "SLURM"),
    "srun python -m launch.multihost": ("tests/launch/test_multihost.py", "test_the_processes_of_a_slurm_step_find"),
    "sbatch --array=2,3": ("tests/integration/test_slurm.py", "--array"),
    "python -m experiments.publish": ("tests/experiments/harness/test_publish.py", "take_run"),
    "python -m tests.pages.shoot": ("tests/pages/test_shoot.py", "--check"),
    "python -m experiments.prepare oxford_pets": ("tests/experiments/test_prepare.py", "oxford_pets"),
    "python -m experiments.activation_maps --data 'tfds:": ("tests/experiments/test_prepare.py", "oxford_pets"),
    "python -m experiments.annotation_errors --data folder:my_pictures --out runs/cells": (
        "tests/experiments/test_rivals_in_studies.py",
        "--write-test-pictures",
    ),
    "python -m experiments.benchmarks.compared_labels": (
        "tests/experiments/benchmarks/test_scripts.py",
        '"compared_labels"',
    ),
    "python -m experiments.benchmarks.api_pages": ("tests/experiments/benchmarks/test_api_pages.py", "api_page()"),
    "python -m experiments.pretrain NAME": ("tests/experiments/test_pretrain.py", '"pretrain", "discs"'),
    "python -m experiments.batch_size": ("tests/test_contributing.py", "batch_size"),
}


def blocks(guide: str, language: str) -> list[str]:
    return [body for of, body in FENCE.findall((ROOT / guide).read_text()) if of == language]


def commands_of(guide: str) -> list[tuple[str, ...]]:
    """Words of every command: lines of blocks without a language, and what stands between backquotes."""
    lines = [line for block in blocks(guide, "") for line in block.replace("\\\n", " ").splitlines()]
    prose = FENCE.sub("", (ROOT / guide).read_text())
    spans = [span.split() for span in re.findall(r"`([^`]+)`", prose)]
    found = [shlex.split(line, comments=True) for line in lines]
    found += [shlex.split(" ".join(words)) for words in spans if Path(words[0]).name in PROGRAMS and len(words) > 1]
    return [(words[0].removeprefix(".venv/bin/"), *words[1:]) for words in found if words]


COMMANDS = list(dict.fromkeys(command for guide in GUIDES for command in commands_of(guide)))


def elsewhere(command: tuple[str, ...]) -> tuple[str, str] | None:
    return next((where for start, where in ELSEWHERE.items() if shlex.join(command).startswith(start)), None)


def module_of(command: tuple[str, ...]) -> str:
    return command[2] if command[:2] == ("python", "-m") else ""


class Desk:
    """A folder in which commands run, each once, with the files that they name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = functools.cache(self._run)

    def _run(self, command: tuple[str, ...]) -> str:
        """What the command prints; it must end well."""
        module = module_of(command)
        if (need := NEEDS.get(module)) is not None:
            self.run(next(one for one in COMMANDS if module_of(one) == need))
        own = self.folder
        if "experiments.upgrade_folder" in (module, need):
            own = self.folder / "experiments.upgrade_folder"
        if own != self.folder:
            guide_inputs.half_noisy(own / "my_pictures")
        for name, make in guide_inputs.MADE.items():
            if any(name in word for word in command) and not (own / name).exists():
                make(own / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(own)
            patch.setenv("HOME", str(own))
            patch.delenv("TFDS_DATA_DIR", raising=False)
            return self._started(module, self._arguments(command), patch)

    def _arguments(self, command: tuple[str, ...]) -> list[str]:
        module, words = command[2], [word.replace("/shared/", f"{self.folder}/") for word in command[3:]]
        if "--" in words:
            words[words.index("--") : words.index("--")] = OF_LAUNCHERS.get(module, [])
        return words if "--help" in words else [*words, *shlex.split(SMALL[module])]

    def _started(self, module: str, arguments: list[str], patch: pytest.MonkeyPatch) -> str:
        if module == "launch.local":
            patch.setenv("PYTHONPATH", str(ROOT))
            command = [sys.executable, "-m", module, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout
        patch.setattr(sys, "argv", [module, *arguments])
        patch.setattr("experiments.harness.start.run_command", lambda main: main())  # in this process, as it is
        if module in ("launch.multihost", "launch.slice"):
            only_parsed(module, patch)
        printed, code = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                code = ended.code
        assert not code, printed.getvalue()
        return printed.getvalue()


def only_parsed(module: str, patch: pytest.MonkeyPatch) -> None:
    """Processes that are connected have tests of their own; here their options are understood, the study's too."""
    patch.setattr("launch.guard.run", lambda main: main(None))
    patch.setattr("launch.connection.join", lambda *_: sys.exit() if module == "launch.multihost" else None)
    patch.setattr("launch.connection.leave", lambda guard: None)
    patch.setattr(harness, "run", harness.parse)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def case(command: tuple[str, ...]) -> Any:
    is_slow = (module_of(command) in SLOW and "--help" not in command) or "--card" in command
    return pytest.param(command, id=shlex.join(command), marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import of package:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")
@pytest.mark.parametrize("command", [case(command) for command in COMMANDS if elsewhere(command) is None])
def test_a_command_of_the_guides_runs(command, desk):
    module = module_of(command)
    assert module in SMALL, f"{shlex.join(command)}: say in {Path(__file__).name} how it is run or what else runs it"
    if module in GEO:
        pytest.importorskip("rasterio", reason="the extra geo is not installed")
    if module in ("experiments.convert", "experiments.benchmarks.round_trips"):
        pytest.importorskip("pycocotools", reason="the extra formats is not installed")
    desk.run(command)


def test_commands_that_are_run_elsewhere_are_run_there():
    for command in filter(elsewhere, COMMANDS):
        file, words = elsewhere(command) or ("", "")
        assert words in (ROOT / file).read_text(), f"{shlex.join(command)}: {file} has no {words!r}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_git_ignores_the_files_of_the_examples():
    words = {word for command in COMMANDS for word in command if "." not in command[0]}
    made = {f"{word}/" for word in words if re.fullmatch(r"my_\w+|tiles", word)} | {"runs/", "my_pictures/"}
    made |= words & {"scene.tif", "sites.gpkg", "train.parquet", "card.html"}
    ignored = subprocess.run(["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(made) > 8 and set(ignored.stdout.split()) == made


def test_links_lead_somewhere():
    for guide in GUIDES:
        for link in re.findall(r"\]\(([^)]+)\)", (ROOT / guide).read_text()):
            place, _, part = link.partition("#")
            if not place.startswith("https:"):
                file = (ROOT / guide).parent / place if place else ROOT / guide
                assert file.exists(), f"{guide}: {link}"
                assert not part or part in parts_of(file), f"{guide}: {link}"


def parts_of(file: Path) -> list[str]:
    """How links name the headings of a file."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_nothing_is_listed_here_that_no_guide_has():
    assert set(SMALL) <= {module_of(command) for command in COMMANDS}
    for start in ELSEWHERE:
        assert any(shlex.join(command).startswith(start) for command in COMMANDS), start


def names_of(heading: str) -> dict[str, Any]:
    """What a block finds under a heading."""
    side = guide_inputs.SIDE if heading == "Sets that do not fit into memory" else 64
    made = [guide_inputs.cells(seed, side) for seed in range(4)]
    images = np.stack([image for image, _ in made])[..., None].astype(np.float32) / 255
    labels = np.stack([one for _, one in made]).astype(np.int32)
    if heading in ("Annotation errors", "As a library"):
        return {"labels": TOUCHING, "extra": np.roll(TOUCHING, 32, 1), "images": jnp.asarray(images[:2])}
    if heading == "Sets that do not fit into memory":
        return {"validation": Pictures(images[:2], (labels[:2] > 0).astype(np.int32))}
    if heading == "Repairing noisy labels":
        return {"images": images, "labels": labels, "other_images": images[:2], "other_masks": labels[:2] > 0}
    if heading == "A new type of cell":
        return {"images": list(images[:2]), "masks": list(labels[:2]), "query": list(images[2:])}
    if heading == "Large pictures":
        return {"picture": images[0, :32, :32]}
    small = {"images": jnp.asarray(images[:2, :32, :32])}
    return small | {"targets": jnp.asarray(labels[:2, :32, :32] > 0, jnp.int32)} if heading == "Networks" else small


def python_of(guide: str) -> list[tuple[str, str]]:
    """Heading and text of every block of Python."""
    parts = re.split(r"^## (.*)$", (ROOT / guide).read_text(), flags=re.MULTILINE)
    return [
        (heading, body)
        for heading, part in zip(parts[1::2], parts[2::2], strict=True)
        for language, body in FENCE.findall(part)
        if language == "python"
    ]


# 32 squares of 8 x 8 pixels that touch, and background on the right
TOUCHING = np.pad(np.kron(np.arange(1, 33).reshape(8, 4), np.ones((8, 8))), ((0, 0), (0, 32))).astype(np.int32)
SIZES = {"msd": {"depth": 2}, "unet": {"width": 2, "levels": 1}, "msd_classifier": {"depth": 2}}


def made_small(name: str, **options: Any) -> Any:
    """A small network; one with trained weights stays as it is."""
    return create(name, **(options if "pretrained" in options else SIZES[name]))


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Networks are small and trained for an epoch, whatever a block asks for."""
    for room in ("fewshot", "maps", "upgrade"):
        importlib.import_module(f"segjax.{room}")  # first, so that none of them keeps the small ones
    for place in ("segjax.models", "segjax.upgrade.learning"):
        patch.setattr(f"{place}.create", made_small)
    patch.setattr("segjax.training.LoopConfig", lambda **options: LoopConfig(**{**options, "epochs": 1}))


@pytest.mark.slow
def test_the_python_of_the_library_guide_runs(desk, monkeypatch):
    guide_inputs.pictures(desk.folder / "my_pictures")
    monkeypatch.chdir(desk.folder)
    make_small(monkeypatch)
    found: dict[str, Any] = {}
    for heading, body in python_of("segjax/README.md"):
        for name, value in names_of(heading).items():
            found.setdefault(name, value) if heading == "Annotation errors" else found.update({name: value})
        exec(compile(body, heading, "exec"), found)
        if heading == "Networks":
            assert 0 < float(found["loss"]) < 0.9
        if heading == "Trained networks":
            assert found["mask"].shape == (2, 32, 32)
        if heading == "Large pictures":
            assert found["values"].shape == found["averaged"].shape == (32, 32, 2)
        if heading == "Export":
            assert Path("network.stablehlo").stat().st_size > 1000
        if heading == "Activation maps":
            assert found["maps"].shape == (2, 32, 32) and found["coarse"].ndim == 3
    assert len(found["repaired"]) == 2 and [one.max() > 0 for one in found["found"]]


def test_the_python_of_readme_keeps_touching_cells_apart_where_it_says_so(monkeypatch):
    make_small(monkeypatch)
    ((heading, body),) = python_of("README.md")
    found = names_of(heading)
    exec(compile(body, heading, "exec"), found)
    fewer, uneven, target = (np.asarray(found[name]) for name in ("fewer", "uneven", "target"))
    assert found["mask"].dtype == bool and components(np.asarray(found["mask"])).max() < 8
    assert len(np.unique(fewer)) == 1 + 32 - 9 and set(np.unique(uneven)) <= set(np.unique(fewer))
    both = (target[:, 1:] == 1) & (target[:, :-1] == 1)
    assert (uneven[:, 1:] == uneven[:, :-1])[both].all() and components(target == 1).max() >= 20
    assert found["logits"].shape == (2, 64, 64, 2)
