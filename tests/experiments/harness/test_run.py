"""How any study runs: plan, estimate, training what is needed, tidying up, and the page by whoever finishes last."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.harness import run as run_module
from experiments.harness.options import RunOptions, overlaid
from experiments.harness.parsing import defaults_of, parse, resolved
from experiments.harness.run import Sweep, opened, plan_of, replicates_of, table_of
from segjax.data import open_source
from segjax.sweeps import Ledger
from segjax.sweeps.plan import read_plan
from segjax.types import InputError
from tests.experiments.harness.tiny import Config, CountingTrainer, Data, Source, Training, Trial, measure, study


@pytest.fixture
def config(tmp_path):
    """Two seeds of the tiny study."""
    return Config(RunOptions(tmp_path / "run", seeds=2, strategy="sequential"))


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a study's command in one folder, which ends with an exit code; gives what it printed."""

    def run(known, *options, code=0):
        monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(tmp_path / "run"), *options])
        try:
            run_module.run(known)
        except SystemExit as ended:
            assert ended.code == code
        else:
            assert code == 0
        return capsys.readouterr().out

    return run


def test_a_scale_lies_over_the_base_and_the_command_line_over_the_scale(monkeypatch):
    known = study()
    assert defaults_of(known, "demo") == overlaid(known.base, {"run": {"scale": "demo", "seeds": 2}})
    assert defaults_of(known, "reduced").depth == 2 and defaults_of(known, "paper").run.seeds == 10
    arguments = ["tiny", "--out", "x", "--scale", "reduced", "--seeds", "3", "--strengths", "5"]
    monkeypatch.setattr(sys, "argv", arguments)
    found = parse(known)
    assert (found.run.seeds, found.depth, found.strengths, found.run.out) == (3, 2, (5.0,), Path("x"))
    monkeypatch.setattr(sys, "argv", ["tiny", "--out", "x"])
    assert parse(known).run.scale == "demo"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scale", "huge"], "scale: unknown 'huge'; choose one of smoke, demo, reduced, paper"),
        (["--seeds", "0"], "seeds must be from 1"),
        (["--data", "nowhere"], "is not SCHEME:NAME"),
        (["--shard", "3/2"], "shard: '3/2' is not I/N"),
        (["--resume"], "resume: there is nothing to go on with"),
        (["--report"], "out: there are no results in .*; give the --out folder of a run"),
        (["--list-failed"], "out: there are no results in"),
    ],
)
def test_what_a_command_refuses(command, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        command(study(), *options)
    assert not (tmp_path / "run").exists()


def test_a_study_refuses_and_fills_in_what_depends_on_other_options(config):
    def resolve(given):
        if given.depth > 3:
            raise InputError("depth: too much")
        return dataclasses.replace(given, depth=given.depth + 1)

    known = study(resolve=resolve)
    assert resolved(known, config).depth == 2
    with pytest.raises(InputError, match="depth: too much"):
        resolved(known, dataclasses.replace(config, depth=4))


def test_nothing_is_trained_or_written_for_a_plan(command, tmp_path):
    trainer = CountingTrainer()
    text = command(study(trainer), "--plan")
    assert "method careful, seed 0, strength 1" in text
    assert re.search(r"^6 trials, about \d+ s here, 0.0 MB of results; nothing was trained$", text, re.MULTILINE)
    assert trainer.made == [] and not (tmp_path / "run").exists()


def test_a_run_says_before_it_starts_that_seeds_share_test_sets(command):
    said = "note: All 6 seeds together have 4 test sets. Give as many --folds as --seeds"
    assert said in command(study(), "--plan", "--seeds", "6")
    assert said in command(study(), "--seeds", "6")
    assert "note:" not in command(study(), "--plan", "--seeds", "2")


def test_a_network_that_no_trial_needs_any_more_is_dropped(config):
    trainer = CountingTrainer()
    context, trials = opened(study(trainer), config)
    sweep, base = Sweep(study(trainer), context, trials), Training("base", 0)
    results = [outcome for trial in trials[:3] for _, outcome in sweep.run([trial], lambda share: None)]
    assert [outcome.status for outcome in results] == ["ok"] * 3
    assert trainer.made == [base, Training("head", 0, 1.0), Training("head", 0, 2.0)]
    kept = [context.store.path(training).exists() for training in trainer.made]
    assert kept == [True, False, False]  # only the base has several uses


def test_networks_stay_where_the_study_says_so(config):
    known = study(keeps_networks=True)
    context, trials = opened(known, config)
    list(Sweep(known, context, trials).run(trials, lambda share: None))
    assert len(list((config.run.out / "networks").glob("*.safetensors"))) == 6


def test_trials_are_batched_by_the_kind_of_their_training_or_as_the_study_says(config):
    context, trials = opened(study(), config)
    sweep = Sweep(study(), context, trials)
    assert (sweep.together(trials[0]), sweep.together(trials[1]), sweep.pack) == ("base", "head", 8)
    by_seed = Sweep(study(together=lambda trial: str(trial.seed)), context, trials)
    assert (by_seed.together(trials[0]), by_seed.together(trials[-1])) == ("0", "1") and by_seed.pack >= 10**9
    free = Sweep(study(needs=lambda context, trial: []), context, trials)
    assert free.together(trials[0]) == ""


def test_examples_of_seed_0_are_kept_and_splits_written(config):
    context, trials = opened(study(), config)
    list(Sweep(study(), context, trials).run(trials, lambda share: None))
    kept = [context.examples.load(trial) is not None for trial in trials]
    assert kept == [trial.seed == 0 for trial in trials]
    split = json.loads((config.run.out / "splits" / "seed-1.json").read_text())
    assert split["test"] == ["c", "d"]


CHANGES_NOTHING = [
    {"run": {"seeds": 5}},
    {"run": {"out": Path("elsewhere")}},
    {"run": {"pack": 1, "strategy": "vmap", "shard": "1/2"}},
    {"run": {"scale": "paper"}},
    {"strengths": (7.0,)},
]
CHANGES_NUMBERS = [{"depth": 2}, {"source": {"folds": 3}}, {"source": {"validation": "slice"}}]


def test_the_fingerprint_follows_what_decides_numbers_and_nothing_else(config):
    usual = plan_of(study(), config, Data(config))["fingerprint"]
    for change in CHANGES_NOTHING:
        assert plan_of(study(), overlaid(config, change), Data(config))["fingerprint"] == usual, change
    others = {plan_of(study(), overlaid(config, change), Data(config))["fingerprint"] for change in CHANGES_NUMBERS}
    others.add(plan_of(study(), config, Data(config, Source(digest="fedcba9876543210")))["fingerprint"])
    assert len({*others, usual}) == 5


def test_a_plan_is_json_and_says_where_numbers_come_from(config):
    plan = plan_of(study(), config, Data(config))
    assert json.loads(json.dumps(plan)) == {**plan, "replicates": list(plan["replicates"])}
    assert set(plan["facts"]) == {"folds", "replicates", "validation", "depth", "digest"}
    assert (plan["study"], plan["data"], plan["coarsening"]) == ("tiny", "folder:nowhere", 2.0)
    assert plan["config"]["run"]["out"] == str(config.run.out) and plan["config"]["depth"] == 1
    assert {"segjax/types.py", "harness/run.py", "tiny/tiny.py"} <= set(plan["sources"])


def test_replicates_are_distinct_test_sets(config):
    six = overlaid(config, {"run": {"seeds": 6}})
    found = replicates_of(six, Data(six))
    assert found.names[:2] == found.names[4:] and len(set(found.names)) == 4  # four folds
    shapes = [Data(six).split(seed) for seed in range(6)]
    assert found.overlap == pytest.approx(sum(len(split.test) / len(split.train) for split in shapes) / 6) == 0.5


def test_seeds_that_share_the_one_test_set_are_one_replicate_without_overlap(config):
    reserved = Data(config, Source(test_groups=frozenset({"g2"})))
    assert [reserved.split(seed).test for seed in (0, 1)] == [(2, 3), (2, 3)]
    found = replicates_of(config, reserved)
    assert len(set(found.names)) == 1 and found.overlap == 0.0


def test_the_names_of_replicates_follow_the_pictures_not_the_seeds(config):
    turned = overlaid(config, {"run": {"seeds": 8}})
    more = replicates_of(turned, Data(turned)).names
    assert replicates_of(config, Data(config)).names == more[:2]


def test_a_whole_run_and_what_comes_after_it(command, tmp_path):
    trainer, out = CountingTrainer(), tmp_path / "run"
    text = command(study(trainer))
    assert "reading folder:nowhere" in text and "[6/6]" in text and f"report: {out / 'report.html'}" in text
    assert len(trainer.made) == 6
    rows = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(rows.columns) == [
        "study", "data", "method", "seed", "strength", "picture", "metric", "value", "status", "code"
    ]  # fmt: skip
    assert len(rows) == 6 * 4 and set(rows["study"]) == {"tiny"} and rows["code"].nunique() == 1
    page = (out / "report.html").read_text()
    for part in ("Does it run?", "Nothing was learnt.", "Differences", "0123456789abcdef"):
        assert part in page
    assert {path.name for path in (out / "figures").iterdir()} == {"first_chart.svg", "second_chart.svg"}

    before = (out / "results.csv").read_bytes()
    assert "6 of 6 trials are done already; 0 to do" in command(study(trainer), "--resume")
    assert (out / "results.csv").read_bytes() == before and len(trainer.made) == 6
    assert [opening["command"] for opening in read_plan(out)["openings"]] == [
        f"python -m experiments.tiny --out {out}", f"python -m experiments.tiny --out {out} --resume"
    ]  # fmt: skip

    with pytest.raises(InputError, match=r"another configuration \(depth: 1 there, 2 now\)"):
        command(study(trainer), "--depth", "2")


def test_shards_leave_the_page_to_the_last(command, tmp_path):
    page = tmp_path / "run" / "report.html"
    text = command(study(), "--shard", "1/2", code=4)
    assert "other processes are working on 3 of 6 trials; the last one to finish writes the report. --report" in text
    assert not page.exists()
    assert "[3/3]" in command(study(), "--shard", "2/2") and page.exists()


def unlucky(*seeds):
    """A study whose careful trials of some seeds fail."""

    def measure_or_fail(context, trial):
        if trial.method == "careful" and trial.seed in seeds:
            raise RuntimeError("no luck")
        return measure(context, trial)

    return study(measure=measure_or_fail)


def test_failed_trials_are_named_and_tried_again_only_where_that_is_asked_for(command, monkeypatch, tmp_path):
    out = tmp_path / "run"
    text = command(unlucky(0), code=3)
    tracebacks = sorted((out / "failures").iterdir())
    assert len(tracebacks) == 2 and all("RuntimeError: no luck" in path.read_text() for path in tracebacks)
    assert f"failed: method careful, seed 0, strength 1: {tracebacks[0]}" in text
    assert "2 trials failed; mend the cause, then try them again with --retry-failed" in text
    page = (out / "report.html").read_text()
    assert page.count("<td>failed</td>") == 2 and "This page is partial" not in page

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")}
    listed = command(study(), "--list-failed", code=3)
    assert [line for line in listed.splitlines() if line.startswith("failed: ")] == [
        f"failed: method careful, seed 0, strength {strength}: {path}"
        for strength, path in zip((1, 2), tracebacks, strict=True)
    ]
    assert "reading" not in listed and before == {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")}
    assert "6 of 6 trials are done already; 0 to do" in command(study(), code=3)

    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "10")
    command(unlucky(), "--retry-failed")
    assert read_plan(out)["openings"][-1]["request"] == "SLURM job 10"
    assert command(study(), "--list-failed") == "no trial failed\n" and not list((out / "failures").iterdir())
    assert "<td>failed</td>" not in (out / "report.html").read_text()


def test_a_study_all_of_whose_trials_failed_has_a_page_and_says_so(command, tmp_path):
    def never(context, trial):
        raise RuntimeError("no luck")

    text = command(study(measure=never), "--seeds", "6", code=3)
    assert text.count("\nfailed: ") == 10 and "18 trials failed (8 more: --list-failed)" in text
    assert (tmp_path / "run" / "report.html").read_text().count("<td>failed</td>") == 18


def test_the_report_of_a_part_says_what_is_missing_and_trains_nothing(command, tmp_path):
    out, trainer = tmp_path / "run", CountingTrainer()
    command(study(), "--shard", "1/2", code=4)
    openings = len(read_plan(out)["openings"])
    text = command(study(trainer), "--report", code=4)
    assert "3 of 6 trials have not ended" in text and f"report: {out / 'report.html'}" in text
    page = (out / "report.html").read_text()
    assert "This page is partial: 3 of 6 trials have not ended." in page and "Missing trials" in page
    assert len(pd.read_csv(out / "results.csv")) == 3 * 4 and len(pd.read_parquet(out / "results.parquet")) == 3 * 4
    assert trainer.made == [] and len(read_plan(out)["openings"]) == openings
    with pytest.raises(InputError, match=r"another configuration \(depth: 1 there, 2 now\)"):
        command(study(), "--report", "--depth", "2")
    command(study())
    before = (out / "results.csv").read_bytes()
    assert "trials have not ended" not in command(study(), "--report")
    assert (out / "results.csv").read_bytes() == before and "partial" not in (out / "report.html").read_text()


def test_a_damaged_trial_is_done_again_by_the_same_command(command, tmp_path):
    out = tmp_path / "run"
    command(study())
    before = (out / "results.csv").read_bytes()
    damaged = next((out / "trials").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{damaged}: is damaged .*its trial is missing again"):
        text = command(study())
    assert "5 of 6 trials are done already; 1 to do" in text and (out / "results.csv").read_bytes() == before


def test_other_code_is_refused_until_it_is_accepted_and_the_page_says_so(command, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "sources_of", lambda *_: {"tiny/tiny.py": "1"})
    command(study(), "--shard", "1/2", code=4)
    monkeypatch.setattr(run_module, "sources_of", lambda *_: {"tiny/tiny.py": "2"})
    with pytest.raises(InputError, match=r"differing in tiny/tiny.py\); .*--accept-code"):
        command(study())
    command(study(), "--accept-code")
    assert "made by 2 versions of the code" in (tmp_path / "run" / "report.html").read_text()
    assert pd.read_csv(tmp_path / "run" / "results.csv", dtype=str)["code"].nunique() == 2


def test_the_table_of_a_run_knows_its_replicates_and_pixels(config):
    known, data = study(), Data(config)
    with Ledger(config.run.out, Trial, plan_of(known, config, data)) as ledger:
        ledger.append(Trial("plain", 0), [], 0, "ok")
        found = table_of(known, config, data, ledger)
    assert found.replicates == replicates_of(config, data) and found.coarsening == 2.0


def test_one_folder_under_three_names_is_one_configuration(command, tmp_path):
    command(study(), "--data", "folder:six")
    for name in ("folder:six/", "folder:./six", f"folder:{tmp_path}/six"):
        assert "6 of 6 trials are done already" in command(study(), "--resume", "--data", name)
    assert read_plan(tmp_path / "run")["data"] == "folder:six"
    other = study(read=lambda config: Data(config, Source(digest="fedcba9876543210")))
    said = r"\(digest: 0123456789abcdef there, fedcba9876543210 now; data: folder:six there, folder:seven now\)"
    with pytest.raises(InputError, match=said):
        command(other, "--resume", "--data", "folder:seven")
    with pytest.raises(InputError, match=r"\(folds: 4 there, 3 now; depth: 1 there, 2 now\)"):
        command(study(), "--resume", "--data", "folder:six/", "--folds", "3", "--depth", "2")


def test_the_pictures_of_a_folder_are_the_same_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "labels"):
        (tmp_path / "six" / kind).mkdir(parents=True)
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "six" / kind / "a.png")
    names = ("six", "six/", "./six", str(tmp_path / "six"))
    assert len({open_source(f"folder:{name}").digest for name in names}) == 1


def test_events_are_written_beside_the_results_where_asked_for(command, tmp_path):
    command(study(), "--tensorboard", "--seeds", "1")
    events = tmp_path / "run" / "tensorboard"
    assert len(list((events / "trials").iterdir())) == len(list((tmp_path / "run" / "trials").glob("*.csv"))) > 0
    assert sorted(path.name.split("_")[0] for path in (events / "trainings").iterdir()) == ["base", "head", "head"]
