"""The floors of the house: a module imports only from lower floors, and some libraries have one room each."""

import ast
import builtins
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "segjax": -1,
    "segjax.types": -1,
    "segjax.interruption": -1,
    "segjax.arguments": -1,
    "segjax.files": 0,
    "segjax.claims": 1,
    "segjax.ops": 0,
    "segjax.annotations": 1,
    "segjax.models": 1,
    "segjax.simulators": 1,
    "segjax.evaluation": 1,
    "segjax.data": 2,
    "segjax.training": 2,
    "segjax.export": 3,
    "segjax.upgrade": 3,
    "segjax.fewshot": 3,
    "segjax.maps": 3,
    "segjax.classical": 3,
    "segjax.sweeps": 4,
    "segjax.reports": 4,
    "experiments.harness": 5,
    "experiments.check": 8,  # asks every study and command whether it takes some pictures
    "experiments.pretrain": 8,  # makes the weights that commands start from, by what studies and commands train
    "experiments.benchmarks": 9,  # times everything below
    "launch": 9,
}
STUDIES, COMMANDS = 6, 7  # the other rooms of experiments: those with a module `study`, and the rest
ONLY_IN = {
    "flax": "segjax.models",
    "orbax": "segjax.training",
    "safetensors": "segjax.models.weights",
    "matplotlib": "segjax.reports",
    "tensorflow_datasets": "segjax.data",
    "PIL": ("segjax.data", "segjax.reports", "experiments"),
    "tifffile": "segjax.data",
    "rasterio": "segjax.data",
    "shapely": "segjax.data",
    "pyproj": "segjax.data",
    "pyogrio": "segjax.data",
    "roifile": "segjax.data",
    "pycocotools": "segjax.data",
    "imagecodecs": "segjax.data",
    "sklearn": ("segjax.classical", "experiments.benchmarks"),
    "tensorflow": (),
    "torch": "experiments.benchmarks",
}


def room_of(module: str) -> str:
    """The room a module belongs to: `segjax.data.folders.folder` -> `segjax.data`."""
    parts = module.split(".")
    return parts[0] if parts[0] == "launch" else ".".join(parts[:2])


def floor_of(room: str) -> int:
    """The floor of a room; the packages at the top hold nothing and stand below all."""
    if room in ("segjax", "experiments"):
        return -1
    if room in FLOORS or not room.startswith("experiments."):
        return FLOORS[room]
    return STUDIES if (ROOT / room.replace(".", "/") / "study.py").exists() else COMMANDS


def imports_of(text: str) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names if node.module in ("segjax", "experiments")}
    return found


def breaches(module: str, text: str) -> list[str]:
    """What a module imports that its floor does not allow."""
    own = room_of(module)
    found = []
    for imported in sorted(imports_of(text)):
        top = imported.split(".")[0]
        if top in ("segjax", "experiments", "launch"):
            room = room_of(imported)
            if room != own and floor_of(room) >= max(floor_of(own), 0):
                found.append(f"{module} imports {imported}")
        elif top in ONLY_IN and not module.startswith(ONLY_IN[top]):
            found.append(f"{module} imports {imported}")
    return found


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in ("segjax", "experiments", "launch")
        for path in (ROOT / folder).rglob("*.py")
    }


def test_every_room_has_its_floor_and_exists():
    rooms = {room_of(module) for module in modules()}
    assert set(FLOORS) <= rooms
    assert all(floor_of(room) >= -1 for room in rooms)
    assert sum(floor_of(room) == STUDIES for room in rooms) == 6


def test_every_module_keeps_to_its_floor():
    assert [line for module, path in modules().items() for line in breaches(module, path.read_text())] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("segjax.ops.pooling", "from segjax.models import create"),
        ("segjax.simulators.terrain", "import segjax.annotations"),
        ("segjax.simulators.terrain", "from segjax import data"),
        ("segjax.data.folders.folder", "from segjax.training import fit"),
        ("segjax.training.fit", "import flax.linen as nn"),
        ("segjax.sweeps.run", "def late():\n    from experiments import annotation_errors"),
        ("segjax.data.prepared", "import tensorflow as tf"),
        ("experiments.check", "from launch.local import places"),
        ("experiments.harness.run", "from experiments.few_shot.study import STUDY"),
        ("experiments.harness.run", "from experiments import publish"),
        ("experiments.few_shot.study", "from experiments.activation_maps.grid import Trial"),
        ("experiments.few_shot.study", "from experiments import outline_sites"),
    ],
)
def test_a_breach_is_seen(module, text):
    assert len(breaches(module, text)) >= 1


def test_no_file_is_too_long():
    assert {
        str(path): count for path in modules().values() if (count := len(path.read_text().splitlines())) > 420
    } == {}


def undefined(text: str) -> set[str]:
    """Names that a module uses in code but nowhere defines; linters cannot tell them from shapes like "P H W"."""
    nodes = list(ast.walk(ast.parse(text)))
    known = {*dir(builtins), "__file__", "__doc__", "__name__", "__path__"}
    known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    known |= {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    known |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    imports = [name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names]
    known |= {(name.asname or name.name).split(".")[0] for name in imports}
    return {node.id for node in nodes if isinstance(node, ast.Name)} - known


def test_every_name_is_defined_where_it_is_used():
    assert {module: names for module, path in modules().items() if (names := undefined(path.read_text()))} == {}
    assert undefined("import a\ndef f(x): return a.b(x) + y") == {"y"}
