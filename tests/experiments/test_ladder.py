"""The ladder in the harness and in the studies, and the strip of one picture."""

import io
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.annotation_errors.analysis import analyse
from experiments.annotation_errors.grid import Trial as ErrorTrial
from experiments.annotation_upgrade.analysis import methods_compared
from experiments.annotation_upgrade.grid import CLEAN, RAW, laboratory
from experiments.few_shot.findings import Findings
from experiments.few_shot.grid import few, whole_of
from experiments.few_shot.trials import Trial as FewTrial
from experiments.harness.ladder import fitted, fitted_to_job, strip_example, strip_gallery
from experiments.harness.ladder_options import RUNGS
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import ready
from experiments.harness.store import Job
from experiments.ladder import StripOptions, draw
from experiments.publish import study_of
from experiments.site_segmentation.analysis import networks_table
from experiments.site_segmentation.grid import OUTLINES
from experiments.site_segmentation.grid import Trial as SiteTrial
from segjax.classical import LADDER
from segjax.data import open_source
from segjax.sweeps import Replicates, ResultTable
from segjax.training import Pictures
from segjax.types import InputError

HL60 = "microscope:hl60?size=sixth&volumes=4&slices=2&crop=48"


def discs(count: int) -> Pictures:
    """Bright discs on a dark, noisy ground."""
    rows, columns = np.mgrid[:32, :32]
    masks = np.stack([np.hypot(rows - 12 - number, columns - 16) < 6 for number in range(count)])
    noise = np.random.default_rng(0).normal(0, 0.02, masks.shape)
    return Pictures((0.2 + 0.5 * masks + noise)[..., None].astype(np.float32), masks.astype(np.int32))


def test_options_name_the_rungs_that_there_are():
    assert tuple(LADDER) == RUNGS


def test_a_job_gives_every_annotated_picture_once():
    pictures = discs(4)
    rows = [0, 1, 2, 0, 1, 2, 0]  # an epoch lists pictures several times
    job = Job(*(Pictures(pictures.images[side], pictures.targets[side]) for side in (rows, [3, 0])))
    for name in ("otsu", "forest"):
        own, again = fitted_to_job(name, 1, job), fitted(name, 1, pictures)
        np.testing.assert_array_equal(own.probability(pictures.images), again.probability(pictures.images))
    found = again.probability(pictures.images)
    assert (found >= 0).all() and (found <= 1).all()
    np.testing.assert_array_equal(found > 0.5, again.masks(pictures.images))


def test_the_strip_of_a_page_has_rungs_first_and_the_same_picture():
    pictures = discs(5)
    truth = pictures.targets > 0
    truth[2, :5] = False
    kept = {
        "unet": strip_example(np.arange(10, 15), truth, truth),
        "otsu": strip_example(np.arange(10, 15), ~truth, truth),
    }
    assert kept["unet"]["strip_index"] == kept["otsu"]["strip_index"]
    images, labels = (np.concatenate([np.zeros((10, *one.shape[1:]), one.dtype), one]) for one in pictures)
    gallery = strip_gallery({**kept, "forest": None}, images, labels)
    assert [look.caption for look in gallery.rows[""]] == ["Otsu's threshold: Dice 0.00", "U-Net: Dice 1.00"]
    assert strip_gallery({"unet": kept["unet"], "otsu": {"indices": np.arange(1)}}, images, labels) is None


ERRORS = {"source": {"data": HL60}, "errors": ("omission",), "levels": (0.5,)}
UPGRADE = {
    "source": {"data": "microscope:hl60?size=sixth&volumes=8&slices=2&crop=48"},
    "questions": ("rivals",),
    "error": "omission=0.5",
    "clean_errors": (),
}
SITES = {
    "source": {"data": "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=3&without=1", "folds": 4},
    "baselines": ("otsu", "forest"),
}
TYPES = {
    "source": {"data": "microscope:tissue?size=quarter&volumes=4&slices=3&crop=48"},
    "types": (1, 2),
    "baselines": ("otsu", "forest"),
}
GROUP = {"classical": {"baselines": ("otsu", "forest")}}
STUDIES = {
    "annotation_errors": (ERRORS | GROUP, 4),  # two rungs on clean and on noisy labels
    "annotation_upgrade": (UPGRADE | GROUP, 4),  # on clean labels, and on clean and noisy ones
    "few_shot": (TYPES, 4),  # two types
    "site_segmentation": (SITES, 4),  # from one outline and from all
}


