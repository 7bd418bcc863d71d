"""Every benchmark runs at its smallest size and writes its table; what the times are is not tested."""

import importlib
import re
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import few_shot, package, patches, timing
from experiments.benchmarks.api_pages import rooms
from segjax.types import InputError

ROOT = Path(__file__).parents[3]
TIMES = ["contest", "side", "way", "rounds", "median_ms", "low_ms", "high_ms", "ratio"]


def table_of(name: str, monkeypatch, out, *options: str) -> pd.DataFrame:
    monkeypatch.setattr(timing, "cores", lambda: 1)  # PyTorch's threads wait for each other where tests share cores
    monkeypatch.setattr(timing, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", [name, "--scale", "smoke", "--out", str(out), *options])
    importlib.import_module(f"experiments.benchmarks.{name}").main()
    return pd.read_csv(out / f"{name}.csv", comment="#")


def check_times(table: pd.DataFrame) -> None:
    assert list(table.columns[: len(TIMES)]) == TIMES
    numbers = table[["median_ms", "low_ms", "high_ms", "ratio"]]
    assert np.isfinite(numbers.to_numpy()).all() and (numbers > 0).all(axis=None)
    for _, contest in table.groupby("contest"):
        assert set(contest["side"]) == {"ours", "rival"}
        assert contest[contest["side"] == "rival"]["ratio"].max() == 1.0


@pytest.mark.parametrize("name", ["training_step", "inference"])
def test_networks(name, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    table = table_of(name, monkeypatch, tmp_path, "--rounds", "1")
    check_times(table)
    assert list(table.columns[len(TIMES) :]) == ["precision", "gflop", "gflop_per_s", "of_matmul"]
    assert (table[["gflop", "gflop_per_s", "of_matmul"]] > 0).all(axis=None)
    assert table["contest"].nunique() == 3 and table.groupby("contest").size().tolist() == [5, 3, 3]


def test_precisions_are_timed_apart(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    options = ("--rounds", "1", "--only", "unet", "--precision", "float32", "bfloat16")
    table = table_of("training_step", monkeypatch, tmp_path, *options)
    check_times(table)
    assert table.groupby("precision", sort=False).size().to_dict() == {"float32": 3, "bfloat16": 3}
    header = (tmp_path / "training_step.csv").read_text()
    assert "matrix product, float32" in header and "matrix product, bfloat16" in header
    assert [path.name for path in tmp_path.iterdir()] == ["training_step.csv"]


def test_contradicting_sizes_and_repeated_precisions_are_refused():
    from experiments.benchmarks.networks import PUBLISHED, NetworkOptions, cases

    with pytest.raises(InputError, match="either --published or --smoke, not both"):
        NetworkOptions(published=True, scale="smoke")
    with pytest.raises(InputError, match="precision: name each once"):
        NetworkOptions(precision=("float32", "float32"))
    with pytest.raises(InputError, match="tf32 is float32 on CPU"):
        NetworkOptions(precision=("tf32",))
    assert len(cases(NetworkOptions(published=True, precision=("float32", "bfloat16")))) == 2 * len(PUBLISHED)


@pytest.mark.slow
def test_products_read_the_bits_asked_for(monkeypatch):
    from experiments.benchmarks.networks import CASES, start

    kept = jax.config.jax_default_matmul_precision
    try:
        for precision, expected in (("float32", "HIGHEST"), ("tf32", "HIGH"), ("bfloat16", "HIGHEST")):
            steps, state, images, targets = start(replace(CASES["smoke"][0], precision=precision))
            step = str(
                jax.make_jaxpr(jax.vmap(steps.train))(*jax.tree.map(lambda x: x[None], (state, images, targets)))
            )
            found = set(re.findall(r"precision=\(?(?:Precision\.)?(\w+)", step))
            assert found == {expected}, precision
            assert ("bf16" in step) == (precision == "bfloat16")
    finally:
        jax.config.update("jax_default_matmul_precision", kept)


def test_rows_are_kept_until_the_table_is_whole(tmp_path):
    row = {"contest": "a", "median_ms": 1.0}
    timing.unfinished("name", {"command": "x"}, tmp_path)([row])
    assert (tmp_path / "name.unfinished.csv").read_text() == "# command: x\ncontest,median_ms\na,1.0\n"
    timing.report("name", {"command": "x"}, [row], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["name.csv"]


def test_the_rival_computes_as_asked():
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.torch_rivals import computing

    x = torch.ones(2, 2)
    for precision, number, tf32 in (("bfloat16", torch.bfloat16, False), ("tf32", torch.float32, True)):
        with computing(precision):
            assert (x @ x).dtype == number and torch.backends.cudnn.allow_tf32 == tf32


def test_packs(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    table = table_of("packs", monkeypatch, tmp_path, "--rounds", "1")
    check_times(table)
    assert set(table["members"]) == {1, 2} and set(table["precision"]) == {"float32"}
    assert {"one after the other", "plain vmap"} <= set(table["way"])


@pytest.mark.slow
def test_the_ways_to_train_a_pack_agree():
    from experiments.benchmarks.pack_strategies import CASES, STRATEGIES, pack_of

    losses = {}
    for way, strategy in STRATEGIES.items():
        step = strategy(pack_of(CASES["smoke"], 3))
        losses[way] = [step(number) for number in range(3)]
    first = losses.pop("one after the other")
    assert np.shape(first) == (3, 3) and len(np.unique(first)) == 9
    for way, others in losses.items():
        np.testing.assert_allclose(others, first, rtol=1e-5, err_msg=way)


def test_metrics(monkeypatch, tmp_path):
    table = table_of("metrics", monkeypatch, tmp_path, "--rounds", "1")
    check_times(table)
    assert list(table.columns) == TIMES and table["contest"].nunique() == 5


def test_metrics_that_differ_are_not_timed():
    from experiments.benchmarks.metrics import agreeing

    calls = {"a": lambda number: [0.5, 0.25]}, {"b": lambda number: [0.5, 0.25 + 1e-9]}
    with pytest.raises(AssertionError, match="b"):
        agreeing(timing.Contest(*calls))


def test_annotation_errors(monkeypatch, tmp_path):
    table = table_of("annotation_errors", monkeypatch, tmp_path, "--rounds", "1", "--only", "bias", "omission")
    check_times(table)
    assert list(table.columns) == [*TIMES, "draws"]
    assert set(table["contest"]) == {"omission", "omission, 2 at once", "bias", "bias, 2 at once"}


def test_opencv_and_scipy_change_outlines_alike():
    pytest.importorskip("cv2")
    from experiments.benchmarks.annotation_errors import label_map, opencv_outline, scipy_outline

    mask = label_map(-30) > 0  # discs that the border cuts
    for grows in (True, False):
        for q in (1, 6):
            np.testing.assert_array_equal(opencv_outline(mask, grows, q), scipy_outline(mask, grows, q))


@pytest.mark.slow
def test_upgrading(monkeypatch, tmp_path):
    table = table_of("upgrading", monkeypatch, tmp_path, "--rounds", "1", "--only", "unet")
    assert list(table.columns) == [*TIMES, "megapixels", "mpx_per_s"]
    assert table.groupby("contest", sort=False).size().tolist() == [3, 2] and (table["mpx_per_s"] > 0).all()
    np.testing.assert_allclose(table["mpx_per_s"], 1000 * table["megapixels"] / table["median_ms"], rtol=1e-3)


@pytest.mark.slow
def test_growth(monkeypatch, tmp_path):
    table = table_of("growth", monkeypatch, tmp_path, "--rounds", "1", "--only", "msd", "members")
    assert list(table.columns) == [
        "curve", "quantity", "size", "rounds", "median_ms", "low_ms", "high_ms", "planned_mb",
        "time_exponent", "memory_exponent",
    ]  # fmt: skip
    assert table[["curve", "quantity", "size"]].to_numpy().tolist() == [
        ["msd", "pixels", 64], ["msd", "pixels", 256], ["unet", "members", 1], ["unet", "members", 2],
    ]  # fmt: skip
    assert np.isfinite(table[["median_ms", "planned_mb", "time_exponent", "memory_exponent"]].to_numpy()).all()
    assert (tmp_path / "growth.svg").read_text().count("<svg") == 1


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory: it is read from /proc")
def test_memory(monkeypatch, tmp_path):
    table = table_of("memory", monkeypatch, tmp_path, "--network", "msd", "--side", "20", "24")
    assert list(table.columns) == [
        "network", "height", "width", "batch", "before_mb", "peak_mb", "step_mb", "planned_mb",
    ]  # fmt: skip
    assert list(table["network"]) == ["msd depth=2 remat=False", "msd depth=2 remat=True"]
    row = table.iloc[0]
    assert (row["network"], row["height"], row["width"], row["batch"]) == ("msd depth=2 remat=False", 20, 24, 1)
    assert row["peak_mb"] >= row["before_mb"] > 10 > row["planned_mb"] > 0
    np.testing.assert_allclose(row["step_mb"], row["peak_mb"] - row["before_mb"], atol=1.5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory: it is read from /proc")
def test_map_loop(monkeypatch, tmp_path):
    table = table_of("map_loop", monkeypatch, tmp_path)
    assert list(table.columns) == ["maps", "resident_mb"] and table["maps"].tolist() == list(range(2, 21, 2))
    assert (table["resident_mb"] > 10).all()


@pytest.mark.slow
def test_compared_labels(monkeypatch, tmp_path):
    table = table_of("compared_labels", monkeypatch, tmp_path)
    assert set(table["case"]) == {"alone", "together"} and table["covered"].between(0, 1).all()
    assert {"omission", "inclusion", "merge", "split", "confusion", "jitter"} == set(table["error"])
    for error in ("omission", "inclusion"):
        strong = table[(table["case"] == "alone") & (table["error"] == error) & (table["true"] == 0.3)]
        assert strong["estimate"].item() == pytest.approx(0.3, abs=0.1)


def test_decisions(monkeypatch, tmp_path):
    table = table_of("decisions", monkeypatch, tmp_path)
    assert list(table.columns) == [
        "rivals", "folds", "seeds", "replicates", "overlap", "studies", "rule", "ahead", "behind", "either", "too_few",
    ]  # fmt: skip
    assert len(table) == 12 and (table["studies"] == 20).all()
    assert table["rule"].tolist() == ["decide", "best rival afterwards"] * 6
    assert table["replicates"].tolist() == [4, 4, 8, 8, 10, 10] * 2
    assert (table["either"] >= table[["ahead", "behind"]].max(axis=1)).all()


def test_patches(monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="torch, of the extra bench, is missing")
    pytest.importorskip("grain", reason="grain, of the extra bench, is missing")
    table = table_of("patches", monkeypatch, tmp_path, "--rounds", "1")
    check_times(table)
    assert table["patches"].tolist() == [40, 40, 40, 4, 4, 4]


def test_patches_of_the_rival_are_those_of_the_same_folder():
    source = patches.folder_of(2, 20, 24)
    rival = patches.PatchOfPicture(source, np.array([2, 1]), 16)
    image, target = rival[2]
    assert len(rival) == 3 and image.shape == (16, 16, 1) and target.shape == (16, 16)
    assert np.isin(image, source[1].image).all() and set(np.unique(target)) <= {0, 1}


def test_activation_maps(monkeypatch, tmp_path):
    pytest.importorskip("pytorch_grad_cam", reason="grad-cam, of the extra bench, is missing")
    table = table_of("activation_maps", monkeypatch, tmp_path, "--rounds", "1", "--only", "Grad-CAM, resnet18")
    check_times(table)
    assert table["way"].tolist() == ["segjax", "grad-cam"]


@pytest.mark.slow
def test_encoders(tmp_path):
    pytest.importorskip("segmentation_models_pytorch", reason="it is of the extra bench and missing")
    from experiments.benchmarks.encoders import encoders

    encoders(("resnet18",), out=tmp_path)
    table = pd.read_csv(tmp_path / "encoders.csv", comment="#")
    assert table["package"].tolist() == ["segmentation_models_pytorch"] * 6 + ["torchvision"]
    assert (table["largest_value"] > 0).all() and (table["relative"] < 1e-4).all()


def test_few_shot(monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    table = table_of("few_shot", monkeypatch, tmp_path, "--rounds", "1", "--draws", "2", "--only", "grid")
    assert table["way"].tolist() == ["segjax", *(f"scikit-learn {solver}" for solver in few_shot.SOLVERS)]
    assert (table["fits"] == 8).all() and (table["largest_difference"] < 0.005).all()
    assert np.isfinite(table[["seconds", "ms_per_fit", "ratio", "dice"]].to_numpy()).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory: it is read from /proc")
def test_memory_of_class_moments():
    from experiments.benchmarks.few_shot import memory_row

    row = memory_row("smoke")
    assert (row["pictures"], row["side"], row["features"]) == (2, 32, 6)
    assert row["moments_mb"] == round(2 * 2 * 7 * 7 * 4 / 1e6, 6)
    assert row["stacked_mb"] == float(f"{4 * 2 * 32 * 32 * 6 / 1e6:.4g}")


@pytest.mark.slow
def test_claims(monkeypatch, tmp_path):
    table = table_of("claims", monkeypatch, tmp_path, "--rounds", "2")
    assert list(table.columns) == [
        "curve", "quantity", "size", "measured", "median_ms", "low_ms", "high_ms", "exponent", "per_second",
    ]  # fmt: skip
    assert table.groupby("quantity", sort=False).size().to_dict() == {"trials there": 8, "workers": 2, "rows": 4}
    assert np.isfinite(table[["median_ms", "low_ms", "high_ms", "exponent"]].to_numpy()).all()
    assert (tmp_path / "claims.svg").read_text().count("<svg") == 1


@pytest.mark.slow
def test_the_package_is_measured_as_it_is_installed(monkeypatch, tmp_path):
    library = tmp_path / "segjax.whl"
    with zipfile.ZipFile(library, "w", zipfile.ZIP_DEFLATED) as files:
        for path in (ROOT / "segjax").rglob("*"):
            if "__pycache__" not in path.parts:
                files.write(path, path.relative_to(ROOT))
    monkeypatch.setattr(package, "named", lambda commit: commit)
    monkeypatch.setattr(package, "built", lambda commit, folder: library)
    package.package(("one",), rounds=1, out=tmp_path)
    (row,) = pd.read_csv(tmp_path / "package.csv", comment="#").to_dict("records")
    assert row["public_names"] == sum(len(room.__all__) for room in rooms().values())
    assert row["wheel_mb"] == pytest.approx(library.stat().st_size / 1e6, rel=1e-3)
    assert 0 < row["trained_weights_mb"] < row["wheel_mb"] and row["import_s"] > 0


def test_a_commit_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no commit 'of-no-one'"):
        package.package(("of-no-one",), out=tmp_path)
