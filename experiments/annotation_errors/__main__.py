"""Command line of study 1."""

from rich.console import Console

from experiments.annotation_errors.config import StudyConfig, defaults_of, resolve
from experiments.annotation_errors.pictures import check_recipes, open_study
from experiments.annotation_errors.report import write_report
from experiments.annotation_errors.study import Trainer, cells_of, estimate, make_plan
from experiments.cli import run_command
from experiments.options import parse_options
from experiments.running import check_resume, run_study, say
from experiments.training import check_trainable


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    config = resolve(parse_options(StudyConfig, "python -m experiments.annotation_errors", defaults_of))
    console = Console()
    check_resume(config)
    say(console, f"reading {config.data}")
    study = open_study(config)
    check_recipes(config, study)
    check_trainable(config, study.plain)
    cells = cells_of(config, study)
    run_study(
        config,
        console,
        make_plan(config, study, cells),
        cells,
        run=Trainer(config, study).run,
        kind=lambda cell: str(cell["network"]),
        estimate=lambda share: estimate(config, study, share),
        report=lambda table, command: write_report(config, study, table, command),
    )


if __name__ == "__main__":
    run_command(main)
