"""Command line of study 2."""

from rich.console import Console

from experiments.annotation_upgrade.annotations import check_sets, open_pictures, split_of
from experiments.annotation_upgrade.config import StudyConfig, defaults_of, resolve
from experiments.annotation_upgrade.grid import kind_of, make_cells, training_of
from experiments.annotation_upgrade.report import write_report
from experiments.annotation_upgrade.study import Trainer, estimate, make_plan
from experiments.cli import run_command
from experiments.options import parse_options
from experiments.running import check_resume, run_study, say
from experiments.training import check_trainable


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    config = resolve(parse_options(StudyConfig, "python -m experiments.annotation_upgrade", defaults_of))
    console = Console()
    check_resume(config)
    say(console, f"reading {config.data}")
    domain = open_pictures(config)
    check_trainable(config, domain)
    groups = len(domain.members(split_of(domain, config, 0).train))
    cells = make_cells(config, groups)
    check_sets(config, domain, cells)
    run_study(
        config,
        console,
        make_plan(config, domain, cells),
        cells,
        run=Trainer(config, domain, cells).run,
        kind=lambda cell: kind_of(training_of(cell)),
        estimate=lambda share: estimate(config, domain, share),
        report=lambda table, command: write_report(config, domain, table, command),
    )


if __name__ == "__main__":
    run_command(main)
