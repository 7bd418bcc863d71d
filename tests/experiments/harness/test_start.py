"""Commands run with memory in huge pages, importing starts nothing, and how a command ends says why."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from PIL import Image

from experiments.harness import start
from experiments.harness.start import HUGE_PAGES
from segjax import interruption
from segjax.interruption import Stopped, later

ROOT = Path(__file__).parents[3]
PRINT = "import os; print('tunables', os.environ.get('GLIBC_TUNABLES'))"
WITHOUT = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}


def run(*arguments, environment=WITHOUT, **options):
    """A Python process in the checkout, its compiled programs kept nowhere near the user's."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, **options
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the C library of Linux")
@pytest.mark.parametrize(("given", "expected"), [({}, HUGE_PAGES), ({"GLIBC_TUNABLES": "x=1"}, "x=1")])
def test_a_command_starts_anew_with_huge_pages_once(given, expected):
    ended = run("-i", "-m", "experiments.annotation_errors", "--help", environment=WITHOUT | given, input=PRINT)
    assert f"tunables {expected}" in ended.stdout
    assert ended.stdout.count("usage:") == 1


@pytest.mark.parametrize(
    "module", ["experiments", "experiments.harness.start", "experiments.annotation_errors.__main__"]
)
def test_importing_starts_nothing_anew(module):
    ended = run("-c", f"import signal, {module}; {PRINT}; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)")
    assert ended.stdout == "tunables None\nTrue\n"


def test_a_process_that_is_not_ours_is_not_replaced():
    ended = run("-c", f"from experiments.harness.start import run_command; run_command(lambda: None); {PRINT}")
    assert ended.stdout == "tunables None\n"


SIGNAL = "import signal; signal.raise_signal(signal."
WRAPPED = f"""{SIGNAL[:14]}
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException as error:
        raise RuntimeError('a library failed') from error"""
KEPT = "what is finished is kept, and the same command continues from there\n"
COMMAND = """
from experiments.harness.start import run_command

def main():
    {body}

run_command(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("print('done')", 0, ""),
        ("from segjax.types import InputError; raise InputError('levels: no')", 2, "error: levels: no\n"),
        (f"{SIGNAL}SIGINT)", 130, f"stopped by SIGINT; {KEPT}"),
        (f"{SIGNAL}SIGTERM)", 75, f"stopped by SIGTERM; {KEPT}"),
        (f"{SIGNAL}SIGUSR1)", 75, f"stopped by SIGUSR1; {KEPT}"),
        (WRAPPED, 75, f"stopped by SIGTERM; {KEPT}"),
        (
            "raise OSError(28, 'No space left on device', 'runs/x')",
            2,
            "error: runs/x: No space left on device; free sp",
        ),
        ("open('README.md/x', 'w')", 2, "error: README.md/x: Not a directory; a file is where a folder should be"),
        ("print('K\xe4fer \u2713')", 0, ""),
    ],
)
def test_how_a_command_ends(tmp_path, body, code, said):
    environment = os.environ | {"GLIBC_TUNABLES": HUGE_PAGES, "XDG_CACHE_HOME": str(tmp_path)}
    ended = run("-c", COMMAND.format(body=body), environment=environment)
    assert ended.returncode == code
    assert ended.stderr.startswith(said) and "Traceback" not in ended.stderr and bool(ended.stderr) == bool(said)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
@pytest.mark.parametrize("body", ["import jax; jax.devices()", "import jax; jax.random.key(0)", "jax_is_not_used"])
def test_a_device_that_is_not_there_is_said_whatever_asked_for_it(tmp_path, platform, body):
    if platform == "cuda" and has_gpu():
        pytest.skip("there is one")
    environment = os.environ | {"JAX_PLATFORMS": platform, "XDG_CACHE_HOME": str(tmp_path)}
    ended = run("-c", COMMAND.format(body=body), environment=environment)
    assert ended.returncode == 2 and ended.stdout == "" and "Traceback" not in ended.stderr
    assert ended.stderr.startswith(f"error: JAX_PLATFORMS: JAX finds no device of '{platform}' on this machine")
    assert ended.stderr.endswith("leave the variable out, or give JAX_PLATFORMS=cpu\n")


REQUEUED = """
import signal
from experiments.harness.start import requeued, run_command

def main():
    with requeued({wanted}):
        print("begun", flush=True)
        signal.raise_signal(signal.{signal})