def rungs_of(trials) -> list:
    return [one for one in trials if {"otsu", "forest"} & {one.network, getattr(one, "method", "")}]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_measures_rungs_like_its_networks(name, tmp_path):
    study, (changes, count) = study_of(name), STUDIES[name]
    own = {"run": {"out": tmp_path, "seeds": 1}, "segmentation": {"networks": ("msd",)}}
    config = resolved(study, overlaid(defaults_of(study, "smoke"), {**changes, **own}))
    context, trials = ready(study, config, study.read(config))
    rungs = rungs_of(trials)
    assert len(rungs) == count and all(study.needs(context, trial) == [] for trial in rungs)
    for trial in rungs:
        outcome, again = study.measure(context, trial), study.measure(context, trial)
        values = {(row.metric, row.picture): row.value for row in outcome.rows}
        pooled = [value for (metric, _), value in values.items() if metric == "dice_pooled"]
        assert outcome.status == "ok" and pooled and all(0 <= value <= 1 for value in pooled), trial
        assert [(row.metric, row.value) for row in outcome.rows if row.value == row.value] == [
            (row.metric, row.value) for row in again.rows if row.value == row.value
        ]
        if name in ("annotation_errors", "annotation_upgrade"):
            is_noisy = trial.error != "none"
            assert (values.get(("label_dice", ""), 1.0) < 1) == is_noisy


@pytest.mark.parametrize("name", ["annotation_errors", "annotation_upgrade"])
def test_unknown_rungs_are_refused(name, tmp_path):
    study = study_of(name)
    changes = {"run": {"out": tmp_path}, "classical": {"baselines": ("canny",)}}
    with pytest.raises(InputError, match="baselines: unknown 'canny'"):
        resolved(study, overlaid(defaults_of(study, "smoke"), changes))


def test_rungs_need_a_question_of_study_2_that_they_answer(tmp_path):
    study = study_of("annotation_upgrade")
    changes = {"run": {"out": tmp_path}, "questions": ("quality",), "classical": {"baselines": ("otsu",)}}
    with pytest.raises(InputError, match="baselines: they answer the questions rivals and pays"):
        resolved(study, overlaid(defaults_of(study, "smoke"), changes))


def table_of(kind, values, metrics=("dice_pooled",)) -> ResultTable:
    """Five test sets; `values` are Dice by trial."""
    lines = []
    for trial, dice in values.items():
        for seed, metric in product(range(5), metrics):
            row = {**vars(trial), "seed": seed, "picture": "", "metric": metric, "value": dice + seed / 100}
            lines.append({**row, "status": "ok", "code": "x", "study": "s", "data": "d"})
    replicates = Replicates(tuple(f"set-{seed}" for seed in range(5)), 0.0)
    return ResultTable.from_rows(pd.DataFrame(lines), kind, replicates, 1.0)


def config_of(name, tmp_path, **changes):
    study = study_of(name)
    return resolved(study, overlaid(defaults_of(study, "smoke"), {"run": {"out": tmp_path}, **changes}))


def test_study_1_compares_each_network_with_rungs_on_the_same_labels(tmp_path):
    config = config_of("annotation_errors", tmp_path)
    noisy = {"error": "omission", "level": 0.5}
    values = {ErrorTrial("msd", 0): 0.8, ErrorTrial("msd", 0, **noisy): 0.6}
    values |= {ErrorTrial("forest", 0): 0.3, ErrorTrial("forest", 0, **noisy): 0.65}
    found = analyse(config, table_of(ErrorTrial, values))
    differences = {(claim.subject, claim.rival): round(claim.decision.mean, 1) for claim in found.claims}
    assert differences["MSD with clean labels", "random forest with clean labels"] == 50.0
    noisy_names = ("MSD with 50 % omitted cells", "random forest with 50 % omitted cells")
    assert differences[noisy_names] == -5.0
    assert "forest" not in found.verdict and "forest" not in " ".join(found.notes)
    assert ("MSD with clean labels", "random forest with clean labels") in {(c.subject, c.rival) for c in found.main}


