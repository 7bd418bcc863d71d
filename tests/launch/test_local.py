"""A study over the devices of this machine: who gets what, and how the processes are started, shown and ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.local import main, out_of, physical_cores, places, run_all, study_module
from segjax.types import InputError

CORES = [frozenset({core, core + 8}) for core in range(8)]  # eight cores of two hardware threads
HERE = places(1, [], physical_cores())[0]


@pytest.mark.parametrize("name", ["annotation_errors", "experiments.annotation_errors"])
def test_a_study_may_be_named_either_way(name):
    assert study_module(name) == "experiments.annotation_errors"


@pytest.mark.parametrize("name", ["anotation_errors", "results", "check", ""])
def test_an_unknown_study_is_refused_with_those_there_are(name):
    with pytest.raises(InputError, match=r"study: unknown .*choose one of .*annotation_errors"):
        study_module(name)


def test_the_results_folder_is_found_among_the_options():
    assert out_of(["--scale", "demo", "--out", "runs/x"]) == out_of(["--out=runs/x", "--seeds", "2"]) == Path("runs/x")
    for options in ([], ["--scale", "demo"], ["--outer", "x"]):
        with pytest.raises(InputError, match="out: give"):
            out_of(options)


@pytest.mark.parametrize("count", range(1, 9))
def test_cores_are_divided_evenly_and_whole(count):
    processors = [place.processors for place in places(count, [], CORES)]
    assert len(processors) == count
    assert sorted(one for some in processors for one in some) == list(range(16))
    assert all(core <= some or not core & some for core in CORES for some in processors)
    sizes = [len(some) // 2 for some in processors]
    assert max(sizes) - min(sizes) <= 1


def test_every_gpu_gets_a_process_of_its_own_and_all_cores():
    spread = places(None, ["2", "5"], CORES)
    assert [dict(place.variables) for place in spread] == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    assert all(place.processors == frozenset(range(16)) for place in spread)
    assert str(spread[1]) == "CUDA_VISIBLE_DEVICES=5"


def test_defaults_are_one_per_core_and_too_many_are_refused():
    assert len(places(None, [], CORES)) == 8
    for count in (0, 9):
        with pytest.raises(InputError, match=f"processes: {count} is not from 1 to 8, the number of physical cores"):
            places(count, [], CORES)
    with pytest.raises(InputError, match="processes: 2 is not from 1 to 1, the number of GPUs"):
        places(2, ["0"], CORES)


def test_cores_here_hold_every_usable_processor_once():
    cores = physical_cores()
    assert sorted(one for core in cores for one in core) == sorted(os.sched_getaffinity(0))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_goes_to_logs_and_the_first_is_shown(tmp_path, capfd):
    code = "import os; print('I am', os.environ['CUDA_VISIBLE_DEVICES'], sorted(os.sched_getaffinity(0)))"
    spread = places(None, ["7", "8"], physical_cores())
    for _ in range(2):  # a second run adds to the logs and shows only its own output
        assert run_all(python(code), spread, tmp_path / "logs") == 0
        shown = capfd.readouterr().out
        assert shown.count("I am 7") == 1 and "I am 8" not in shown
    usable = sorted(os.sched_getaffinity(0))
    assert (tmp_path / "logs" / "process-2.log").read_text() == f"I am 8 {usable}\n" * 2


def test_the_processors_of_a_place_are_all_that_its_process_sees(tmp_path):
    processor = min(os.sched_getaffinity(0))
    place = places(1, [], [frozenset({processor})])[0]
    assert run_all(python("import os; print(os.sched_getaffinity(0))"), [place], tmp_path) == 0
    assert (tmp_path / "process-1.log").read_text() == f"{{{processor}}}\n"


@pytest.mark.parametrize(("ending", "code"), [("sys.exit('the disk is full')", 1), ("os.kill(os.getpid(), 9)", 137)])
def test_a_failure_is_told_and_passed_on_and_the_others_go_on(tmp_path, capfd, ending, code):
    program = (
        f"import os, sys, time\nif os.environ['CUDA_VISIBLE_DEVICES'] == 'b': {ending}\ntime.sleep(1); print('done')"
    )
    assert run_all(python(program), places(None, ["a", "b", "c"], physical_cores()), tmp_path) == code
    told = capfd.readouterr()
    assert f"process 2 ended with exit code {code}; see {tmp_path / 'process-2.log'}" in told.err
    assert ("    the disk is full" in told.err) == (code == 1)
    assert "done" in told.out and (tmp_path / "process-3.log").read_text() == "done\n"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: cannot write"):
        run_all(python(""), [HERE], tmp_path / "file" / "logs")


@pytest.mark.slow
def test_an_interruption_is_passed_on_to_every_process(tmp_path):
    study = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    launcher = f"""
import sys
from pathlib import Path
from experiments.harness.start import run_command
from launch.local import physical_cores, places, run_all
spread = places(None, ["a", "b"], physical_cores())
run_command(lambda: run_all([sys.executable, "-c", {study!r}], spread, Path({str(tmp_path)!r})))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(python(launcher), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    logs = [tmp_path / f"process-{number}.log" for number in (1, 2)]
    deadline = time.monotonic() + 60
    while not all(log.exists() and "ready" in log.read_text() for log in logs):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 75 and "stopped by SIGTERM; what is finished is kept" in told
    assert [log.read_text() for log in logs] == ["ready\nended\n"] * 2


@pytest.mark.slow
def test_what_the_study_refuses_is_shown_and_its_exit_code_passed_on(tmp_path):
    options = ["--levels", "1.4", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "launch.local", "annotation_errors", "--", *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == 2
    assert "levels: 1.4 is neither a rate" in ended.stdout and "process 1 ended with exit code 2" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_says_where_the_report_is_only_when_one_was_written(tmp_path, monkeypatch, capfd):
    (tmp_path / "stand_in.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "if 'write' in sys.argv: (Path(sys.argv[2]) / 'report.html').write_text('page')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("launch.local.study_module", lambda name: "stand_in")
    out = tmp_path / "run"
    for last, told in (
        ("idle", "no report was written"),
        ("write", f"report: {out}"),
        ("idle", "no report was written"),
    ):
        monkeypatch.setattr(sys, "argv", ["local", "study", "--processes", "1", "--", "--out", str(out), last])
        main()
        assert told in capfd.readouterr().out
