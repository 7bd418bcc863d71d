"""Command line of the check."""

import sys

import tyro

from experiments.check import command

if __name__ == "__main__":
    sys.exit(tyro.cli(command.check, prog="python -m experiments.check", description=command.__doc__))
