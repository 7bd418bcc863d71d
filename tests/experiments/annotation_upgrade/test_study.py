"""Study 2 end to end at the smallest scale: every question, one trace per kind of step, only what is missing."""

import dataclasses
import json
import sys
from collections import Counter

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.annotation_upgrade.__main__ import main
from experiments.annotation_upgrade.grid import (
    QUESTIONS,
    REPAIRS,
    Trial,
    labels_upgraded,
    laboratory,
    train_part,
    within_budget,
)
from experiments.annotation_upgrade.pictures import (
    AnnotatedPictures,
    Annotations,
    check_sets,
    domain_with_foreign,
    labels_of,
    read,
)
from experiments.annotation_upgrade.study import STUDY, UpgradeTrainer, mixture_of
from experiments.annotation_upgrade.trainings import needs_of, training_of
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.store import Trained
from segjax.annotations import Recipe
from segjax.simulators.microscope import MicroscopeSource
from segjax.training import LoopConfig
from segjax.training import steps as steps_module
from segjax.types import InputError
from segjax.upgrade import learning
from tests.trial_files import forget

DATA = "microscope:mixed?size=sixth&volumes=8&slices=2&crop=48"
RIVALS = ("confident_learning", "mean_teacher", "generalized_cross_entropy")
TINY = [
    "--scale", "smoke", "--data", DATA, "--sizes.unet-width", "2", "--sizes.unet-levels", "1", "--train.epochs", "1",
    "--strategy", "sequential", "--rivals", *RIVALS,
]  # fmt: skip
EVERYTHING = {"questions": QUESTIONS, "repairs": REPAIRS, "rivals": RIVALS}


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_upgrade", *options])
    main()
    return capsys.readouterr().out


def counted(monkeypatch, module) -> list[int]:
    """How often a training step made in a module is traced."""
    traces: list[int] = []
    make = module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traces.append(1) or step(*arguments)

    monkeypatch.setattr(module, "pure_step", counting)
    return traces


def configured(out, scale="smoke", data="microscope:hl60", **changes):
    config = overlaid(defaults_of(STUDY, scale), {"run": {"out": out}, "source": {"data": data}, **changes})
    return resolved(STUDY, config)


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    plain, upgrading = counted(monkeypatch, steps_module), counted(monkeypatch, learning)
    out = tmp_path / "run"
    everything = [*TINY, "--questions", *QUESTIONS, "--repairs", *REPAIRS, "--out", str(out)]
    text = run(monkeypatch, capsys, *everything)
    assert "report:" in text
    # that of the study's loss and that of the rival's; every upgrade network, whatever it learns, shares one step
    assert len(plain) == 2 and len(upgrading) == 1

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    factors = [field.name for field in dataclasses.fields(Trial)]
    assert list(table.columns) == ["study", "data", *factors, "picture", "metric", "value", "status", "code"]
    trials = configured(out, data=DATA, **EVERYTHING).trials(5)
    found = {tuple(row) for row in table[factors].itertuples(index=False)}
    assert found == {dataclasses.astuple(trial) for trial in trials}
    about_labels = table["method"] == "upgrade"
    of_labels = set(table[about_labels & (table["picture"] == "")]["metric"])
    assert of_labels == {"label_dice", "upgraded_dice", "cores", "restarts"}
    networks = sum(trial.method != "upgrade" for trial in trials)
    assert (table[~about_labels]["metric"] == "dice_pooled").sum() == networks
    for metric in ("label_dice", "upgraded_dice", "dice_pooled"):
        assert table[table["metric"] == metric]["value"].astype(float).between(0, 1).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"]) and not tested & {*split["train"], *split["validation"]}
    page = (out / "report.html").read_text()
    assert "Repairing cheap annotations: simulated mixed nuclei" in page and "In 1 test set, repairing" in page
    for gallery in ("Labels before and after repair", "Test pictures segmented by U-Net"):
        assert gallery in page
    assert {path.name for path in (out / "figures").iterdir()} == {
        "does_it_pay.svg", "labels_before_and_after.svg", "clean_pictures.svg", "budgets.svg", "predictions.svg",
        "region.svg",
    }  # fmt: skip
    # networks that several trials rest on stay
    needed = Counter(need for trial in trials for need in [training_of(trial), *needs_of(training_of(trial))])
    kept = {path.name.split("_")[2] for path in (out / "networks").glob("*.safetensors")}
    assert kept == {training.method for training, uses in needed.items() if uses > 1} == {"clean", "raw", "upgrade"}

    before = (out / "results.csv").read_bytes()
    assert forget(out, ",upgrade,omission=0.5,mixture,") == 1  # its network is still there
    text = run(monkeypatch, capsys, *everything, "--resume")
    assert f"{len(trials) - 1} of {len(trials)} trials are done already; 1 to do" in text
    assert (out / "results.csv").read_bytes() == before


