"""U-Nets with encoders as networks of every study that segments."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from experiments.annotation_upgrade.analysis import _cautions
from experiments.few_shot import study as few_shot_study
from experiments.few_shot.study import baseline_steps, needs, network_for
from experiments.few_shot.trials import group_of
from experiments.harness.options import SegmentationOptions, Sizes, deciding, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import opened
from experiments.publish import study_of
from segjax.fewshot import Extractor
from segjax.models import create
from segjax.types import InputError

STUDIES = ("annotation_errors", "annotation_upgrade", "annotation_budget", "few_shot", "site_segmentation")
NETWORK = "unet+resnet18"
FROM_FILE = {"encoder_width": 2, "norm": "running"}


def configured(study, tmp_path, **sizes):
    known = study_of(study)
    own = (
        {"rivals": ("confident_learning",)} if study == "annotation_upgrade" else {}
    )  # a mean teacher needs batch norm
    changes = {
        **own,
        "run": {"out": tmp_path},
        "segmentation": {"networks": (NETWORK,), "sizes": {"encoder_width": 8, **sizes}},
    }
    return known, resolved(known, overlaid(defaults_of(known, "smoke"), changes))


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_every_study_that_segments_takes_them(study, tmp_path):
    known, config = configured(study, tmp_path)
    context, trials = opened(known, config)
    trainer = context.store.trainer
    kinds = (trainer.kind(training) for trial in trials for training in known.needs(context, trial))
    kind = next(kind for kind in kinds if kind.startswith(NETWORK))
    state = jax.eval_shape(trainer.make_steps(kind).init, jax.random.key(0), trainer.blank(kind).images)
    assert state.params["encoder"]["conv1"]["kernel"].shape[-1] == 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of torchvision's ResNet-18 of width 2 with one number throughout."""
    body = create("unet", encoder="resnet18", width=2).body()
    shapes = jax.eval_shape(body.init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    names = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    arrays = {}
    for place, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        *modules, last = [key.key for key in place][1:]
        shape = tuple(leaf.shape[axis] for axis in (3, 2, 0, 1)) if last == "kernel" else (leaf.size,)
        arrays[f"{body.torchvision_name(tuple(modules))}.{names[last]}"] = np.full(shape, 0.5, np.float32)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(arrays, path)
    return path


@pytest.mark.slow
def test_encoders_of_a_study_start_from_the_file_that_is_given(weights, tmp_path):
    known, config = configured("annotation_errors", tmp_path, **FROM_FILE, encoder_weights=str(weights))
    context, _ = opened(known, config)
    steps = context.store.trainer.make_steps(NETWORK)
    params = steps.init(jax.random.key(0), context.store.trainer.blank(NETWORK).images).params
    assert (np.asarray(params["encoder"]["layer1"]["block0"]["conv1"]["kernel"]) == 0.5).all()


def test_what_came_later_counts_only_where_it_is_used_and_a_file_by_its_content(weights, tmp_path):
    def facts(**sizes):
        return deciding(configured("annotation_errors", tmp_path, **sizes)[1])["sizes"]

    assert not {"encoder_width", "encoder_weights"} & set(facts(encoder_width=64))
    assert facts()["encoder_width"] == 8
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    first, second = (facts(**FROM_FILE, encoder_weights=str(path)) for path in (weights, copy))
    assert first == second and first != facts(**FROM_FILE)
    save_file({name: value + 1 for name, value in load_file(weights).items()}, copy)
    assert facts(**FROM_FILE, encoder_weights=str(copy)) != first


@pytest.mark.slow
def test_networks_that_repair_labels_start_from_random_weights(weights, tmp_path):
    """They see the noisy mask as a further channel, for which the file has no numbers."""
    known, config = configured("annotation_upgrade", tmp_path, **FROM_FILE, encoder_weights=str(weights))
    context, _ = opened(known, config)
    trainer = context.store.trainer
    first = {}
    for method in ("segmentation", "upgrade"):
        kind = f"{NETWORK}-{method}"
        params = trainer.make_steps(kind).init(jax.random.key(0), trainer.blank(kind).images).params
        first[method] = np.asarray(params["encoder"]["conv1"]["kernel"])
    assert len(np.unique(first["segmentation"])) == 1 and len(np.unique(first["upgrade"])) > 1
    assert first["upgrade"].shape[2] == first["segmentation"].shape[2] + 1
    assert "Networks that repair labels start from random" in _cautions(config, 1.0)[-1]


@pytest.mark.slow
def test_a_baseline_from_scratch_starts_from_the_file_that_is_given(weights, tmp_path):
    """Also where the extractor was read from disk, which does not keep the file."""
    known, config = configured("few_shot", tmp_path, **FROM_FILE, encoder_weights=str(weights))
    config = overlaid(config, {"banks": ("joint_ignored",), "baselines": ("from_scratch",), "feature_counts": (1,)})
    context, trials = opened(known, config)
    trial = next(one for one in trials if one.method == "from_scratch")
    (training,) = needs(context, trial)
    trainer = context.store.trainer
    blank = trainer.blank(trainer.kind(training)).images
    network = network_for(config, context.data, trainer.kind(training)).clone(encoder_weights=None)
    extractor = Extractor(network, jax.jit(network.init)(jax.random.key(0), jnp.asarray(blank[:1])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_shot_study, "bank_of", lambda context, group: SimpleNamespace(extractors=[extractor]))
        state = baseline_steps(context, group_of(trial)).init(jax.random.key(1), blank)
    kernel = np.asarray(state.params["encoder"]["layer1"]["block0"]["conv1"]["kernel"])
    assert (kernel == 0.5).all()


@pytest.mark.parametrize(
    ("networks", "sizes", "said"),
    [
        (("unet+resnet101",), {}, r"networks: unknown 'unet\+resnet101'.*unet\+resnet18"),
        (("segnet+resnet18",), {}, "networks: unknown"),
        (("unet",), {"norm": "running"}, "encoder_weights: none of the networks has an encoder; add one"),
        ((NETWORK,), {"encoder_width": 2}, "encoder_weights of resnet18 are for norm='running', not 'batch'"),
        (
            (NETWORK,),
            {"norm": "running"},
            r"resnet18\.safetensors: bn1\.running_mean has the shape \(2,\).*use the width",
        ),
        (("unet+resnet34",), {"norm": "running", "encoder_width": 2}, r"has no layer1\.2.* of another network"),
    ],
)
def test_what_cannot_be_is_refused(networks, sizes, said, weights):
    options = SegmentationOptions(networks, sizes=Sizes(encoder_weights=str(weights), **sizes))
    with pytest.raises(InputError, match=said):
        options.check()


def test_a_file_that_is_missing_is_refused_before_anything_is_read(tmp_path):
    sizes = Sizes(encoder_weights=str(tmp_path / "none.safetensors"), norm="running")
    with pytest.raises(InputError, match=r"none\.safetensors.*cannot be read"):
        SegmentationOptions((NETWORK,), sizes=sizes).check()
