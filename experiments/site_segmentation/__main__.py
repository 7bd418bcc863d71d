"""Command line of study 4B."""

from rich.console import Console

from experiments.classifiers import check_trainable_classifiers, read_labelled
from experiments.cli import run_command
from experiments.options import parse_options
from experiments.running import check_resume, run_study, say
from experiments.site_segmentation.config import StudyConfig, defaults_of, resolve
from experiments.site_segmentation.grid import kind_of, make_cells
from experiments.site_segmentation.report import write_report
from experiments.site_segmentation.study import Trainer, estimate, make_plan
from experiments.site_segmentation.trainings import check_counts
from experiments.training import check_trainable


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    config = resolve(parse_options(StudyConfig, "python -m experiments.site_segmentation", defaults_of))
    console = Console()
    check_resume(config)
    say(console, f"reading {config.data}")
    domain = read_labelled(config)
    check_trainable(config, domain)
    check_trainable_classifiers(config, domain)
    cells = make_cells(config)
    trainer = Trainer(config, domain)
    check_counts(config, domain, trainer.trainings, cells)
    run_study(
        config,
        console,
        make_plan(config, domain, cells),
        cells,
        run=trainer.run,
        kind=kind_of,
        estimate=lambda share: estimate(config, domain, share),
        report=lambda table, command: write_report(config, domain, table, command),
    )


if __name__ == "__main__":
    run_command(main)
