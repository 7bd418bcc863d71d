"""Command line of study 4B."""

from experiments.harness.start import run_command


def main() -> None:
    """Run the study."""
    from experiments.harness.run import run
    from experiments.site_segmentation.study import STUDY

    run(STUDY)


if __name__ == "__main__":
    run_command(main)
