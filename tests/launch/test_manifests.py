"""The manifests for Kubernetes and SkyPilot: every exit code is treated as it is meant, and their worker starts.

Neither was run on a cluster.
"""

import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.annotation_errors.study import STUDY
from experiments.harness import start
from experiments.harness.parsing import parse

LAUNCH = Path(__file__).parents[2] / "launch"


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / name).read_text())


def container() -> dict[str, Any]:
    (found,) = manifest("kubernetes_indexed_job.yaml")["spec"]["template"]["spec"]["containers"]
    return found


def commands() -> dict[str, list[str]]:
    """Every worker's command, from the interpreter on."""
    (sky,) = (line for line in manifest("skypilot.yaml")["run"].splitlines() if "python" in line)
    return {"kubernetes": container()["args"], "skypilot": shlex.split(sky.removesuffix("|| code=$?"))}


@pytest.mark.parametrize("engine", ["kubernetes", "skypilot"])
def test_the_worker_is_one_that_the_study_takes(engine):
    interpreter, module, name, *options = commands()[engine]
    assert (Path(interpreter).name, module, name) == ("python", "-m", f"experiments.{STUDY.name}")
    run = parse(STUDY, options).run
    assert run.out == Path("/shared/runs/paper") and run.shard == "1/1"


ENDINGS = [(0, 0), (start.LEFT_TO_OTHERS, 0), (start.WRONG_INPUT, 2), (start.SOME_FAILED, 3), (start.REQUEUE_ME, 75)]


@pytest.mark.parametrize(("code", "seen"), ENDINGS)
def test_trials_left_to_others_are_an_end_and_other_codes_are_passed_on(tmp_path, code, seen):
    worker = tmp_path / ".venv" / "bin" / "python"
    worker.parent.mkdir(parents=True)
    worker.write_text(f"#!/bin/sh\nexit {code}\n")
    worker.chmod(0o755)
    for command in ([*container()["command"], worker], ["bash", "-c", manifest("skypilot.yaml")["run"]]):
        assert subprocess.run(command, cwd=tmp_path, check=False).returncode == seen


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_pod_that_is_ended_waits_for_the_checkpoint_of_its_worker(shell):
    stopping = "import sys, time; time.sleep(0.3); print('saved'); sys.exit(75)"
    code = (
        f"import signal, time\ndef stop(*_):\n    {stopping}\n"
        "signal.signal(signal.SIGTERM, stop); print('ready', flush=True); time.sleep(60)"
    )
    command = [shell, *container()["command"][1:], sys.executable, "-c", code]
    pod = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    assert pod.stdout is not None and pod.stdout.readline() == "ready\n"
    pod.send_signal(signal.SIGTERM)
    assert pod.communicate(timeout=30)[0] == "saved\n" and pod.returncode == start.REQUEUE_ME


def test_kubernetes_treats_every_exit_code_as_it_is_meant():
    spec = manifest("kubernetes_indexed_job.yaml")["spec"]
    rules = spec["podFailurePolicy"]["rules"]
    actions = {code: rule["action"] for rule in rules for code in rule.get("onExitCodes", {}).get("values", [])}
    assert actions == {
        start.REQUEUE_ME: "Ignore",
        128 + signal.SIGTERM: "Ignore",
        start.SOME_FAILED: "FailIndex",
        start.WRONG_INPUT: "FailIndex",  # what is wrong may be a mount of one node
    }
    for rule in rules[1:]:  # Kubernetes takes no others
        assert rule["onExitCodes"]["values"] == sorted(set(rule["onExitCodes"]["values"]))
    assert spec["maxFailedIndexes"] >= spec["completions"]  # none ends the others
    assert all(rule["onExitCodes"]["containerName"] == container()["name"] for rule in rules if "onExitCodes" in rule)
    assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    # what Kubernetes asks for where there are such rules
    assert spec["completionMode"] == "Indexed" and spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["backoffLimitPerIndex"] >= 1


def test_all_workers_write_to_the_shared_folder():
    pod = manifest("kubernetes_indexed_job.yaml")["spec"]["template"]["spec"]
    (mount,) = container()["volumeMounts"]
    (volume,) = pod["volumes"]
    assert mount["name"] == volume["name"] and "persistentVolumeClaim" in volume
    for command in commands().values():
        out = Path(command[command.index("--out") + 1])
        assert Path(mount["mountPath"]) in out.parents
    assert list(manifest("skypilot.yaml")["volumes"]) == [mount["mountPath"]]


def test_skypilot_starts_again_what_asked_for_it():
    recovery = manifest("skypilot.yaml")["resources"]["job_recovery"]
    assert set(recovery["recover_on_exit_codes"]) == {start.REQUEUE_ME}