@pytest.mark.slow
def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--questions", "quality", "--out", str(out), "--plan")
    assert "nothing was trained" in text and "method upgrade" in text
    assert not out.exists()


@pytest.fixture
def tiny(tmp_path):
    return configured(tmp_path, data=DATA)


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    return domain_with_foreign(configured(tmp_path_factory.mktemp("o"), data=DATA))


def test_clean_and_noisy_never_overlap_and_smaller_sets_are_within_larger_ones(tiny, domain):
    annotations = Annotations(tiny, domain, 0)
    test = set(domain.split(0).test)
    groups = np.asarray(domain.source.groups)
    smaller, larger = annotations.clean(2), annotations.clean(4)
    noisy = annotations.noisy(4, 4)
    sides = [*larger, noisy]
    assert len(set(np.concatenate(sides))) == sum(map(len, sides)) and not test & set(np.concatenate(sides))
    assert set(smaller[0]) <= set(larger[0]) and set(smaller[1]) <= set(larger[1])
    assert [len(part) for part in larger] == [3, 1]
    assert not set(groups[larger[1]]) & {*groups[larger[0]], *groups[noisy]}
    # volume by volume in turn: the first pictures come from as many volumes, unless told otherwise
    assert len(set(groups[larger[0]])) == 3
    assert all(domain.labels[index].any() for index in np.concatenate([*sides, annotations.test]))
    left_out = test - set(annotations.test)
    assert not any(domain.labels[index].any() for index in left_out)
    assert len(set(groups[annotations.clean(3, volumes=1)[0]])) == 1


def test_clean_pictures_without_foreign_objects_teach_the_other_errors(tiny, domain):
    trials = tiny.trials(5)
    upgrader = next(training_of(trial) for trial in trials if trial.method == "upgrade" and "inclusion" in trial.error)
    rows, _ = Annotations(tiny, domain, 0).clean(3)
    foreign = domain.foreign.copy()
    foreign[rows] = 0
    bare = UpgradeTrainer(tiny, AnnotatedPictures(tiny, dataclasses.replace(domain, foreign=foreign)))
    with_objects = UpgradeTrainer(tiny, AnnotatedPictures(tiny, domain)).upgrade_pictures(upgrader, rows, 1)
    without = bare.upgrade_pictures(upgrader, rows, 1)
    same = jax.tree.map(lambda a, b: np.shape(a) == np.shape(b), with_objects, without)
    assert jax.tree.all(same)  # so that one compiled step serves both


