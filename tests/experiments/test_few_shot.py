"""Study 3 end to end at the smallest scale: one trace per kind of step, only what is missing, honest sides."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from experiments.few_shot.analysis import analyse, methods_table
from experiments.few_shot.charts import type_table
from experiments.few_shot.findings import Findings, bank_words
from experiments.few_shot.gallery import gallery
from experiments.few_shot.grid import Config, few
from experiments.few_shot.pictures import (
    HeldOutType,
    TypedPictures,
    candidates_of,
    feature_counts,
    learnt_from,
    learnt_types,
    read,
    read_pictures,
    training_targets,
    types_of,
)
from experiments.few_shot.study import STUDY, grid_rows
from experiments.few_shot.trials import Trial, all_labels, extractors_of, group_of
from experiments.harness.examples import Examples
from experiments.harness.options import overlaid
from experiments.harness.study import Context
from segjax.evaluation.overlap import OverlapCounts
from segjax.fewshot import load_extractors
from segjax.fewshot.grid import Grid
from segjax.sweeps import Replicates, ResultTable
from segjax.sweeps.trials import described
from segjax.training import steps as steps_module
from segjax.types import InputError
from tests.trial_files import forget
from tests.typed_folder import smoke, started, typed_folder

COUNTS = {("unet", "joint_ignored"): 4, ("unet", "binary_background"): 8}
FACTORS = [field.name for field in dataclasses.fields(Trial)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    return typed_folder(tmp_path_factory.mktemp("typed"))


@pytest.mark.slow
def test_the_whole_study(data, tmp_path, monkeypatch, capsys):
    traces: list[int] = []
    make = steps_module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traces.append(1) or step(*arguments)

    monkeypatch.setattr(steps_module, "pure_step", counting)
    out = tmp_path / "run"
    text = started(monkeypatch, capsys, "--data", data, "--out", str(out))
    assert "report:" in text
    # joint and binary extractors, and the baseline, whatever the type
    assert len(traces) == 3

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == ["study", "data", *FACTORS, "picture", "metric", "value", "status", "code"]
    assert set(table["status"]) == {"ok"}
    types = dict.fromkeys(table["type"], 0)
    config = smoke(out, data)
    trials = config.trials(types, {("unet", "joint_ignored"): 2, ("unet", "binary_background"): 4})
    found = {tuple(row) for row in table[FACTORS].itertuples(index=False)}
    assert found == {dataclasses.astuple(trial) for trial in trials}
    fitted = table[(table["method"] == "logistic") & (table["metric"] == "dice_pooled")]
    assert set(fitted["picture"]) == {"draw-000", "draw-001", "draw-002"}
    assert set(table[table["method"] == "all_labels"]["picture"]) == {""}
    for metric in ("dice_pooled", "dice_pooled_zero", "iou_pooled", "dice", "f1"):
        values = table[table["metric"] == metric]["value"].replace("nan", np.nan).astype(float).dropna()
        assert len(values) and values.between(0, 1).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    assert not set(split["train"]) & set(split["test"])
    page = (out / "report.html").read_text()
    assert "How few annotated pictures are enough" in page and "full supervision" in page
    assert '<p class="verdict">In 1 test set, ' in page or "is too weak to stand for full supervision" in page
    assert "No difference is decided" in page and "stays below Dice 0.75" in page
    assert "worst: Dice" in page and "Annotated pictures" in page
    assert {path.stem for path in (out / "figures").iterdir()} == {
        "dice_against_shots", "f1_against_shots", "dice_against_features", "shots_and_features",
        "heads_and_baselines_with_2_shots", "extractors",
    }  # fmt: skip
    assert len(load_extractors(out / "extractors" / "unet-binary_background-seed-0-new-2")) == 2

    before = (out / "results.csv").read_bytes()
    assert forget(out, ",logistic,joint_ignored,relevance,2,1,") == 3
    text = started(monkeypatch, capsys, "--data", data, "--out", str(out), "--resume")
    assert f"{len(trials) - 3} of {len(trials)} trials are done already; 3 to do" in text
    assert (out / "results.csv").read_bytes() == before

    # the table of a published run, which has one row per trial, says what the draws say
    kept = ResultTable.from_rows(pd.read_csv(out / "results.csv", keep_default_na=False), Trial, Replicates(("one",)))
    kept.write(tmp_path / "trials.csv")
    published = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0)
    lines = type_table(Findings(config, published))
    median = fitted[
        (fitted["shots"] == 2) & (fitted["feature_selection"] == "all") & (fitted["bank"] == "joint_ignored")
    ]
    expected = median.groupby("type")["value"].apply(lambda values: np.median(values.astype(float)))
    given = lines[(lines["annotated pictures"] == 2) & lines["type"].isin(types)].set_index("type")["median Dice"]
    assert given.astype(float).to_dict() == pytest.approx(expected.to_dict(), abs=1e-3)
    both = [
        [(claim.subject, claim.rival, claim.decision.mean) for claim in analyse(config, one).claims]
        for one in (published, kept)
    ]
    assert both[0] == [(subject, rival, pytest.approx(mean, abs=1e-3)) for subject, rival, mean in both[1]]


@pytest.mark.slow
def test_plan_trains_nothing(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = started(
        monkeypatch, capsys, "--data", data, "--banks", "joint_ignored", "--baselines", "--out", str(out), "--plan"
    )
    assert "nothing was trained" in text and "method logistic" in text
    assert not out.exists()


@pytest.fixture(scope="module")
def config(data, tmp_path_factory) -> Config:
    return smoke(tmp_path_factory.mktemp("few_shot"), data)


@pytest.fixture(scope="module")
def pictures(config) -> TypedPictures:
    return read(config)


def test_extractors_learn_the_others_and_what_is_new_is_left_out_or_background(pictures):
    assert pictures.types == {"disc": 1, "square": 2, "ring": 3}
    everywhere = tuple(range(len(pictures.images)))
    classes = pictures.classes

    def targets_of(bank):
        return [training_targets(pictures, everywhere, one) for one in extractors_of(bank, "unet", 0, 3, (1, 2, 3))]

    (targets,) = targets_of("joint_ignored")
    assert ((targets == -1) == (classes == 3)).all()
    assert ((targets == 1) == (classes == 1)).all() and ((targets == 2) == (classes == 2)).all()
    (targets,) = targets_of("joint_background")
    assert (targets >= 0).all() and (targets[classes == 3] == 0).all()
    # "every" tells all types apart, and is full supervision, too
    every = all_labels("unet", 0, 3, "every")
    assert (training_targets(pictures, everywhere, every) == classes).all()
    assert learnt_types(pictures, every) == [1, 2, 3]
    own, other = extractors_of("binary_background", "unet", 0, 3, (1, 2, 3))
    assert (own.own, other.own) == (1, 2)
    assert ((training_targets(pictures, everywhere, own) == 1) == (classes == 1)).all()
    # the extractor of a type in every bank is the network that has all its labels
    assert own == all_labels("unet", 0, 1)
    assert [targets[classes == 3].max() for targets in targets_of("binary_ignored")] == [-1, -1]


def test_types_that_are_new_together_share_their_extractors(pictures):
    classes = (1, 2, 3, 4, 5)
    held = [extractors_of("joint_ignored", "unet", 0, new, classes, together=2) for new in classes]
    assert [one.held for (one,) in held] == ["1+4", "2+5", "3", "1+4", "2+5"]
    assert held[0] == held[3]
    owns = [one.own for one in extractors_of("binary_ignored", "unet", 0, 4, classes, together=2)]
    assert owns == [2, 3, 5]
    (one,) = extractors_of("joint_ignored", "unet", 0, 1, (1, 2, 3), together=2)
    assert one.held == "1+3" and learnt_types(pictures, one) == [2]
    targets, shown = training_targets(pictures, (0, 1), one), pictures.classes[:2]
    assert (targets == np.select([shown == 2, shown == 0], [1, 0], -1)).all()


def test_candidates_that_no_extractor_saw_share_no_slide_with_its_pictures(config, pictures):
    both, groups = dataclasses.replace(config, candidates_from="both"), np.asarray(pictures.source.groups)
    sides = candidates_of(both, pictures, 0)
    assert sorted(sides["train"] + sides["unseen"]) == list(pictures.split(0).train)
    (one,) = extractors_of("joint_ignored", "unet", 0, 2, (1, 2, 3), "seen")
    assert learnt_from(both, pictures, one) == sides["train"]
    assert not set(groups[list(sides["train"])]) & set(groups[list(sides["unseen"])])
    assert learnt_from(both, pictures, all_labels("unet", 0, 2)) == pictures.split(0).train
    for side, own in sides.items():
        new = HeldOutType(both, pictures, 0, 2, side)
        assert len(new.support) and set(new.support) <= set(own)
    alone = dataclasses.replace(config, candidates_from="unseen")
    assert candidates_of(alone, pictures, 0) == {"unseen": sides["unseen"]}
    kinds = {way: {one.candidates for one in way.trials({"a": 2}, COUNTS)} for way in (config, both, alone)}
    assert list(kinds.values()) == [{"train"}, {"train", "unseen"}, {"unseen"}]


def test_classes_that_do_not_take_part_are_background_or_ignored(config, pictures):
    fewer = dataclasses.replace(config, types=(1, 3), others="ignored")
    ignoring = read(fewer)
    assert (ignoring.classes == np.where(pictures.classes == 2, -1, pictures.classes)).all()
    (joint,) = extractors_of("joint_background", "unet", 0, 3, (1, 3))
    targets = training_targets(ignoring, (0, 1), joint)
    assert ((targets == -1) == (pictures.classes[:2] == 2)).all()
    assert (HeldOutType(fewer, ignoring, 0, 1).targets(np.arange(2))[pictures.classes[:2] == 2] == -1).all()


def test_shots_and_queries_share_no_slide_and_every_shot_shows_the_type(config, pictures):
    for number in (1, 2, 3):
        new, groups = HeldOutType(config, pictures, 0, number), np.asarray(pictures.source.groups)
        assert not set(groups[new.support]) & set(groups[new.query])
        assert (pictures.areas[new.support, number] >= config.minimum_pixels).all()
        assert ((new.targets(new.support) == 1) == (pictures.classes[new.support] == number)).all()
        assert len(new.support) <= config.candidates and len(new.query) <= config.queries


def test_a_line_parts_touching_objects_of_a_shot(config, pictures):
    plain, lined = (
        HeldOutType(dataclasses.replace(config, delineation=way), pictures, 0, 2) for way in ("none", "line")
    )
    plain, lined = plain.targets(plain.support), lined.targets(lined.support)
    assert (lined <= plain).all() and lined.sum() < plain.sum()


def test_counts_of_features_are_those_of_the_banks(config, pictures):
    assert pictures.counts == COUNTS
    half = feature_counts(dataclasses.replace(config, maps="half"), pictures)
    assert half["unet", "joint_ignored"] == 4 + 8 + 4 + 4  # down0, down1 and up1 at half the edge, up0
    richer = ("joint_ignored_all_maps", "joint_ignored_widths", "joint_ignored_turned")
    every = feature_counts(dataclasses.replace(config, banks=richer), pictures)
    # down0, down1 (8), down2 (8), up1 and up0; a network of width 2 beside that of 4; averages add none
    assert [every["unet", bank] for bank in richer] == [4 + 8 + 8 + 4 + 4, 4 + 2, 4]
    with pytest.raises(InputError, match="feature_counts: 5 are more than the 4 of unet with the extractors joint"):
        feature_counts(dataclasses.replace(config, feature_counts=(5,)), pictures)


def test_one_group_of_trials_has_all_shots_and_features(config):
    trials = config.trials({"a": 2, "b": 3}, COUNTS)
    assert len(set(trials)) == len(trials)
    group = Trial("unet", 0, "a", "logistic", "joint_ignored", "relevance")
    assert {(trial.shots, trial.features) for trial in trials if group_of(trial) == group} == {
        (shots, features) for shots in (1, 2) for features in (1, 2)
    }
    groups = {group_of(trial) for trial in trials}
    assert len({described(group) for group in groups}) == len(groups)  # what the harness keeps together


def test_draws_that_are_not_nested_depend_on_all_numbers_of_shots(config):
    assert config.own_draws == ()
    assert smoke(config.run.out, config.source.data, nested=False).own_draws == config.shots


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"types": (9,)}, r"types: there is no class 9 in folder:.*; give numbers from 1 to 3 \(disc, square, ring\)"),
        (
            {"shots": (1, 2, 4), "minimum_pixels": 60, "types": (2, 3)},
            "types: only 0 training pictures of seed 0 show square, too few for --shots 4; give more .* or leave this",
        ),
    ],
)
def test_types_that_cannot_take_part_are_refused(config, pictures, changes, message):
    with pytest.raises(InputError, match=message):
        types_of(dataclasses.replace(config, **changes), pictures)


def test_pictures_without_types_are_refused(config):
    with pytest.raises(InputError, match="its objects have no types"):
        read_pictures(overlaid(config, {"source": {"data": "microscope:hl60?size=sixth&volumes=4&slices=2"}}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"banks": ("joint",)}, "banks: unknown 'joint'; choose from joint_ignored, joint_background, .* any of"),
        ({"banks": ("joint_ignored_turned_widths",)}, "banks: unknown 'joint_ignored_turned_widths'.* in this order"),
        ({"banks": ("joint_ignored",) * 2}, "banks: a value is given twice"),
        ({"feature_selections": ("best",)}, "feature_selections: unknown 'best'"),
        ({"feature_selections": ()}, "feature_selections: one is empty; give at least one"),
        ({"heads": ("forest",)}, "heads: unknown 'forest'"),
        ({"baselines": ("half",)}, "baselines: unknown 'half'"),
        ({"shots": (1, 1)}, "shots: 1 1 cannot be used; give whole numbers from 1 on, each only once"),
        ({"shots": (0, 2)}, "shots: 0 2 cannot be used; give whole numbers from 1 on"),
        ({"shots": (), "compare_shots": ()}, "shots: no number is given; give at least one"),
        ({"draws": 0}, "draws: 0 cannot be used; give whole numbers from 1 on"),
        ({"compare_shots": (2, 9)}, "compare_shots: 9 is not among --shots; give some of 1 2"),
        ({"candidates": 1}, "candidates: 1 are fewer than the 2 pictures of --shots; give at least 2"),
        ({"extractor_rate": 0.0}, "extractor_rate: 0.0 cannot be used; give a share above 0, at most 1"),
        ({"first_draws": 7}, "first_draws: 7 is more than --draws; give at most 3"),
        ({"types": (2,)}, "types: one class is too few.*; give at least two"),
        ({"others": "ignored", "types": ()}, "others: ignored is of no use without --types; name the classes"),
    ],
)
def test_options_that_nothing_can_be_made_of_are_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        smoke(config.run.out, config.source.data, **changes)


def test_values_over_draws_by_hand():
    # Dice of 4 draws at the best threshold: 2 tp / (2 tp + fp + fn) = 0.5, 0.8, 1 and 2/3; at zero all are 0.5
    best = OverlapCounts(*(np.array(part).reshape(4, 1, 1, 1) for part in ([1, 2, 3, 1], [1, 1, 0, 1], [1, 0, 0, 0])))
    zero = OverlapCounts(*(np.ones((4, 1, 1, 1), int) for _ in range(3)))
    rows = grid_rows(Grid(zero, best, np.zeros((4, 1, 1))), 0, 0, 2)
    of_draws = {row.picture: row.value for row in rows if row.metric == "dice_pooled"}
    assert of_draws == pytest.approx({"draw-000": 0.5, "draw-001": 0.8, "draw-002": 1.0, "draw-003": 2 / 3})
    pooled = {row.metric: row.value for row in rows if not row.picture}
    assert pooled == pytest.approx(
        {
            "dice_pooled_q25": 0.5 + 0.75 * (2 / 3 - 0.5),
            "dice_pooled_median": (2 / 3 + 0.8) / 2,
            "dice_pooled_q75": 0.8 + 0.25 * 0.2,
            "dice_first_draws": 0.65,
            "dice_zero_first_draws": 0.5,
        }
    )


def made_up(config: Config, values: dict[tuple[str, str, int], dict[str, float]], seeds: int = 5) -> Findings:
    """Findings of values by type, method and number of shots (0: all labels), the same for all test sets."""
    rows = []
    for (kind, method, shots), metrics in values.items():
        for seed in range(seeds):
            whole = Trial("unet", seed, kind, "all_labels")
            trial = few(config, COUNTS, whole, shots, method) if shots else whole
            # seeds differ, trials of one seed do not
            rows += [
                {**vars(trial), "picture": "", "metric": metric, "value": value + 0.01 * seed}
                for metric, value in metrics.items()
            ]
    frame = pd.DataFrame(rows).assign(status="ok", code="c")
    table = ResultTable.from_rows(frame, Trial, Replicates(tuple("vwxyz")))
    return Findings(config, table)


def dice(mean: float, median: float = 0.0, zero: float = 0.0) -> dict[str, float]:
    return {"dice_pooled": mean, "dice_pooled_median": median or mean, "dice_zero_first_draws": zero or mean}


def answered(config: Config, gaps: dict[str, tuple[float, ...]], seeds: int = 5, spread: float = 0.0) -> list[str]:
    """Verdict and notes where types are so far behind their .8 of all labels with 1, 2, ... shots, in Dice points.

    Args:
        spread: by how much test sets differ in the distance.
    """
    values = {(kind, "all_labels", 0): dice(0.8) for kind in gaps}
    for kind, own in gaps.items():
        values |= {(kind, "logistic", shots): dice(0.8 - gap / 100) for shots, gap in enumerate(own, 1)}
    found = made_up(config, values, seeds)
    if spread:
        frame = found.table.frame
        few_shots = frame["method"] == "logistic"
        frame.loc[few_shots, "dice_pooled_median"] += spread / 100 * (frame.loc[few_shots, "seed"] - 2)
        found = Findings(config, ResultTable(frame, Trial, Replicates(tuple("vwxyz"))))
    analysis = analyse(config, found.table)
    return [analysis.verdict, *analysis.notes]


def test_the_verdict_says_how_many_pictures_come_near_all_labels(config):
    assert answered(config, {"a": (9, 4), "b": (8, 3)}) == [
        "2 annotated pictures of a new type come within 5 Dice points of U-Net with all labels (Dice 0.785 against "
        "0.820, mean of 2 types)."
    ]
    assert answered(config, {"a": (9, 7), "b": (8, 6)})[0].startswith(
        "Not even 2 annotated pictures of a new type come"
    )
    assert answered(config, {"a": (1, 1), "b": (1, 1)}, seeds=2)[0].startswith(
        "In 2 test sets, 1 annotated picture of a new type comes within 5 Dice points"
    )


def test_a_mean_near_the_limit_decides_nothing_where_its_interval_crosses_it(config):
    gaps = {"a": (9, 4), "b": (9, 4)}
    # differences of test sets: 4 -+ 1 spread t(0.975, 4) sqrt(2.5 / 5) = 4 -+ 1.96 with a spread of 1
    assert answered(config, gaps, spread=0.5)[0].startswith("2 annotated pictures of a new type come within 5")
    assert answered(config, gaps, spread=1.0)[0].startswith(
        "It is not decided whether 2 annotated pictures of a new type come within 5 Dice points of U-Net"
    )


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        (
            {"a": (3, 1), "b": (9, 8), "c": (9, 7)},
            "1 annotated picture comes that near for a; not even 2 do for b and c.",
        ),
        ({"a": (9, 4), "b": (3, 2)}, "1 annotated picture comes that near for b; it takes 2 for a."),
    ],
)
def test_a_note_says_that_types_differ(config, gaps, said):
    assert answered(config, gaps)[1:] == [f"It depends on the type: {said}"]


def test_without_results_there_is_no_answer(config):
    table = made_up(config, {("a", "all_labels", 0): dice(0.8)}).table
    found = analyse(config, table)
    assert found.verdict == "There is no answer yet: it takes results of a few annotated pictures and of all labels."
    assert found.charts == {} and found.tables == {} and not found.notes


def test_the_main_chart_says_how_good_few_pictures_are_and_what_all_labels_reach(config):
    gaps = {"a": 5, "b": 20, "c": 10}
    values = {(kind, "all_labels", 0): dice(0.8) for kind in gaps}
    values |= {(kind, "logistic", 2): dice(0.8 - gap / 100) for kind, gap in gaps.items()}
    main, *_ = analyse(config, made_up(config, values).table).charts.values()
    assert main.title == (
        "With 2 annotated pictures, Dice is between 0.770 for a (0.820 with all labels) and 0.620 for b "
        "(0.820 with all labels)"
    )
    assert main.table["type"].tolist() == ["a", "b", "c", "mean of the types"]


def test_no_table_speaks_in_identifiers(config):
    values = {
        ("a", method, shots): dice(0.5) for method, shots in (("all_labels", 0), ("logistic", 2), ("prototype", 2))
    }
    found = analyse(config, made_up(config, values).table)
    frames = [*found.tables.values(), *(chart.table for chart in found.charts.values()), found.failures]
    words = {str(cell) for frame in frames for cell in (*frame.columns, *frame.to_numpy(object).ravel())}
    assert not {word for word in words if "_" in word} and "shots" not in words
    assert bank_words("binary_background") == "one extractor for each other type, the new type as background"


def test_galleries_show_the_worst_median_and_best_picture_and_an_annotated_one(config, pictures, tmp_path):
    context = Context(config, pictures, STUDY.trainings(config, pictures), Examples(tmp_path))
    assert gallery(context) == []
    new = HeldOutType(config, pictures, 0, 2)
    whole = Trial("unet", 0, "square", "all_labels")
    masks = np.stack([new.objects(index) > 0 for index in new.query])
    context.examples.keep(whole, {"indices": new.query, "masks": masks, "shots": new.support[:0]})
    half = masks & (np.cumsum(masks, axis=2) < 4)
    shots = {"indices": new.query, "masks": half, "shots": new.support[:2]}
    context.examples.keep(few(config, pictures.counts, whole, 2), shots)
    *_, predictions, annotated = gallery(context)
    captions = {row: [one.caption for one in looks] for row, looks in predictions.rows.items()}
    assert captions["square, all labels"] == [f"{rank}: Dice 1.00" for rank in ("worst", "median", "best")]
    assert all("Dice 0." in caption for caption in captions["square, 2 annotated pictures"])
    (looks,) = annotated.rows.values()
    assert [one.caption for one in looks] == ["square"] and annotated.steps == ("picture", "annotation")


def test_distances_to_all_labels_and_differences_by_hand(config):
    config = overlaid(config, {"source": {"data": "microscope:tissue"}})
    found = made_up(
        config,
        {
            ("a", "all_labels", 0): dice(0.78),
            ("b", "all_labels", 0): dice(0.48),  # no full supervision: not counted
            ("a", "logistic", 2): dice(0.6, median=0.58, zero=0.5),
            ("b", "logistic", 2): dice(0.4, median=0.38, zero=0.3),
            ("a", "prototype", 2): dice(0.5),
            ("b", "prototype", 2): dice(0.3),
            ("a", "last_layer", 2): dice(0.45),
            ("b", "last_layer", 2): dice(0.25),
        },
    )
    lines = type_table(found).set_index("type")
    assert lines["behind all labels, Dice points"].tolist() == [pytest.approx(20.0), pytest.approx(10.0), None]
    assert lines["behind all labels, %"].tolist() == [pytest.approx(25.0, abs=0.1), None, None]
    assert lines.index.tolist() == ["a", "b", "mean of all types"]
    ((gap,), (behind,)) = found.behind()
    assert (behind.decision.mean, behind.decision.verdict) == (pytest.approx(20.0), "ahead")  # the median draw's
    assert gap == (2, behind.decision) and [found.gap(place, 2) for place in (0, 1)] == pytest.approx([20.0, 10.0])
    (head,) = found.heads(2)
    assert head.rival == "prototype (distance)" and head.decision.mean == pytest.approx(10.0)
    # a baseline is cut at score 0 and has the first draws only, and so is the head beside it
    (baseline,) = found.against_baselines(2)
    assert baseline.metric == "Dice at score 0" and baseline.decision.mean == pytest.approx(5.0)


def test_no_mean_of_some_types_only_is_given(config):
    values = {(kind, "all_labels", 0): dice(0.8) for kind in "ab"}
    values |= {("a", "logistic", 2): {**dice(0.6), "f1": 0.5}, ("b", "logistic", 2): dice(0.4)}
    *_, mean = type_table(made_up(config, values)).to_dict("records")
    assert mean["type"].startswith("mean") and mean["median Dice"] == pytest.approx(0.52)
    assert mean["F1 of objects"] is None
    del values["b", "logistic", 2]
    assert type_table(made_up(config, values))["type"].tolist() == ["a"]


def test_a_weak_reference_is_no_full_supervision(config):
    real, config = config, overlaid(config, {"source": {"data": "microscope:tissue"}})
    values = {
        (kind, method, shots): dice(value)
        for kind, whole, few_shots in (("a", 0.8, 0.6), ("b", 0.6, 0.57))
        for method, shots, value in (("all_labels", 0, whole), ("logistic", 2, few_shots))
    }
    found = made_up(config, values)
    assert found.weak == {"b": pytest.approx(0.62)}  # seeds add 0, 0.01, ... 0.04
    # seeds: 1 - 0.6 / 0.8, ..., 1 - 0.64 / 0.84
    assert found.share_behind(2).mean == pytest.approx(np.mean([20 / (0.8 + 0.01 * seed) for seed in range(5)]))
    said = analyse(config, found.table)
    assert said.verdict.endswith("(Dice 0.620 against 0.820, a only).")
    assert said.claims[0].subject == "U-Net with all labels (a only)"
    assert said.notes == [
        "U-Net with all labels stays below Dice 0.75, the least that simulated types are calibrated to, for b (0.620) "
        "(on the test pictures): a distance to it says little."
    ]
    assert analyse(real, made_up(real, values).table).notes == said.notes
    assert made_up(real, values).weak == {}  # nobody knows whether more can be had
    better = {**values, ("b", "logistic", 2): dice(0.63)}
    assert made_up(real, better).weak == {"b": pytest.approx(0.62)}  # a few pictures reach more than all labels
    assert made_up(real, better).share_behind(2).mean == pytest.approx(found.share_behind(2).mean)
    assert "Dice is 24 % " in said.charts["dice_against_shots"].caption
    third = {("c", method, shots): value for (kind, method, shots), value in values.items() if kind == "a"}
    assert made_up(config, values | third).of_types() == "mean of all types but b"
    alone = made_up(config, {key: value for key, value in values.items() if key[0] == "b"})
    said = analyse(config, alone.table)
    assert said.verdict.startswith("There is no answer yet: U-Net with all labels is too weak")
    assert not said.claims and "%" not in said.charts["dice_against_shots"].caption


def test_where_full_supervision_found_nothing_there_is_no_share(config):
    values = {("a", "all_labels", 0): dice(0.8), ("a", "logistic", 2): dice(0.6)}
    frame = made_up(config, values).table.frame
    frame.loc[(frame["method"] == "all_labels") & (frame["seed"] == 1), "dice_pooled"] = 0.0
    found = Findings(config, ResultTable(frame, Trial, Replicates(tuple("vwxyz"))))
    others = [20 / (0.8 + 0.01 * seed) for seed in (0, 2, 3, 4)]  # seeds add 0, 0.01, ... 0.04
    assert found.share_behind(2).mean == pytest.approx(np.mean(others)) and found.share_behind(2).n == 4
    frame.loc[frame["method"] != "logistic", "dice_pooled"] = 0.0
    assert analyse(config, ResultTable(frame, Trial, Replicates(tuple("vwxyz")))).tables


def test_f1_stands_beside_another_study_in_the_mean_of_the_types(config):
    values = {(kind, "logistic", 2): {**dice(0.6), "f1": f1} for kind, f1 in (("a", 0.4), ("b", 0.6))}
    said = analyse(config, made_up(config, values).table)
    shown = said.charts["f1_against_shots"]
    assert "f1_against_shots" not in said.shown  # one number of shots: no curve for a results page
    assert shown.title == "F1 of objects is 0.520 with 2 annotated pictures"
    rows = {(row["type"], row["annotated pictures"]): row["F1 of objects"] for _, row in shown.table.iterrows()}
    assert rows[("mean of the types", 2)] == 0.52 and rows[("CellViT++ on CoNSeP", 5)] == 0.56


def test_baselines_without_results_for_a_type_say_so(config):
    found = made_up(
        config,
        {
            ("a", "logistic", 2): dice(0.6),
            ("b", "logistic", 2): dice(0.4),
            ("a", "last_layer", 2): dice(0.5),
        },
    )
    (claim,) = found.against_baselines(2)
    assert claim.rival == "last layer trained on the annotated pictures, 1 of 2 types"
    assert claim.decision.mean == pytest.approx(10.0)  # on the type for which no training collapsed
    assert claim.rival in methods_table(found)["method"].tolist()
