"""The manifests for Kubernetes and SkyPilot: every exit code is treated as it is meant, and their worker starts.

Neither was run on a cluster.
"""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.annotation_errors.study import STUDY
from experiments.harness import start
from experiments.harness.run import parse

LAUNCH = Path(__file__).parents[2] / "launch"


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / name).read_text())


def container() -> dict[str, Any]:
    (found,) = manifest("kubernetes_indexed_job.yaml")["spec"]["template"]["spec"]["containers"]
    return found


def commands() -> dict[str, list[str]]:
    """Every worker's command, from the interpreter on."""
    sky = shlex.split(manifest("skypilot.yaml")["run"])
    return {"kubernetes": [*container()["command"], *container()["args"]], "skypilot": sky[1:]}


@pytest.mark.parametrize("engine", ["kubernetes", "skypilot"])
def test_the_worker_is_one_that_the_study_takes(engine):
    interpreter, module, name, *options = commands()[engine]
    assert (Path(interpreter).name, module, name) == ("python", "-m", f"experiments.{STUDY.name}")
    run = parse(STUDY, options).run
    assert run.out == Path("/shared/runs/paper") and run.shard == "1/1"


def test_the_worker_gets_the_signals():
    assert container()["command"][0] == "python"  # no shell in between
    assert manifest("skypilot.yaml")["run"].startswith("exec ")


def test_kubernetes_treats_every_exit_code_as_it_is_meant():
    spec = manifest("kubernetes_indexed_job.yaml")["spec"]
    rules = spec["podFailurePolicy"]["rules"]
    actions = {code: rule["action"] for rule in rules for code in rule.get("onExitCodes", {}).get("values", [])}
    assert actions == {
        start.REQUEUE_ME: "Ignore",
        start.LEFT_TO_OTHERS: "Ignore",
        start.SOME_FAILED: "FailIndex",
        start.WRONG_INPUT: "FailJob",
    }
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
    assert set(recovery["recover_on_exit_codes"]) == {start.REQUEUE_ME, start.LEFT_TO_OTHERS}
