"""A study as a SLURM array: the script, how it is split and submitted, and what is refused before anything is queued.

sbatch and scontrol are stand-ins that record how they are called; tests/integration has a real cluster.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from launch.slurm import SlurmConfig, array, check, main, script, seconds_of, worker
from segjax.types import InputError

CONFIG = SlurmConfig("annotation_errors")
STAND_IN = """#!{python}
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "calls"), "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
calls = len(open(os.path.join(folder, "calls")).readlines())
{body}
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A function that puts stand-ins for SLURM's commands on the path, and one that tells how sbatch was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def place(largest: int | None = 1001, sbatch: str = "print(f'{100 + calls};cluster')") -> None:
        shown = "" if largest is None else f"MaxArraySize            = {largest}"
        (folder / "scontrol").write_text(f"#!/bin/sh\necho 'MaxDBDMsgs = 20016'\necho '{shown}'\n")
        (folder / "sbatch").write_text(STAND_IN.format(python=sys.executable, body=sbatch))
        for name in ("scontrol", "sbatch"):
            (folder / name).chmod(0o755)

    def calls() -> list[list[str]]:
        record = folder / "calls"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    return place, calls


def launch(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["slurm", *map(str, arguments)])
    main()


def options_of(text: str) -> list[str]:
    """The options for SLURM, each as SLURM reads it; all of them stand before the first command."""
    lines = text.splitlines()
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert options == list(range(1, len(options) + 1)) and lines[0] == "#!/bin/bash"
    return [shlex.split(lines[number].removeprefix("#SBATCH "))[0] for number in options]


def test_the_script_asks_for_what_was_asked_for(tmp_path):
    wanted = replace(CONFIG, tasks=40, at_once=8, gpus=2, partition="gpu", account="cells", memory="32G", warn=120)
    out = tmp_path / "a study's 50 %"
    assert options_of(script(wanted, ["python"], out)) == [
        "--job-name=segjax-annotation_errors",
        "--array=1-40%8",
        "--time=24:00:00",
        "--cpus-per-task=4",
        "--mem=32G",
        "--gres=gpu:2",
        "--partition=gpu",
        "--account=cells",
        "--requeue",
        "--signal=B:USR1@120",
        "--open-mode=append",
        f"--output={tmp_path}/a study's 50 %%/logs/slurm-%A_%a.log",
    ]
    least = options_of(script(CONFIG, ["python"], out))
    assert not [option for option in least if option.startswith(("--gres", "--partition", "--account"))]
    assert array(8, None) == "1-8"


@pytest.mark.parametrize("folder", ["plain", "a study's folder"])
def test_the_warning_reaches_the_worker_itself(tmp_path, monkeypatch, folder):
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    code = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))\n"
        "print(os.getpid(), os.getcwd(), sys.argv[1:], flush=True); time.sleep(60)"
    )
    text = script(CONFIG, [sys.executable, "-c", code, "it's $HOME"], tmp_path)
    monkeypatch.chdir("/")
    (tmp_path / "submit.sh").write_text(text)
    batch = subprocess.Popen(["bash", tmp_path / "submit.sh"], stdout=subprocess.PIPE, encoding="utf-8")
    assert batch.stdout is not None
    assert batch.stdout.readline() == f'{batch.pid} {tmp_path / folder} ["it\'s $HOME"]\n'
    batch.send_signal(signal.SIGUSR1)  # to the batch shell, as --signal=B: does
    batch.communicate(timeout=30)
    assert batch.returncode == 75


def test_a_worker_takes_turns_and_queues_itself_again(tmp_path):
    options = ["--scale", "smoke", "--out", str(tmp_path)]
    command, out = worker("annotation_errors", options)
    assert command == [sys.executable, "-m", "experiments.annotation_errors", *options, "--requeue"] and out == tmp_path
    assert worker("annotation_errors", [*options, "--requeue"])[0][-1:] == ["--requeue"]
    assert worker("annotation_errors", [*options, "--requeue"])[0].count("--requeue") == 1
    for never in ("--no-requeue", "--no_requeue"):
        assert "--requeue" not in worker("annotation_errors", [*options, never])[0]


