"""Command line of study 5."""

from experiments.harness.start import run_command


def main() -> None:
    """Run the study."""
    from experiments.harness.parsing import run_study

    run_study("annotation_budget")


if __name__ == "__main__":
    run_command(main)