class Stored:
    """Stands for networks on disk: weights drawn from the training's seed."""

    def __init__(self, trainer):
        self.trainer, self.asked = trainer, []

    def __call__(self, training):
        self.asked.append(training)
        steps, blank = (make(self.trainer.kind(training)) for make in (self.trainer.steps, self.trainer.blank))
        images = blank.images
        return Trained(steps.init(jax.random.key(training.seed), images).variables, "ok", 0, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "use"),
    [
        ("unet", "upgraded"),
        ("segnet", "upgraded_ignoring"),
        ("unet", "upgraded_weighted"),
        ("msd", "upgraded_iterated"),
    ],
)
def test_uses_of_repaired_labels_with_every_network(tiny, domain, network, use):
    trainer = UpgradeTrainer(tiny, AnnotatedPictures(tiny, domain))
    training = laboratory(tiny, network, use)
    load = Stored(trainer)
    job = trainer.job(training, load)
    assert load.asked == needs_of(training)
    assert {"label_dice", "upgraded_dice"} == set(job.facts)
    targets = job.train.targets
    if use == "upgraded_weighted":
        clean = targets.weight[: train_part(tiny.clean)]
        assert np.all(clean == 1) and 0 <= targets.weight.min() < 1
        assert set(np.unique(targets.target)) <= {0, 1}
    else:
        assert set(np.unique(targets)) <= ({0, 1} if use == "upgraded" else {-1, 0, 1})
        assert np.all(targets[: train_part(tiny.clean)] >= 0)
        # networks with random weights are sure about few pixels
        assert (use == "upgraded") or np.mean(targets < 0) > 0.2


def test_masks_are_those_of_the_seed_and_noise_of_clean_labels_is_drawn_apart(tiny, domain):
    annotations, again = Annotations(tiny, domain, 0), Annotations(tiny, domain, 0)
    error = "omission=0.5"
    masks, truth = annotations.masks(error), domain.labels > 0
    np.testing.assert_array_equal(masks, again.masks(error))
    assert np.any(masks != Annotations(tiny, domain, 1).masks(error))
    assert not np.any(masks & ~truth) and 0 < masks.sum() < truth.sum()
    imperfect = annotations.labels(error)
    assert np.any((imperfect > 0) != masks) and not np.any(imperfect[imperfect > 0] != domain.labels[imperfect > 0])
    np.testing.assert_array_equal(annotations.labels("none"), domain.labels)


def test_ids_of_a_degraded_mask():
    own = np.array([[1, 1, 0, 0, 2, 0, 0, 0]])
    foreign = np.array([[0, 0, 0, 0, 0, 0, 0, 3]])
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 1]], bool)
    # a grown pixel belongs to its nearest object; a foreign object that was included keeps its own id
    np.testing.assert_array_equal(labels_of(mask, own, foreign), [[1, 1, 1, 0, 0, 0, 0, 3]])
    assert not labels_of(np.zeros_like(mask), own, foreign).any()


def test_needs_are_trained_before_and_upgrade_networks_are_shared(tiny, domain):
    trials = tiny.trials(5)
    by_method = {trial.method: trial for trial in trials if trial.trained_total in (0, 2, 6)}  # of the laboratory
    assert [need.method for need in needs_of(by_method["upgraded_predictions"])] == ["upgrade", "clean"]
    second = dataclasses.replace(by_method["upgraded_predictions"], round=2)
    assert needs_of(second)[1] == by_method["upgraded_predictions"]
    assert needs_of(by_method["confident_learning"])[0] == by_method["raw"]
    upgraded = next(trial for trial in trials if trial.method == "upgraded" and trial.trained_total == 6)
    applied = [trial for trial in trials if trial.method == "upgrade" and training_of(trial) == needs_of(upgraded)[0]]
    assert applied, "the network that the laboratory uses is measured on labels too"
    # a mismatch uses the network that is known elsewhere
    mismatch = next(trial for trial in trials if trial.learnt == "omission=0.5")
    known = dataclasses.replace(mismatch, error="omission=0.5", learnt="known")
    assert training_of(mismatch) == training_of(known)
    assert training_of(mismatch) in {training_of(trial) for trial in trials if trial.learnt == "known"}
    trainer = UpgradeTrainer(tiny, AnnotatedPictures(tiny, domain))
    assert len({trainer.kind(training_of(trial)) for trial in trials}) == 5


def test_the_extent_of_a_training_is_that_of_its_pictures(tiny, domain):
    trainer = UpgradeTrainer(tiny, AnnotatedPictures(tiny, domain))
    for trial in tiny.trials(5):
        training = training_of(trial)
        if not needs_of(training):
            job = trainer.job(training, load=lambda need: pytest.fail("nothing is needed"))
            assert trainer.extent(training) == (len(job.train.images), len(job.validation.images))


