"""From a run to committed results: values, pages and README's table, and what is refused or marked."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiments import publish as command
from experiments.harness import provenance, publish, run
from experiments.harness.options import DataOptions, RunOptions, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.publish import (
    BEGIN,
    CHANGED,
    END,
    NO_SEEDS,
    README_ROWS,
    Published,
    check_tree,
    config_of,
    markdown,
    published_runs,
    take_run,
    write_readme,
    write_results_page,
)
from segjax.evaluation import Decision
from segjax.evaluation.claims import Claim
from segjax.sweeps.plan import _sealed
from segjax.types import InputError
from tests.experiments.harness.tiny import Config, Trial, study


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The checkout that results go to."""
    monkeypatch.setattr(publish, "ROOT", tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def finished(tmp_path, monkeypatch, capsys):
    """Runs the tiny study with six seeds on test sets of their own; gives its folder."""

    def make(commit="c0ffee", **changes):
        known, out = study(**changes), tmp_path / "run"
        monkeypatch.setattr("experiments.harness.provenance.commit", lambda: commit)
        monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out), "--seeds", "4"])
        run.run(known)
        capsys.readouterr()
        return known, out

    return make


def test_a_run_becomes_a_row_per_trial_and_says_where_it_comes_from(root, finished):
    known, out = finished()
    folder = take_run(known, out, "first")
    assert folder == root / "experiments" / "tiny" / "results" / "first"
    assert sorted(path.name for path in folder.iterdir()) == ["run.json", "trials.csv"]
    trials = pd.read_csv(folder / "trials.csv", dtype=str)
    first = ["method", "seed", "strength", "replicate", "status", "code"]
    assert list(trials.columns) == [*first, "dice", "cores", "restarts"]
    assert len(trials) == 12 and set(trials["seed"]) == set("0123") and trials["replicate"].nunique() == 4
    facts = json.loads((folder / "run.json").read_text())
    assert "sources" not in facts and facts["openings"][0]["commit"] == "c0ffee"
    rows = pd.read_csv(out / "results.csv")
    means = rows[rows["metric"] == "dice"].groupby(["method", "seed", "strength"])["value"].mean()
    for line in trials.itertuples():
        found = means[line.method, int(line.seed), float(line.strength)]
        assert float(line.dice) == pytest.approx(found, rel=1e-5)


def test_what_is_made_of_published_values_is_what_the_run_made(root, finished):
    known, out = finished()
    take_run(known, out, "first")
    (published,) = published_runs(known)
    assert published.marks == [] and published.found is not None
    config = resolved(known, overlaid(defaults_of(known, "demo"), {"run": {"seeds": 4, "out": out}}))
    context, _ = run.opened(known, config)
    with run.Ledger(out, Trial, run.plan_of(known, config, context.data), accept_code=True) as ledger:
        found = known.analyse(config, run.table_of(known, config, context.data, ledger))
    for ours, theirs in zip(published.found.claims, found.claims, strict=True):
        assert ours[:3] == theirs[:3] and ours.decision.verdict == theirs.decision.verdict
        assert ours.decision[:4] == pytest.approx(theirs.decision[:4], rel=1e-4, nan_ok=True)


def test_the_results_page_shows_values_claims_and_the_figures_that_it_names(root, finished):
    known, out = finished()
    take_run(known, out, "first")
    page = write_results_page(known, published_runs(known))
    assert page == root / "experiments" / "tiny" / "results" / "README.md"
    text = page.read_text()
    assert f"- command: `python -m experiments.tiny --out {out} --seeds 4`" in text and "- commit: `c0ffee`" in text
    assert "## first: pictures in nowhere" in text and "- test sets: 4" in text
    assert text.index("**It runs.**") < text.index("| compared |") < text.index("- command: ")
    assert "**It runs.**\nNo difference is decided: a verdict needs 5 test sets, and there are 4 test sets.\n" in text
    assert "![First finding](first/first_chart.svg)\n\n*First finding.* What?" in text and "Second finding" not in text
    assert "\nBefore you rely on this:\n\n- Nothing was learnt.\n\n<details>" in text
    assert "<details><summary>Dice</summary>" in text and "| empty |" in text
    assert [path.name for path in page.parent.glob("first/*.svg")] == ["first_chart.svg"]
    assert CHANGED not in text and NO_SEEDS not in text
    (page.parent / "first" / "shown_no_more.svg").write_text("<svg/>")
    write_results_page(known, published_runs(known))
    assert [path.name for path in page.parent.glob("first/*.svg")] == ["first_chart.svg"]
    assert page.read_text() == text


