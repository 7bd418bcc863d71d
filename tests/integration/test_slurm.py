"""A study on a real SLURM cluster of two nodes: whatever happens to its workers, the rows are those of one process."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launch.slurm import SlurmConfig, script, submit
from tests.integration.slurm_cluster import MAX_ARRAY_SIZE, NODES, free_ports, processes_of, running_cluster, wait_until
from tests.integration.slurm_faults import FAULTS, Sweep, Worker, disturb

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds
SEEDS, SETTINGS = 5, 5
STUDY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48", "--networks", "msd",
    "--sizes.msd-depth", "1", "--train.epochs", "600", "--errors", "omission", "bias", "--levels", "0.3", "0.5", "0.7",
    "6", "--strategy", "sequential", "--pack", "2",
]  # fmt: skip
NETWORK = [
    "--data=microscope:hl60?size=sixth&volumes=6&slices=2&crop=32", "--network=unet", "--sizes.unet-width=2",
    "--sizes.unet-levels=1", "--train.epochs=2", "--train.batch-size=3", "--train.learning-rate=0.01",
]  # fmt: skip
TASKS = SlurmConfig("annotation_errors", cpus=1, memory="100M")
FAULT_SEED, ROUNDS = 17, 2
WITH_SHORT_CLAIMS = """
import runpy
from segjax.claims import Claims
Claims.__init__.__defaults__ = 0.2, 6.0  # seconds between two beats, and until a process without any counts as dead
runpy.run_module("experiments.annotation_errors", run_name="__main__")
"""


@pytest.fixture(scope="module")
def cluster():
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A function that gives the results of one process that nobody interrupts; it runs beside the tests."""
    out = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-m", "experiments.annotation_errors", *STUDY, "--seeds", str(SEEDS), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finished() -> Path:
        said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, said
        return out

    yield finished
    process.kill()
    process.communicate()


def launched(cluster, out: Path, seeds: int) -> Sweep:
    """A study of which four workers are submitted as an array."""
    words = [sys.executable, "-m", "launch.slurm", "annotation_errors", "--tasks=4", "--cpus=1", "--memory=100M"]
    said = cluster.command(*words, "--", *STUDY, "--seeds", str(seeds), "--out", str(out), cwd=ROOT)
    assert "4 tasks" in said
    return Sweep(cluster, out / "slurm" / "submit.sh", out)


def logs(out: Path) -> str:
    return "\n".join(log.read_text() for log in sorted((out / "logs").glob("slurm-*")))


def trials(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "trials").iterdir()}


def finished_more_than_once(out: Path) -> list[str]:
    """Trials that more than one worker told to be finished."""
    told = Counter(re.findall(r"^\[\d+/\d+\] (.*?): ", logs(out), re.M))
    return [trial for trial, times in told.items() if times > 1]


def test_nothing_of_a_cluster_stays_where_a_test_fails():
    with pytest.raises(ZeroDivisionError), running_cluster() as doomed:
        doomed.command("sbatch", "--array=1-2", "--output=/dev/null", "--wrap", "trap '' TERM; sleep 600 & sleep 601")
        wait_until(
            lambda: sum("sleep" in command for command in processes_of(doomed.folder).values()) >= 4, 60, doomed.said
        )
        1 / 0  # noqa: B018
    assert not processes_of(doomed.folder)
    assert not doomed.folder.exists()