@pytest.mark.parametrize(
    ("loop", "epochs"),
    [
        (LoopConfig(epochs=24, batch_size=4), 8),
        (LoopConfig(epochs=1000, batch_size=4, stop="plateau", patience=10), 10),  # the shortest training has 11
        (LoopConfig(epochs=2, batch_size=4), 0),
    ],
)
def test_a_mean_teacher_counts_fully_before_its_training_can_end(tiny, domain, loop, epochs):
    config = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, loop=loop))
    trainer = UpgradeTrainer(config, AnnotatedPictures(config, domain))
    training = training_of(laboratory(config, "unet", "mean_teacher"))
    steps_of_an_epoch = -(-len(trainer.job(training, load=None).train.images) // 4)
    assert trainer.kind(training) == f"unet-mean_teacher-{max(1, epochs * steps_of_an_epoch)}"
    assert trainer.steps(trainer.kind(training)).train


def test_counts_of_pictures(tiny):
    assert [train_part(count) for count in (2, 3, 5, 10, 40)] == [1, 2, 4, 8, 32]
    paid = [within_budget(tiny, "unet", "raw", 50, share) for share in (0.0, 0.1, 0.3)]
    assert [trial.trained_clean for trial in paid] == [0, 5, 15]
    assert all(trial.trained_clean <= train_part(trial.clean_pictures) for trial in paid)
    assert within_budget(tiny, "unet", "raw", 10, 0.25).trained_clean == 3  # rounded up, as published


def test_mixture_holds_every_combination(tiny):
    recipes = mixture_of(tiny, 6.0, has_foreign=True)
    # three rates and none, twice; outlines of up to 1 and 2 pixels, and none
    assert len(recipes) == 4 * 4 * 3
    assert Recipe(omission=0.5, inclusion=0.75, bias=2, scope=tiny.annotations.scope) in recipes
    assert len(mixture_of(tiny, 6.0, has_foreign=False)) == 4 * 3


def test_draws_of_an_upgrade_network_stay_those_of_published_runs(tiny, domain, monkeypatch):
    texts = []
    monkeypatch.setattr("experiments.annotation_upgrade.study.stable_number", lambda text: texts.append(text) or 0)
    training = training_of(labels_upgraded(tiny, "unet", volumes=1))
    UpgradeTrainer(tiny, AnnotatedPictures(tiny, domain)).upgrade_pictures(training, np.arange(2), 1)
    assert texts == [f"unet_0_upgrade_{tiny.error}_known_3_1_none_0_0_0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": "omission"}, "error: 'omission' in 'omission' is not ERROR=STRENGTH"),
        ({"error": "omision=0.5"}, "error: 'omision' .* is unknown"),
        ({"error": "omission=0.5+omission=0.7"}, "given twice"),
        ({"errors": ("omission=1.5",)}, "errors: omission .* must be a rate"),
        ({"clean_errors": ("bias=-2",)}, "clean_errors: bias .* must be a number above 0"),
        ({"errors": ("bias=6", "bias=6")}, "errors: a value is given twice"),
        ({"questions": ("money",)}, "questions: unknown 'money'"),
        ({"rivals": ("luck",)}, "rivals: unknown 'luck'"),
        ({"clean": 1}, "clean: 1 is too few; give at least 2"),
        ({"clean_counts": (5, 1)}, "clean_counts: 1 is too few"),
        ({"noisy": 0}, "noisy must be at least 1"),
        ({"clean_shares": (1.0,)}, "clean_shares: 1 must be at least 0 and below 1"),
        ({"budgets": (0,)}, "budgets must be at least 1"),
        ({"segmentation": {"networks": ("vnet",)}}, "networks: unknown"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        overlaid(tiny, change).resolved()


def test_the_error_may_be_a_recipe_in_a_file(tiny, tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(Recipe(omission=0.1, jitter=2, merge=0.3, scope="object").to_json())
    config = overlaid(tiny, {"error": str(file)}).resolved()
    assert config.error == "omission=0.1+jitter=2"
    assert {trial.error for trial in config.trials(4)} >= {config.error}


def test_a_mean_teacher_cannot_have_running_averages(tiny):
    sizes = dataclasses.replace(tiny.segmentation.sizes, norm="running")
    with pytest.raises(InputError, match=r"sizes.norm: mean_teacher does not work"):
        overlaid(tiny, {"segmentation": {"sizes": sizes}}).resolved()
    overlaid(tiny, {"segmentation": {"sizes": sizes}, "rivals": ("confident_learning",)}).resolved()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"clean": 40, "questions": ("rivals",)},
            "clean_counts: 40 clean pictures need .*lower --clean, --clean-counts, --compare-at or --region.clean$",
        ),
        (
            {"noisy": 400, "questions": ("rivals",)},
            "noisy: 400 noisy and .* lower --noisy, --budgets or --region.noisy$",
        ),
    ],
)
def test_what_is_refused_once_pictures_are_known(tiny, domain, change, message):
    with pytest.raises(InputError, match=message):
        check_sets(AnnotatedPictures(overlaid(tiny, change).resolved(), domain))