def test_a_run_from_a_changed_tree_is_marked(root, finished):
    known, out = finished(commit="c0ffee-dirty")
    take_run(known, out, "first")
    (published,) = published_runs(known)
    assert published.marks == [CHANGED]
    assert f"**{CHANGED}**" in write_results_page(known, [published]).read_text()


def test_notes_stand_on_the_page(root, finished):
    known, out = finished()
    take_run(known, out, "first", ["Five seeds came first."])
    (published,) = published_runs(known)
    assert published.notes == ["Five seeds came first."] and published.marks == []
    assert "\n\nFive seeds came first.\n\n" in write_results_page(known, [published]).read_text()


def test_a_run_that_kept_no_values_per_seed_is_marked_and_shown_as_it_is(root):
    known = study()
    folder = root / "experiments" / "tiny" / "results" / "old"
    folder.mkdir(parents=True)
    summary = pd.DataFrame({"method": ["careful"], "network": ["unet"], "mean": [0.75], "label_dice": [0.5]})
    summary.to_csv(folder / "summary.csv", index=False)
    (folder / "old_curve.svg").write_text("<svg/>")
    openings = [{"command": "python -m experiments.tiny", "commit": "0ld", "machine": "2 cores"}]
    config = {"source": {"data": "microscope:hl60"}}
    (folder / "run.json").write_text(json.dumps({"openings": openings, "config": config, "test_sets": ["a", "b"]}))
    (published,) = published_runs(known)
    assert published.found is None and published.marks == [NO_SEEDS]
    text = write_results_page(known, [published]).read_text()
    for part in (
        NO_SEEDS,
        "simulated HL60 nuclei",
        "- test sets: 2",
        "| method | network | mean | Dice of the training labels against the clean labels |",
        "| careful | U-Net | 0.75 | 0.5 |",
        "![old curve](old/old_curve.svg)",
        "<details><summary>All values</summary>",
    ):
        assert part in text


def test_readme_is_replaced_between_the_marks_alone(root, finished, tmp_path):
    known, out = finished()
    take_run(known, out, "first")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold numbers\n{END}\n\nRest.\n")
    write_readme(readme, published_runs(known))
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    assert (before, after) == ("# Title\n\n", "\n\nRest.\n") and "old numbers" not in text
    # four test sets: the first claim, the only one that may stand in README, has no verdict
    assert table.strip() == "1 more comparison has fewer than 5 test sets, too few for a verdict."
    write_readme(readme, published_runs(known))
    assert readme.read_text() == text
    write_readme(readme, [])
    assert readme.read_text() == f"# Title\n\n{BEGIN}\n{END}\n\nRest.\n"


def test_a_claim_with_a_verdict_is_a_row_of_readme(root, finished, tmp_path):
    known, out = finished()
    take_run(known, out, "first")
    (run,) = published_runs(known)
    claim = Claim("careful", "plain", "Dice", Decision(2.5, 1.0, 4.0, 6, 0.01, "ahead"), "Dice points")
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    write_readme(tmp_path / "README.md", [dataclasses.replace(run, found=dataclasses.replace(run.found, main=[claim]))])
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert lines[1] == "| pictures | compared | difference | 95 % interval | test sets | verdict |"
    assert lines[3] == (
        "| [pictures in nowhere](experiments/tiny/results/README.md) | careful against plain | +2.5 Dice points | "
        "+1.0 to +4.0 | 6 | ahead |"
    )
    several = dataclasses.replace(run, found=dataclasses.replace(run.found, main=[claim] * 6))
    write_readme(tmp_path / "README.md", [several])
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert sum("careful against plain" in line for line in lines) == README_ROWS
    assert f"The pages have {6 - README_ROWS} more comparisons of these runs." in lines
    weak = dataclasses.replace(several, found=dataclasses.replace(several.found, is_weak=True))
    write_readme(tmp_path / "README.md", [weak])
    text = (tmp_path / "README.md").read_text()
    assert "careful against plain" not in text and "The pages have 6 more comparisons of these runs." in text


