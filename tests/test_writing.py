"""Every file is written by `segjax.files`: whole, and on the disk before its name is there."""

import ast

import pytest

from tests.test_floors import modules

WRITERS = ("write_text", "write_bytes", "imwrite", "savefig", "to_parquet", "tofile", "savez", "savez_compressed")
WRITERS += ("copy", "copy2", "copyfile", "copytree", "move", "rename", "renames", "save_file", "write_dataframe")
OURS = ("learnt",)  # whose `save` is one of ours
BUFFERS = ("BytesIO", "StringIO")
ELSEWHERE = {
    "segjax.files": "the one way itself",
    "segjax.claims": "claims are folders, which appear at once, and their owners",
    "segjax.training.checkpoints": "Orbax writes folders that it renames itself",
    "segjax.sweeps.merging": "a table that another program has changed is renamed",
    "segjax.sweeps.plan": "plan.json appears once: as a link to a file that is whole",
    "launch.workers": "logs of other processes, which grow",
    "experiments.benchmarks.endurance": "the same",
    "experiments.benchmarks.patches": "pictures in a folder that is removed again",
}


def faults(text: str) -> list[str]:
    """Calls that write a file, but to a path of `replacing` or to memory."""
    tree = ast.parse(text)
    safe = {name for node in ast.walk(tree) for name in _safe_names(node)}
    return [
        f"line {call.lineno}: {ast.unparse(call.func)}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _is_writing(call) and not (safe & {*_names(call)})
    ]


def _names(node: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]


def _safe_names(node: ast.AST) -> list[str]:
    """Names of unfinished files and of buffers."""
    if isinstance(node, ast.withitem) and isinstance(node.context_expr, ast.Call):
        is_safe = ast.unparse(node.context_expr.func) == "replacing"
        return [node.optional_vars.id] if is_safe and isinstance(node.optional_vars, ast.Name) else []
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        is_safe = ast.unparse(node.value.func).rpartition(".")[2] in BUFFERS
        return [name for target in node.targets for name in _names(target) if is_safe]
    return []


def _is_writing(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("open", "fdopen", "ZipFile"):
        modes = [keywords.get("mode"), *call.args[:2]]
        written = {mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)}
        return any(len(mode) <= 3 and set(mode) & set("wax+") for mode in written)
    if name == "save":  # of pictures and arrays
        return bool(owner and call.args) and owner not in OURS
    if name in ("replace", "rename"):  # of paths: one target; text takes two, records and tables take keywords
        return owner == "os" or (bool(owner) and len(call.args) == 1 and not keywords and owner != "dataclasses")
    if name == "to_csv":
        return bool(call.args)
    return (name in WRITERS and bool(call.args)) or (owner, name) == ("json", "dump") or name == "dump"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("path.open('w')", 1),
        ("path.open('rb')", 0),
        ("open(path, 'ab')", 1),
        ("path.open(mode='xb')", 1),
        ("rasterio.open(path, 'w', driver='GTiff')", 1),
        ("zipfile.ZipFile(path, 'w')", 1),
        ("path.write_text(text)", 1),
        ("json.dump(facts, file)", 1),
        ("np.savez(path, a=a)", 1),
        ("np.save(path, a)", 1),
        ("image.save(path)", 1),
        ("memory = io.BytesIO()\nimage.save(memory, 'PNG')", 0),
        ("with replacing(path) as unfinished:\n    image.save(unfinished)\n    image.save(path)", 1),
        ("with replacing(path) as unfinished, rasterio.open(unfinished, 'w') as file:\n    file.write(a)", 0),
        ("table.to_csv(path)", 1),
        ("text = table.to_csv(index=False)", 0),
        ("shutil.copyfile(a, b); os.rename(a, b); a.replace(b)", 3),
        ("text.replace(a, b); replace(record, a=b); table.rename(columns=names)", 0),
        ("figure.savefig(path)", 1),
        ("write_file(path, text)", 0),
    ],
)
def test_what_counts_as_writing(text, count):
    assert len(faults(text)) == count


def test_every_file_is_written_in_one_way():
    found = {module: faults(path.read_text(encoding="utf-8")) for module, path in modules().items()}
    assert {module: lines for module, lines in found.items() if lines and module not in ELSEWHERE} == {}
    assert set(ELSEWHERE) <= {module for module, lines in found.items() if lines}
