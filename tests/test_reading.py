"""Only regular files of a user's folder are opened: a pipe or device would be waited for without end."""

import ast

import pytest

from tests.test_floors import modules

READERS = ("read_text", "read_bytes", "open", "TiffFile", "ZipFile", "PngImageFile", "JpegImageFile", "fromfile")
READERS += ("load", "loadmat", "read_csv", "safe_open", "read_info")
GUARDS = ("check_regular", "read_file", "file_kind", "is_file", "replacing")
ROOMS = ("segjax.data", "segjax.models.weights", "segjax.fewshot.files", "experiments.upgrade_folder")
CHECKED = {
    "segjax.data.builders.": "its `find` gives no others",
    "segjax.data.prepared.": "sets that were written here",
    "segjax.data.pictures.decoders._": "after `file_kind`",
    "segjax.data.pictures.tiff": "after `file_kind`",
    "segjax.data.folders.inspected._": "after its pictures were decoded",
    "segjax.data.folders.inspection_cache._code": "our own sources",
    "segjax.data.formats.layers._": "after `read_layer` has looked",
    "segjax.data.formats.object_masks._values": "after `check_opaque`",
    "segjax.data.ground.scene.open_scene": "after `read_georeference`",
}


def faults(text: str) -> list[str]:
    """Functions that open files and do not look what they are."""
    found = []
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            called = [ast.unparse(call.func) for call in ast.walk(function) if isinstance(call, ast.Call)]
            names = {name.rpartition(".")[2] for name in called}
            if names & {*READERS} and not names & {*GUARDS}:
                found.append(function.name)
    return found


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("return path.read_text()", 1),
        ("return Image.open(path)", 1),
        ("check_regular(path)\n    return Image.open(path)", 0),
        ("return json.loads(read_file(path))", 0),
        ("return 1", 0),
    ],
)
def test_what_counts_as_opening_without_a_look(body, count):
    assert len(faults(f"def f(path):\n    {body}")) == count


def test_nothing_of_a_user_is_opened_without_a_look():
    found = [
        f"{module}.{name}"
        for module, path in modules().items()
        if module.startswith(ROOMS)
        for name in faults(path.read_text(encoding="utf-8"))
    ]
    assert [name for name in found if not name.startswith(tuple(CHECKED))] == []
    assert [known for known in CHECKED if not any(name.startswith(known) for name in found)] == []
