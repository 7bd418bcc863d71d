"""Command line of study 4A."""

from experiments.harness.start import run_command


def main() -> None:
    """Run the study."""
    from experiments.activation_maps.study import STUDY
    from experiments.harness.run import run

    run(STUDY)


if __name__ == "__main__":
    run_command(main)