run_command(main)
"""
FAKE = """#!/bin/sh
echo "$@" >> {log}
kill -TERM $PPID
if [ "$2" = 13 ]; then echo "slurm_requeue error: Access denied" >&2; exit 1; fi
"""
ALONE = {"SLURM_JOB_ID": "12"}
TASK = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "3"}


@pytest.fixture
def stopped(tmp_path):
    """How a process that asks for its job to be queued again ends by a signal, and what scontrol was told."""
    log, program = tmp_path / "log", tmp_path / "scontrol"
    program.write_text(FAKE.format(log=log))
    program.chmod(0o755)

    def run_under(slurm, sign="SIGUSR1", wanted=True, path=None):
        places = os.environ["PATH"] if path is None else path
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        environment = clean | {"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{tmp_path}:{places}"} | slurm
        if path is not None:
            program.unlink()
        ended = run("-c", REQUEUED.format(wanted=wanted, signal=sign), environment=environment)
        assert "Traceback" not in ended.stderr
        return ended, log.read_text() if log.exists() else ""

    return run_under


@pytest.mark.slow
@pytest.mark.parametrize(("slurm", "job"), [(ALONE, "12"), (TASK, "10_3")], ids=["job", "task of an array"])
def test_a_warned_process_has_its_job_queued_again(stopped, slurm, job):
    ended, told = stopped(slurm)
    assert ended.returncode == 75 and told == f"requeue {job}\n"
    assert ended.stderr == f"job {job} is queued again\nstopped by SIGUSR1; {KEPT}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code"),
    [({"sign": "SIGINT"}, 130), ({"sign": "SIGTERM"}, 75), ({"wanted": False}, 75)],
    ids=["Ctrl-C", "scancel", "not wanted"],
)
def test_nothing_is_queued_again_unless_it_is_wanted_and_a_warning_came(stopped, options, code):
    ended, told = stopped(ALONE, **options)
    assert ended.returncode == code and told == ""


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ([signal.SIGUSR1], ["12"]),
        ([signal.SIGUSR1, signal.SIGTERM], []),
        ([signal.SIGUSR1, signal.SIGINT], []),
        ([signal.SIGTERM, signal.SIGUSR1], []),
    ],
)
def test_a_job_that_is_cancelled_while_it_saves_is_not_queued_again(monkeypatch, signals, told):
    queued = []
    monkeypatch.setattr(interruption, "_request", interruption._Request())
    monkeypatch.setattr(start, "_queue_again", queued.append)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with pytest.raises(Stopped), start.requeued(True), later():
        for kind in signals:
            interruption.request(kind)
    assert queued == told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slurm", "options", "reason"),
    [
        ({"SLURM_JOB_ID": "13"}, {}, "slurm_requeue error: Access denied"),
        (ALONE, {"path": ""}, "scontrol is not installed on this machine"),
    ],
    ids=["refused", "missing"],
)
def test_what_hinders_queueing_again_is_said_and_the_exit_code_stays(stopped, slurm, options, reason):
    ended, _ = stopped(slurm, **options)
    assert ended.returncode == 75
    job = slurm["SLURM_JOB_ID"]
    assert ended.stderr.startswith(f"job {job} is not queued again ({reason}); submit the same command once more\n")


@pytest.mark.slow
def test_queueing_again_outside_of_slurm_is_refused_before_anything_begins(stopped):
    ended, _ = stopped({})
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("error: requeue: this process is no job of SLURM (SLURM_JOB_ID is not set); leave")


def has_gpu():
    return which("nvidia-smi") and subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_locale_without_umlauts_changes_nothing_of_a_run(tmp_path):
    images = tmp_path / "Käfer"
    for kind, value in (("images", 200), ("labels", 1)):
        (images / kind).mkdir(parents=True)
        for number in range(4):
            picture = np.zeros((24, 24), np.uint8)
            picture[6 + number : 14, 6:14] = value
            Image.fromarray(picture).save(images / kind / f"Käfer {number}.png")
    small = [
        "--scale", "smoke", "--networks", "msd", "--sizes.msd-depth", "1", "--train.epochs", "1", "--errors", "bias",
        "--seeds", "1", "--folds", "2",
    ]  # fmt: skip
    environment = WITHOUT | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    command = ["-m", "experiments.annotation_errors", *small, "--data", f"folder:{images}", "--out", tmp_path / "Läufe"]
    ended = run(*command, environment=environment | {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert ended.returncode == 0, ended.stderr
    assert f"folder:{tmp_path}/K\\xe4fer" in ended.stdout
    assert ",Käfer 0,dice," in (tmp_path / "Läufe" / "results.csv").read_text(encoding="utf-8")
    assert "Käfer" in (tmp_path / "Läufe" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_fault_of_ours_is_shown_as_it_is(tmp_path):
    environment = os.environ | {"GLIBC_TUNABLES": HUGE_PAGES, "XDG_CACHE_HOME": str(tmp_path)}
    ended = run("-c", COMMAND.format(body="raise ValueError('ours')"), environment=environment)
    assert ended.returncode == 1 and "ValueError: ours" in ended.stderr
