"""List everything that can be run: `python -m experiments`."""

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import experiments


def commands(folder: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Name and first line of every module that can be run, read from its text; nothing is imported."""
    for found in pkgutil.iter_modules([str(folder)]):
        path = folder / found.name / "__main__.py" if found.ispkg else folder / f"{found.name}.py"
        if path.exists() and "run_command(" in (text := path.read_text()):
            described = folder / found.name / "__init__.py" if found.ispkg else path
            yield f"{prefix}.{found.name}", (ast.get_docstring(ast.parse(described.read_text())) or text).split("\n")[0]


def main() -> None:
    """Print a line per command."""
    base = Path(experiments.__path__[0])
    for title, folder, prefix in (
        ("Studies and commands", base, "experiments"),
        ("Benchmarks", base / "benchmarks", "experiments.benchmarks"),
    ):
        print(f"{title} (each explains itself with --help):")
        for name, line in commands(folder, prefix):
            print(f"  python -m {name:<40} {line}")


if __name__ == "__main__":
    main()
