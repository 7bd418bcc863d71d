"""A study over the devices of this machine: who gets what, and how the processes are started, shown and ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.local import Devices, devices_here, gpus, main, physical_cores, places, tpu_chips
from segjax.types import InputError

CORES = [frozenset({core, core + 8}) for core in range(8)]  # eight cores of two hardware threads
NO_DEVICES = Devices("physical cores", {})


@pytest.mark.parametrize("count", range(1, 9))
def test_cores_are_divided_evenly_and_whole(count):
    processors = [place.processors for place in places(count, NO_DEVICES, CORES)]
    assert len(processors) == count
    assert sorted(one for some in processors for one in some) == list(range(16))
    assert all(core <= some or not core & some for core in CORES for some in processors)
    sizes = [len(some) // 2 for some in processors]
    assert max(sizes) - min(sizes) <= 1


def test_every_gpu_gets_a_process_of_its_own_and_all_cores():
    spread = places(None, gpus(2, "2,5"), CORES)
    assert [dict(place.variables) for place in spread] == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    assert all(place.processors == frozenset(range(16)) for place in spread)
    assert [place.name for place in spread] == ["GPU 2", "GPU 5"]
    assert list(gpus(3, None).each) == list(gpus(3, "").each) == ["GPU 0", "GPU 1", "GPU 2"]


def chips(rows: int, columns: int, cores: int) -> list[tuple[int, int, int]]:
    """Coordinates of the chip of every device, as JAX lists them on a machine with rows x columns chips."""
    return [(x, y, 0) for y in range(columns) for x in range(rows) for _ in range(cores)]


@pytest.mark.parametrize(
    ("devices", "count"),
    [
        (chips(2, 2, 2), 4),  # v2, v3, v7: a chip has two cores, each a device
        (chips(2, 2, 1), 4),  # v4, v5p: a chip is a device
        (chips(2, 4, 1), 8),  # v5e, v6e
        (chips(1, 1, 2), 1),
        ([(2, 2, 1), (2, 2, 1), (3, 2, 1), (3, 2, 1)], 2),  # a machine that is a part of a slice
    ],
)
def test_every_tpu_chip_gets_a_process_of_its_own(devices, count):
    spread = places(None, tpu_chips(devices, None), CORES)
    variables = [place.variables for place in spread]
    assert [found["TPU_VISIBLE_CHIPS"] for found in variables] == [str(chip) for chip in range(count)]
    assert [place.name for place in spread] == [f"TPU chip {chip}" for chip in range(count)]
    assert len({found["TPU_PROCESS_PORT"] for found in variables}) == count
    for found in variables:  # a machine of one chip, which no other process knows
        assert found["TPU_PROCESS_BOUNDS"] == found["TPU_CHIPS_PER_PROCESS_BOUNDS"] == "1,1,1"
        assert found["TPU_PROCESS_ADDRESSES"] == f"localhost:{found['TPU_PROCESS_PORT']}"
        assert found["TPU_SKIP_MDS_QUERY"] == "1" and found["TPU_WORKER_HOSTNAMES"] == "localhost"


def test_only_the_tpu_chips_that_may_be_used_are_divided():
    spread = tpu_chips(chips(1, 2, 1), "2,3")
    assert [found["TPU_VISIBLE_CHIPS"] for found in spread.each.values()] == ["2", "3"]
    first, second = (found["TPU_PROCESS_PORT"] for found in tpu_chips(chips(2, 2, 1), "0,1").each.values())
    assert {first, second}.isdisjoint(found["TPU_PROCESS_PORT"] for found in spread.each.values())
    with pytest.raises(InputError, match="processes: 3 is not from 1 to 2, the number of TPU chips here"):
        places(3, spread, CORES)


def test_defaults_are_one_per_core_and_too_many_are_refused():
    assert len(places(None, NO_DEVICES, CORES)) == 8
    for count in (0, 9):
        with pytest.raises(InputError, match=f"processes: {count} is not from 1 to 8, the number of physical cores"):
            places(count, NO_DEVICES, CORES)
    with pytest.raises(InputError, match="processes: 2 is not from 1 to 1, the number of GPUs"):
        places(2, gpus(1, "0"), CORES)


def test_cores_here_hold_every_usable_processor_once():
    cores = physical_cores()
    assert sorted(one for core in cores for one in core) == sorted(os.sched_getaffinity(0))


def test_other_devices_than_it_divides_are_named(monkeypatch):
    monkeypatch.setattr("launch.local.QUESTION", "print('[\"METAL\", [[]]]')")
    said = "^study: launch.local divides only CPUs, CUDA GPUs and TPU chips; on METAL start the study itself$"
    with pytest.raises(InputError, match=said):
        devices_here()


@pytest.mark.slow
def test_what_the_study_refuses_is_shown_and_its_exit_code_passed_on(tmp_path):
    options = ["--levels", "1.4", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "launch.local", "annotation_errors", "--", *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == 2
    assert "levels: 1.4 is no strength" in ended.stdout and "process 1 ended with exit code 2" in ended.stderr
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
