"""List everything that can be run: `python -m experiments`."""

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

BASE = Path(__file__).parent
RUNS = 'if __name__ == "__main__":'


def commands(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and first line of every module and package that can be run, read from its text; nothing is imported."""
    for found in pkgutil.iter_modules([str(folder)]):
        place = folder / found.name
        path = place / "__main__.py" if found.ispkg else place.with_suffix(".py")
        if found.name != "__main__" and path.exists() and RUNS in path.read_text(encoding="utf-8"):
            text = (place / "__init__.py" if found.ispkg else path).read_text(encoding="utf-8")
            yield found.name, (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def main() -> None:
    """Print a line per command, the studies first."""
    everything = dict(commands(BASE))
    studies = {name: line for name, line in everything.items() if (BASE / name / "study.py").exists()}
    others = {name: line for name, line in everything.items() if name not in studies}
    sections = {"Studies": studies, "Commands": others}
    for title in ("calibration", "benchmarks"):
        sections[title.capitalize()] = {f"{title}.{name}": line for name, line in commands(BASE / title)}
    for title, lines in sections.items():
        print(f"{title} (--help explains each):")
        for name, line in lines.items():
            print(f"  python -m experiments.{name}\n      {line}")


if __name__ == "__main__":
    main()
