"""Command line of the check."""

import sys

from experiments.harness.start import run_command


def main() -> None:
    """Check, and end with the exit code."""
    import tyro

    from experiments.check import command

    sys.exit(tyro.cli(command.check, prog="python -m experiments.check", description=command.__doc__))


if __name__ == "__main__":
    run_command(main)