def test_a_readme_without_the_marks_is_refused_and_kept(tmp_path):
    (tmp_path / "README.md").write_text(f"# Title\n{BEGIN}\n")
    with pytest.raises(InputError, match="has no lines"):
        write_readme(tmp_path / "README.md", [])
    assert (tmp_path / "README.md").read_text() == f"# Title\n{BEGIN}\n"


def test_what_cannot_be_taken_is_refused_and_nothing_is_written(root, finished, tmp_path):
    known, out = finished()
    with pytest.raises(InputError, match="name: 'Real Nuclei' must be small letters, digits and underscores"):
        take_run(known, out, "Real Nuclei")
    with pytest.raises(InputError, match="is a run of tiny, not of large"):
        take_run(dataclasses.replace(known, name="large"), out, "first")
    with pytest.raises(InputError, match=r"has no plan\.json"):
        take_run(known, tmp_path / "nowhere", "first")
    shutil.rmtree(out / "trials")
    with pytest.raises(InputError, match="no trial has ended yet"):
        take_run(known, out, "first")
    assert not root.exists()


def git(folder, *arguments):
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def test_only_a_tree_as_committed_is_published_but_results_and_readme_may_differ(root, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    study_file = root / "experiments" / "tiny" / "study.py"
    results = root / "experiments" / "tiny" / "results" / "first" / "trials.csv"
    for path in (study_file, results, root / "README.md"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    with pytest.raises(InputError, match="is not a git checkout"):
        check_tree()
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    check_tree()
    results.write_text("2\n")
    (results.parent / "new.svg").write_text("<svg/>")
    (root / "README.md").write_text("2\n")
    check_tree()
    study_file.write_text("2\n")
    with pytest.raises(InputError, match=r"uncommitted changes \(experiments/tiny/study.py\); commit them"):
        check_tree()
    git(root, "commit", "-q", "-a", "-m", "two")
    (root / "untracked.py").write_text("")
    with pytest.raises(InputError, match=r"untracked\.py"):
        check_tree()


def test_a_configuration_comes_back_from_its_plan(finished):
    config = Config(RunOptions(Path("a b"), seeds=3, plan=True), DataOptions("folder:x", folds=7), (0.5, 3.0), depth=4)
    stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    assert config_of(Config, stored) == config


@pytest.mark.parametrize("name", command.study_names())
def test_the_configuration_of_every_study_and_scale_comes_back_from_json(name):
    known = command.study_of(name)
    for scale in known.scales:
        config = overlaid(defaults_of(known, scale), {"run": {"out": Path("x")}})
        config = resolved(known, config)
        stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
        assert config_of(known.config, stored) == config


def test_an_option_that_this_version_lacks_is_refused():
    with pytest.raises(InputError, match="this version has no option 'imperfections'"):
        config_of(Config, {"run": {"out": "x"}, "imperfections": 1})


def test_studies_are_found_by_their_folders():
    assert command.study_names() == [
        "activation_maps", "annotation_budget", "annotation_errors", "annotation_upgrade", "few_shot",
        "site_segmentation",
    ]  # fmt: skip
    assert command.study_of("annotation_errors").name == "annotation_errors"
    with pytest.raises(InputError, match="study: unknown 'tiny'; choose one of activation_maps"):
        command.study_of("tiny")


@pytest.mark.parametrize("options", [["--run", "runs/x"], ["--name", "x"]])
def test_a_run_is_published_under_a_name(options, monkeypatch):
    monkeypatch.setattr(command, "check_tree", lambda: None)
    monkeypatch.setattr(sys, "argv", ["publish", *options])
    with pytest.raises(InputError, match="run, name: give both"):
        command.main()


def test_notes_without_a_run_are_refused(monkeypatch):
    monkeypatch.setattr(command, "check_tree", lambda: None)
    monkeypatch.setattr(sys, "argv", ["publish", "--notes", "Five seeds came first."])
    with pytest.raises(InputError, match="notes, looked_at: belong to a run"):
        command.main()


def test_seeds_whose_pictures_were_looked_at_are_stored_and_count_nowhere(root, finished):
    known, out = finished()
    folder = take_run(known, out, "all")
    seen = take_run(known, out, "looked_at", looked_at=(3, 1))
    assert (folder / "trials.csv").read_bytes() == (seen / "trials.csv").read_bytes()
    every, left = published_runs(known)
    means = [run.found.claims[0].decision.n for run in (every, left)]
    assert means == [4, 2]
    assert left.notes == [
        "The numbers leave out seeds 1 and 3: their pictures were looked at while a method was designed."
    ]
    page = write_results_page(known, [left]).read_text()
    assert left.notes[0] in page and "- test sets: 2" in page
    with pytest.raises(InputError, match=r"looked_at: .* has no trials of seed 7"):
        take_run(known, out, "never", looked_at=(7,))


def test_tables_become_markdown():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert markdown(frame) == ["| a | b |", "| --- | --- |", "| 1 | x |", "| 2 | - |"]


def test_marks_add_up():
    facts = {"openings": [{"commit": "a"}, {"commit": "b-dirty"}]}
    assert Published(Path(), facts, None).marks == [CHANGED, NO_SEEDS]


@pytest.mark.slow
@pytest.mark.parametrize("name", command.study_names())
def test_committed_pages_are_made_of_committed_values(name, tmp_path, monkeypatch):
    known = command.study_of(name)
    committed = publish.results_folder(known)
    shutil.copytree(committed, tmp_path / "experiments" / name / "results")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    text = (committed / "README.md").read_text()
    page = publish.results_folder(known) / "README.md"
    page.unlink()
    assert write_results_page(known, published_runs(known)) == page
    assert page.read_text() == text


def test_committed_results_are_small():
    runs = {path.parent for path in (provenance.ROOT / "experiments").glob("*/results/*/run.json")}
    sizes = {run.name: sum(path.stat().st_size for path in run.iterdir()) for run in runs}
    assert len(sizes) > 15 and max(sizes.values()) < 300_000, sizes


RUNS = {
    "list": b"[]", "empty": b"", "cut": b'{"config": {"run', "UTF-16": "{}".encode("utf-16"), "no configuration": b"{}",
    "a number as text": b'{"config": {}, "overlap": "0,5", "coarsening": 1, "openings": []}',
}  # fmt: skip


@pytest.mark.parametrize("content", RUNS.values(), ids=RUNS)
def test_a_damaged_run_json_is_named(root, finished, content):
    known, out = finished()
    path = take_run(known, out, "first") / "run.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"first/run\.json: .*; publish the run again"):
        published_runs(known)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["config", "replicates", "overlap", "coarsening"])
def test_a_plan_that_lacks_what_is_published_is_named(root, finished, name):
    known, out = finished()
    (opening,) = (out / "openings").iterdir()
    note = json.loads(opening.read_text())
    del note[name], note["seal"]
    opening.write_text(_sealed(note))
    with pytest.raises(InputError, match=rf"openings: the last one lacks {name}; give the command again"):
        take_run(known, out, "first")


def test_values_are_taken_from_the_trials_whatever_became_of_their_table(root, finished):
    known, out = finished()
    before = (take_run(known, out, "first") / "trials.csv").read_bytes()
    for name in ("results.csv", "results.parquet"):
        (out / name).unlink()
    rows = (take_run(known, out, "first") / "trials.csv").read_text().splitlines()
    assert sorted(rows) == sorted(before.decode().splitlines())
    assert not (out / "results.csv").exists()


def test_a_configuration_that_lacks_an_option_is_refused():
    with pytest.raises(InputError, match=r"its config lacks an option .*'run'"):
        config_of(Config, {"depth": 1})
