"""Command line of study 4A."""

from rich.console import Console

from experiments.activation_maps.config import StudyConfig, defaults_of, resolve
from experiments.activation_maps.grid import kind_of, make_cells
from experiments.activation_maps.report import write_report
from experiments.activation_maps.study import Explorer, check_maps, estimate, make_plan
from experiments.classifiers import check_trainable_classifiers, read_labelled
from experiments.cli import run_command
from experiments.options import parse_options
from experiments.running import check_resume, run_study, say


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    config = resolve(parse_options(StudyConfig, "python -m experiments.activation_maps", defaults_of))
    console = Console()
    check_resume(config)
    say(console, f"reading {config.data}")
    domain = read_labelled(config)
    check_trainable_classifiers(config, domain)
    check_maps(config, domain)
    cells = make_cells(config, bool(domain.with_object(range(len(domain.presence)))))
    run_study(
        config,
        console,
        make_plan(config, domain, cells),
        cells,
        run=Explorer(config, domain).run,
        kind=kind_of,
        estimate=lambda share: estimate(config, domain, share),
        report=lambda table, command: write_report(config, domain, table, command),
    )


if __name__ == "__main__":
    run_command(main)