def test_whatever_happens_to_its_workers_a_study_ends_with_the_rows_of_one_process(cluster, whole, tmp_path, capsys):
    out, draw = tmp_path / "out", random.Random(FAULT_SEED)
    sweep = launched(cluster, out, SEEDS)
    faults = [*FAULTS] * ROUNDS
    draw.shuffle(faults)
    hits = disturb(sweep, faults, SEEDS * SETTINGS, draw)
    with capsys.disabled():
        print(f"\nfaults that ended a worker with trials left: {hits.total()} of {len(faults)}: {dict(hits)}")
    cluster.wait_for_end(PATIENCE)
    assert hits.total() >= 5 * ROUNDS and all(hits[fault.__name__] for fault in FAULTS), hits
    assert logs(out).count(" is queued again\n") >= hits["warn"]
    assert "is queued again\nstopped by SIGTERM" not in logs(out)  # what the user cancels stays cancelled
    assert len(trials(out)) == SEEDS * SETTINGS, logs(out)
    assert trials(out) == trials(whole())
    assert (out / "results.csv").read_bytes() == (whole() / "results.csv").read_bytes()
    assert not finished_more_than_once(out)
    assert "Traceback" not in logs(out), logs(out)
    page = out / "report.html"
    assert list(out.glob("*.html")) == [page]
    assert page.stat().st_mtime >= max(path.stat().st_mtime for path in (out / "trials").iterdir())


def test_claims_of_a_dead_worker_on_another_host_pass_to_the_living(whole, tmp_path):
    out, seeds = tmp_path / "out", 3
    command = [sys.executable, "-c", WITH_SHORT_CLAIMS, *STUDY, "--seeds", str(seeds), "--out", str(out)]
    (out / "logs").mkdir(parents=True)
    (tmp_path / "submit.sh").write_text(script(replace(TASKS, tasks=4), command, out))
    with running_cluster(separate_hosts=True) as cluster:
        sweep = Sweep(cluster, tmp_path / "submit.sh", out)
        sweep.submit("1-4")

        def doomed() -> list[Worker]:  # both of one node
            return [worker for worker in sweep.at_work() if worker.node == NODES[1]]

        wait_until(lambda: len(doomed()) == 2, PATIENCE, lambda: f"no two workers: {cluster.queue()}")
        for worker in doomed():
            os.kill(worker.process, signal.SIGKILL)
        assert sweep.done() < seeds * SETTINGS
        cluster.wait_for_end(PATIENCE)
    assert len(trials(out)) == seeds * SETTINGS, logs(out)
    assert trials(out).items() <= trials(whole()).items()
    assert not finished_more_than_once(out)
    assert (out / "report.html").exists()


def test_more_tasks_than_an_array_may_have_run_once_each_and_only_some_at_a_time(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    (tmp_path / "logs").mkdir()
    config = replace(TASKS, tasks=MAX_ARRAY_SIZE + 1, at_once=2)
    task = "begin=$(date +%s.%N); sleep 1; echo $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $begin $(date +%s.%N)"
    path = tmp_path / "submit.sh"
    path.write_text(script(config, ["bash", "-c", task], tmp_path))
    arrays = list(submit(config, path))
    assert [tasks for _, tasks in arrays] == [MAX_ARRAY_SIZE - 1, 2]
    cluster.wait_for_end(PATIENCE)
    lines = [log.read_text().split() for log in (tmp_path / "logs").iterdir()]
    expected = [(number, str(index)) for number, tasks in arrays for index in range(1, tasks + 1)]
    assert sorted((number, index) for number, index, *_ in lines) == sorted(expected)
    spans = [(float(begin), float(end)) for *_, begin, end in lines]
    together = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(together) == 2


def test_two_tasks_of_a_step_train_one_network_to_the_numbers_of_one_process(cluster, tmp_path):
    words = [sys.executable, "-m", "launch.multihost", *NETWORK, "--out"]
    environment = {**cluster.environment, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    address = ["--coordinator", f"127.0.0.1:{free_ports(1)[0]}", "--processes", "1", "--process", "0"]
    step = ["srun", "--nodes=2", "--ntasks=2", "--label"]
    commands = [[*step, *words, str(tmp_path / "two")], [*words, str(tmp_path / "one"), *address]]
    running = [
        subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    said = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    for number in range(2):
        assert re.search(rf"^{number}: process {number} of 2 \(SLURM job \d+\): 1 of 2 cpu devices", said[0], re.M)
    two, one = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("two", "one"))
    np.testing.assert_allclose(two["losses"], one["losses"], atol=1e-4)
    np.testing.assert_allclose(two["dice_pooled"], one["dice_pooled"], atol=1e-3)
    assert two["status"] == one["status"]