def test_what_the_study_would_refuse_is_refused_before_anything_is_queued(tmp_path, capfd):
    for options in (["--seeds", "3"], ["--out", "x", "--seeds", "many"]):
        with pytest.raises(SystemExit):
            worker("annotation_errors", options)
    with pytest.raises(InputError, match=r"shard: every task would take the same"):
        worker("annotation_errors", ["--out", str(tmp_path), "--shard", "1/8"])
    with pytest.raises(InputError, match=r"out: .*that a batch script cannot hold"):
        worker("annotation_errors", ["--out", "x\n#SBATCH --exclusive"])
    with pytest.raises(InputError, match="study: unknown"):
        worker("annotation_error", [])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tasks": 0}, "tasks: must be at least 1"),
        ({"at_once": 0}, "at-once: must be at least 1"),
        ({"cpus": 0}, "cpus: must be at least 1"),
        ({"gpus": -1}, "gpus: must be at least 0"),
        ({"memory": "16"}, "memory: '16' is not a number with a unit"),
        ({"memory": "16G --x"}, "memory: "),
        ({"partition": "gpu --x"}, "partition: .*; sinfo lists the names"),
        ({"account": ""}, "account: .*; sacctmgr .* lists the names"),
        ({"time": "90"}, "time: '90' is not .*; give for example 24:00:00"),
        ({"time": "1:60:00"}, "time: "),
        ({"warn": 0}, "warn: must be at least 1"),
        ({"warn": 70000, "time": "2-00:00:00"}, "warn: SLURM warns at most 65535"),
        ({"time": "00:05:30"}, "warn: a warning 300 seconds before the end of 00:05:30"),
    ],
)
def test_what_slurm_cannot_do_is_refused(changed, said):
    check(CONFIG)
    with pytest.raises(InputError, match=said):
        check(replace(CONFIG, **changed))


def test_time_limits_are_read_as_slurm_reads_them():
    assert seconds_of("24:00:00") == seconds_of("1-00:00:00") == 86400
    assert seconds_of("00:06:01") == 361


def test_a_dry_run_prints_the_script_and_leaves_nothing(tmp_path, monkeypatch, capfd, slurm):
    place, calls = slurm
    place()
    out = tmp_path / "run"
    launch(monkeypatch, "annotation_errors", "--dry-run", "--", "--out", out)
    printed = capfd.readouterr().out
    assert "--array=1-8" in options_of(printed) and printed.endswith(f"--out {out} --requeue\n")
    assert calls() == [] and not out.exists()


def test_the_script_is_written_and_submitted_once(tmp_path, monkeypatch, capfd, slurm):
    place, calls = slurm
    place()
    out = tmp_path / "run"
    launch(monkeypatch, "annotation_errors", "--tasks", 8, "--", "--out", out)
    path = out / "slurm" / "submit.sh"
    assert calls() == [["--parsable", "--array=1-8", str(path)]]
    assert options_of(path.read_text()) and (out / "logs").is_dir()
    told = capfd.readouterr().out
    assert f"submitted array 101: 8 tasks, logs {out}/logs/slurm-101_*.log" in told
    assert f"python -m launch.status {out} --watch 30" in told and f"sbatch --array=2,3 {path}" in told


def test_more_tasks_than_an_array_holds_become_several_arrays(tmp_path, monkeypatch, slurm):
    place, calls = slurm
    place(largest=5)  # indices below 5
    launch(monkeypatch, "annotation_errors", "--tasks", 10, "--", "--out", tmp_path)
    assert [call[1:-1] for call in calls()] == [["--array=1-4"], ["--array=1-4"], ["--array=1-2"]]


def test_arrays_wait_for_each_other_where_few_may_run_at_once(tmp_path, monkeypatch, slurm):
    place, calls = slurm
    place(largest=5)
    launch(monkeypatch, "annotation_errors", "--tasks", 10, "--at-once", 3, "--", "--out", tmp_path)
    assert [call[1:-1] for call in calls()] == [
        ["--array=1-4%3"],
        ["--array=1-4%3", "--dependency=afterany:101"],
        ["--array=1-2%3", "--dependency=afterany:102"],
    ]


def test_a_cluster_that_names_no_largest_array_gets_one_array(tmp_path, monkeypatch, slurm):
    place, calls = slurm
    place(largest=None)
    launch(monkeypatch, "annotation_errors", "--tasks", 3000, "--", "--out", tmp_path)
    assert [call[1] for call in calls()] == ["--array=1-3000"]


def test_it_says_how_far_it_came_where_slurm_refuses(tmp_path, monkeypatch, slurm):
    place, _ = slurm
    place(5, "sys.exit('QOSMaxSubmitJobPerUserLimit') if calls == 2 else print(7)")
    with pytest.raises(InputError, match=r"SLURM refuses \(4 of 10 tasks are queued\): QOSMaxSubmitJobPerUserLimit"):
        launch(monkeypatch, "annotation_errors", "--tasks", 10, "--", "--out", tmp_path)
    place(1)
    with pytest.raises(InputError, match="tasks: this cluster does not accept arrays"):
        launch(monkeypatch, "annotation_errors", "--", "--out", tmp_path)


def test_without_slurm_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"scontrol: was not found \(nothing is queued\).*--dry-run"):
        launch(monkeypatch, "annotation_errors", "--", "--out", tmp_path)


def test_help_says_what_the_exit_codes_mean(monkeypatch, capfd):
    with pytest.raises(SystemExit):
        launch(monkeypatch, "--help")
    assert "2: wrong input, or SLURM refuses" in capfd.readouterr().out


def test_no_task_is_started_in_another_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    text = script(CONFIG, ["echo", "started"], tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").rmdir()
    ended = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stdout == ""