def test_study_2_compares_repaired_labels_with_rungs(tmp_path):
    config = config_of("annotation_upgrade", tmp_path, classical={"baselines": ("forest",)})
    network = config.segmentation.networks[0]
    trials = {laboratory(config, network, config.repairs[0]): 0.7, laboratory(config, "forest", CLEAN): 0.5}
    trials |= {laboratory(config, "forest", RAW): 0.75}
    claims = {
        claim.rival: claim for claim in methods_compared(config, table_of(type(next(iter(trials))), trials), network)
    }
    clean, noisy = config.clean, config.noisy
    assert claims[f"{clean} clean pictures only, random forest"].decision.verdict == "ahead"
    assert claims[f"{clean} clean + {noisy} noisy pictures, random forest"].decision.verdict == "behind"


def test_study_3_cuts_the_head_at_its_threshold_beside_rungs(tmp_path):
    config = config_of("few_shot", tmp_path, baselines=("forest",), types=(1, 2))
    whole = whole_of(config, config.segmentation.networks[0], 0, "disc")
    counts = {(whole.network, config.banks[0]): 4}
    values = {few(config, counts, whole, 2): 0.6, few(config, counts, whole, 2, "forest"): 0.5}
    metrics = ("dice_pooled", "dice_first_draws", "dice_zero_first_draws")
    claims = Findings(config, table_of(FewTrial, values, metrics)).against_baselines(2)
    assert [(claim.rival, claim.metric, round(claim.decision.mean)) for claim in claims] == [
        ("random forest", "Dice, first draws", 10)
    ]


def test_study_4b_lists_rungs_beside_its_networks(tmp_path):
    config = config_of("site_segmentation", tmp_path, baselines=("points", "forest"))
    values = {SiteTrial("unet", 0, OUTLINES): 0.8, SiteTrial("forest", 0, OUTLINES): 0.4}
    values |= {SiteTrial("forest", 0, OUTLINES, outlines=1): 0.2}
    shown = networks_table(config, table_of(SiteTrial, values), ["unet"])
    assert shown["network"].tolist() == ["U-Net", "random forest", "random forest"]
    assert shown["trained on"].tolist() == ["all outlines", "1 outline", "all outlines"]
    assert shown["name for --learnt"].tolist() == ["outlines", "-", "-"]


# ---- the strip


def test_the_strip_is_a_picture_with_its_dice(tmp_path):
    source = open_source(HL60)
    options = StripOptions(HL60, source.names[0], tmp_path / "strip.png", ("otsu", "watershed"), annotated=2)
    found = draw(options)
    assert list(found) == ["otsu", "watershed"] and all(0.5 < value < 1 for value in found.values())
    assert min(Image.open(io.BytesIO((tmp_path / "strip.png").read_bytes())).size) > 150
    alone = StripOptions(HL60, source.names[0], tmp_path / "alone.png", ("otsu",), annotated=0)
    assert draw(alone)["otsu"] > 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"picture": "nobody"}, "has no 'nobody'; name one of its own: volume-00"),
        ({"annotated": 50}, "annotated: 6 pictures of other groups than volume-00 show an object"),
        ({"annotated": 0, "baselines": ("forest",)}, "a forest learns from annotated pictures"),
        ({"out": "strip.jpg"}, "strip.jpg is no PNG file"),
        ({"baselines": ()}, "baselines: none is given"),
        ({"baselines": ("canny",)}, "baselines: unknown 'canny'"),
        ({"target": 9}, "target: class 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, said, tmp_path):
    given = {"picture": open_source(HL60).names[0], "out": tmp_path / "strip.png", "baselines": ("otsu",), **changes}
    with pytest.raises(InputError) as refused:
        draw(StripOptions(data=HL60, **{**given, "out": Path(given["out"])}))
    assert said in str(refused.value)
    assert not (tmp_path / "strip.png").exists()
