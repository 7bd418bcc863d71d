"""Processes that are connected as one JAX machine, for tests."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds


def start(
    *options: str, program: Sequence[str] = ("-m", "launch.multihost"), **variables: str
) -> subprocess.Popen[str]:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", **variables}
    return subprocess.Popen(
        [sys.executable, *program, *options],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def start_two(
    *options: str, program: Sequence[str] = ("-m", "launch.multihost"), **variables: str
) -> tuple[list[subprocess.Popen[str]], str]:
    """Two connected processes, and the address of the first."""
    address = f"127.0.0.1:{free_port()}"
    common = ("--coordinator", address, "--processes", "2", "--process")
    return [start(*common, str(number), *options, program=program, **variables) for number in range(2)], address


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def ended(processes: list[subprocess.Popen[str]], code: int = 0) -> list[tuple[str, str]]:
    """What each printed to stdout and stderr; all must end with the code."""
    try:
        told = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [code] * len(processes), told
    return told


def child_of(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