def test_an_error_that_cannot_be_drawn_is_refused_before_a_picture_is_read(tiny, monkeypatch):
    monkeypatch.setattr(MicroscopeSource, "__getitem__", lambda self, index: pytest.fail("read"))
    config = overlaid(tiny, {"errors": ("bias=4",), "questions": ("quality",)}).resolved()
    with pytest.raises(InputError, match=r"errors: bias 4 is 0.67 pixels"):
        domain_with_foreign(config)


def test_inclusion_needs_foreign_objects(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    for number in range(4):
        picture = np.zeros((32, 32), np.uint8)
        picture[8:16, 8 : 14 + number] = 1
        Image.fromarray(picture * 200).save(tmp_path / "mine" / "images" / f"{number}.png")
        Image.fromarray(picture).save(tmp_path / "mine" / "labels" / f"{number}.png")
    config = configured(tmp_path, data=f"folder:{tmp_path / 'mine'}")
    with pytest.raises(InputError, match=r"error: .* includes foreign objects, but"):
        domain_with_foreign(config)
    without = {"error": "omission=0.5", "errors": (), "clean_errors": ()}
    assert len(domain_with_foreign(overlaid(config, without)).images) == 4


@pytest.mark.slow
@pytest.mark.parametrize("scale", [scale for scale in STUDY.scales if scale != "paper"])
def test_what_a_scale_sets_can_be_drawn_from_its_pictures(scale, tmp_path):
    one = {"source": {"replicates": 1}, "questions": QUESTIONS}  # the other replicates are like it
    assert read(overlaid(configured(tmp_path, scale), one)).groups


@pytest.mark.parametrize("scale", STUDY.scales)
def test_errors_of_places_can_be_drawn_at_every_scale(scale, tmp_path):
    config = configured(tmp_path, scale, questions=("region",))
    coarsening = 1.0 if scale == "paper" else 6.0
    assert all(config.recipe(error, coarsening, "region.errors") for error in config.region.errors)


@pytest.mark.parametrize("question", ["pays", "rivals", "region"])
@pytest.mark.parametrize("first", REPAIRS)
def test_whatever_use_of_repaired_labels_comes_first_is_trained(tmp_path, first, question):
    config = configured(tmp_path, questions=(question,), repairs=(first,))
    trials = config.trials(5)
    assert {first, "clean", "raw", "all_clean"} <= {trial.method for trial in trials}
    if question == "pays":
        assert laboratory(config, "unet", first) in trials
        budgets = [trial for trial in trials if trial.trained_total != train_part(config.clean) + config.noisy]
        assert not {trial.method for trial in budgets} & {*REPAIRS} - {"upgraded"}


@pytest.mark.parametrize("scale", STUDY.scales)
def test_every_scale_has_each_trial_once_for_every_seed(scale, tmp_path):
    config = configured(tmp_path, scale)
    trials = config.trials(20)
    assert len(set(trials)) == len(trials)
    assert set(Counter(trial.seed for trial in trials).values()) == {len(trials) // config.run.seeds}
