"""Command line of study 3."""

from rich.console import Console

from experiments.cli import run_command
from experiments.few_shot.config import StudyConfig, check_features, defaults_of, resolve
from experiments.few_shot.extractors import feature_counts
from experiments.few_shot.grid import kind_of, make_cells
from experiments.few_shot.pictures import read_pictures, types_of
from experiments.few_shot.report import write_report
from experiments.few_shot.study import Trainer, estimate, make_plan
from experiments.options import parse_options
from experiments.running import check_resume, run_study, say
from experiments.training import check_trainable


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    config = resolve(parse_options(StudyConfig, "python -m experiments.few_shot", defaults_of))
    console = Console()
    check_resume(config)
    say(console, f"reading {config.data}")
    pictures = read_pictures(config)
    check_trainable(config, pictures)
    types = types_of(config, pictures)
    counts = feature_counts(config, pictures, types)
    check_features(config, counts)
    cells = make_cells(config, types, counts)
    run_study(
        config,
        console,
        make_plan(config, pictures, cells),
        cells,
        run=Trainer(config, pictures, types).run,
        kind=kind_of,
        estimate=lambda share: estimate(config, pictures, types, share),
        report=lambda table, command: write_report(config, pictures, types, table, command),
    )


if __name__ == "__main__":
    run_command(main)
