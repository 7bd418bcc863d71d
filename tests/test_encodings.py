"""Every text that is read or written names its encoding, whatever the locale of the machine."""

import ast

import pytest

from tests.test_floors import modules

TEXTS = ("read_text", "write_text")
PROCESSES = ("run", "Popen", "check_output", "check_call", "call")


def faults(text: str) -> list[str]:
    """Calls that open a text file, or talk to a process in text, in the encoding of the locale."""
    found = []
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        options = {keyword.arg: keyword.value for keyword in call.keywords}
        if "encoding" in options or (name == "open" and _is_other(owner)):
            continue
        mode = options.get("mode", _mode(call, owner) if name in ("open", "fdopen") else None)
        is_text = not (isinstance(mode, ast.Constant) and "b" in mode.value)
        is_process = name in PROCESSES and {"text", "universal_newlines"} & options.keys()
        if (name in ("open", "fdopen") and is_text) or (name in TEXTS) or is_process:
            found.append(f"line {call.lineno}: {name}")
    return found


def _mode(call: ast.Call, owner: ast.expr | None) -> ast.expr | None:
    """`open(path, mode)`, but `path.open(mode)`."""
    place = 0 if owner is not None and not (isinstance(owner, ast.Name) and owner.id in ("io", "os")) else 1
    return call.args[place] if len(call.args) > place else None


def _is_other(owner: ast.expr | None) -> bool:
    """Whether `open` is not that of text files: of pictures, rasters, archives or descriptors."""
    return isinstance(owner, ast.Name) and owner.id in ("Image", "rasterio", "os", "zipfile", "tarfile", "webbrowser")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("open(path)", 1),
        ("open(path, 'w')", 1),
        ("open(path, 'rb')", 0),
        ("open(path, mode='wb')", 0),
        ("open(path, encoding='utf-8')", 0),
        ("path.open('a+')", 1),
        ("path.open('ab+')", 0),
        ("io.open(path, 'rb')", 0),
        ("path.read_text(); path.write_text(text)", 2),
        ("path.read_text('utf-8')", 1),
        ("path.write_text(text, encoding='utf-8')", 0),
        ("Image.open(path)", 0),
        ("subprocess.run(command, text=True)", 1),
        ("subprocess.run(command, text=True, encoding='utf-8')", 0),
        ("subprocess.run(command)", 0),
    ],
)
def test_what_counts_as_a_call_without_an_encoding(text, count):
    assert len(faults(text)) == count


def test_every_text_names_its_encoding():
    found = {module: faults(path.read_text(encoding="utf-8")) for module, path in modules().items()}
    assert {module: lines for module, lines in found.items() if lines} == {}
