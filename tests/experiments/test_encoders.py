"""U-Nets with encoders as networks of every study that segments."""

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from experiments.harness.options import SegmentationOptions, Sizes, deciding, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import opened
from experiments.publish import study_of
from segjax.models import create
from segjax.types import InputError

STUDIES = ("annotation_errors", "annotation_upgrade", "few_shot", "site_segmentation")
NETWORK = "unet+resnet18"
FROM_FILE = {"encoder_width": 2, "norm": "running"}


def configured(study, tmp_path, **sizes):
    known = study_of(study)
    changes = {
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


def test_repairing_networks_are_refused_weights_that_lack_a_label_channel(weights, tmp_path):
    with pytest.raises(InputError, match=r"sizes\.encoder_weights: a network that repairs labels sees them"):
        configured("annotation_upgrade", tmp_path, **FROM_FILE, encoder_weights=str(weights))


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
