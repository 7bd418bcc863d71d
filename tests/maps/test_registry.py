"""Maps by name: the same as the functions behind them, compiled once, and refused with the remedy."""

import dataclasses
import doctest
from functools import partial
from itertools import product

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import (
    MAPS,
    ClassDifference,
    ClassProbability,
    ClassScore,
    RegionScore,
    create_map,
    layer_shapes,
    registry,
    upsample,
)
from segjax.maps.blackbox import occlusion, rise
from segjax.maps.cam import (
    cam,
    eigen_cam,
    elementwise_cam,
    finer_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    shapley_cam,
    x_grad_cam,
)
from segjax.maps.channels import ablation_cam, score_cam
from segjax.maps.contour import blur_of, contour_cam
from segjax.maps.factors import deep_feature_factorisation, kpca_cam
from segjax.maps.fusion import layer_cam_fusion, poly_cam, refine_cam, zoom_cam
from segjax.maps.gradients import full_grad, guided_backprop, integrated_gradients, smooth_grad
from segjax.maps.registry import reason_without
from segjax.maps.targets import FinerScore, ResidualSoftmax
from segjax.models import CLASSIFIERS, Probe, create
from segjax.models.probe import MapLayers, Named
from segjax.types import InputError

TARGET, KEY, BLURS = ClassDifference(1, 0), jax.random.key(3), np.array([1.5, 2.5], np.float32)
LITTLE = {
    "rise": {"masks": 5},
    "occlusion": {"patch": 4},
    "smooth_grad": {"samples": 2},
    "integrated_gradients": {"steps": 3},
    "finer_cam": {"references": 1, "strength": 1.0},
    "kpca_cam": {"fitted": 12},
    "deep_feature_factorisation": {"concepts": 2},
}
TINY = {
    "vgg16": {"width": 1, "norm": "running", "head": "average"},
    "resnet18": {"width": 1},
    "resnet34": {"width": 1},
    "resnet50": {"width": 1},
    "msd_classifier": {"depth": 2},
    "unet_classifier": {"width": 1, "levels": 3},
}
TWO = ("first", "maps")
DIRECT = {
    "contour_cam": lambda blurs, *g: contour_cam(*g, TARGET, TWO, blurs=list(blurs)),
    "cam": lambda blurs, *g: cam(*g, TARGET, "maps"),
    "grad_cam": lambda blurs, *g: grad_cam(*g, TARGET, "first"),
    "grad_cam_plus_plus": lambda blurs, *g: grad_cam_plus_plus(*g, TARGET, "first"),
    "x_grad_cam": lambda blurs, *g: x_grad_cam(*g, TARGET, "first"),
    "hires_cam": lambda blurs, *g: hires_cam(*g, TARGET, "first"),
    "elementwise_cam": lambda blurs, *g: elementwise_cam(*g, TARGET, "first"),
    "layer_cam": lambda blurs, *g: layer_cam(*g, TARGET, "first"),
    "finer_cam": lambda blurs, *g: finer_cam(*g, ClassScore(1), "first", 1, 1.0),
    "shapley_cam": lambda blurs, *g: shapley_cam(*g, ResidualSoftmax(1), "maps"),
    "eigen_cam": lambda blurs, *g: eigen_cam(*g, TARGET, "first"),
    "kpca_cam": lambda blurs, *g: kpca_cam(*g, TARGET, "first", fitted=12),
    "deep_feature_factorisation": lambda blurs, *g: deep_feature_factorisation(*g, TARGET, "first", concepts=2),
    "score_cam": lambda blurs, *g: score_cam(*g, TARGET, "first"),
    "ablation_cam": lambda blurs, *g: ablation_cam(*g, TARGET, "first"),
    "layer_cam_fusion": lambda blurs, *g: layer_cam_fusion(*g, TARGET, TWO),
    "zoom_cam": lambda blurs, *g: zoom_cam(*g, TARGET, TWO),
    "refine_cam": lambda blurs, *g: refine_cam(*g, TARGET, TWO),
    "poly_cam": lambda blurs, *g: poly_cam(*g, ClassProbability(1), TWO),
    "full_grad": lambda blurs, *g: full_grad(*g, TARGET),
    "guided_backprop": lambda blurs, *g: guided_backprop(*g, TARGET),
    "smooth_grad": lambda blurs, *g: smooth_grad(KEY, *g, TARGET, samples=2),
    "integrated_gradients": lambda blurs, *g: integrated_gradients(*g, TARGET, steps=3),
    "occlusion": lambda blurs, *g: occlusion(*g, TARGET, patch=4, stride=2),
    "rise": lambda blurs, *g: rise(KEY, *g, TARGET, masks=5),
}


def layers_for(name):
    """Those of the tiny network of conftest; second derivatives begin after its convolutions."""
    deep = "maps" if name == "shapley_cam" else "first"
    layers = {"evidence": TWO, "fused": TWO, "deep": deep, "pooled": "maps"}
    return {"layers": layers[MAPS[name].layers]} if MAPS[name].layers != "none" else {}


def made(name, **options):
    return create(name, **TINY[name] | options)


def drawn(network, side):
    """Variables from NumPy: `init` takes long to compile."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, side, side, 1)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: (0.1 + 0.3 * rng.random(leaf.shape)).astype(np.float32), shapes)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_by_name_is_its_function_in_batches_compiled_once(tiny, name, monkeypatch):
    apply, variables, _, _ = tiny
    chex.clear_trace_counter()
    once = dataclasses.replace(MAPS[name], make=chex.assert_max_traces(MAPS[name].make, n=1))
    monkeypatch.setitem(MAPS, name, once)
    explain = create_map(name, apply.network, **layers_for(name), **LITTLE.get(name, {}))
    images = np.random.default_rng(1).standard_normal((19, 8, 6, 2)).astype(np.float32)
    found = explain(variables, images, MAPS[name].target, key=KEY, blurs=BLURS)
    assert found.shape == (19, 8, 6) and found.dtype == np.float32
    direct = partial(jax.jit(lambda b, v, x: upsample(DIRECT[name](b, apply, v, x), 8, 6)), BLURS)
    np.testing.assert_array_equal(found[8:16], direct(variables, images[8:16]))
    np.testing.assert_array_equal(found[16:], direct(variables, images[[16, 17, 18, 18, 18, 18, 18, 18]])[:3])
    np.testing.assert_array_equal(explain(variables, images, MAPS[name].target, key=KEY, blurs=BLURS), found)


@pytest.mark.parametrize("name", MAPS)
def test_classifiers_know_layers_and_target_of_every_map(name):
    images = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    network = made("msd_classifier")
    explain = create_map(name, network, **LITTLE.get(name, {}))
    found = explain(drawn(network, 32), images, key=KEY)
    assert found.shape == (2, 32, 32) and np.isfinite(found).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classifier", "name"),
    [
        ("vgg16", "cam"),
        ("resnet18", "layer_cam_fusion"),
        ("unet_classifier", "contour_cam"),
        *product(("vgg16", "resnet18", "unet_classifier"), ("shapley_cam", "kpca_cam", "deep_feature_factorisation")),
    ],
)
def test_maps_of_each_layout_of_layers_are_finite(classifier, name):
    images = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    network = made(classifier)
    found = create_map(name, network)(drawn(network, 64), images)
    assert found.shape == (1, 64, 64) and np.isfinite(found).all() and np.ptp(found) > 0


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_layers_of_classifiers_exist_and_run_from_shallow_to_deep(classifier):
    network, image = made(classifier), jnp.zeros((1, 64, 64, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    layers = network.map_layers
    shapes = layer_shapes(
        Probe(network), variables, image, [layers.deep, layers.pooled, *layers.fused, *layers.evidence]
    )
    fused = [shapes[name].shape[1] for name in layers.fused]
    assert fused == sorted(set(fused), reverse=True)
    *shallow, last = layers.evidence
    edges = [shapes[name].shape[1] for name in shallow]
    assert edges == sorted(set(edges), reverse=True) and (not edges or edges[0] == 16)
    assert last in ("maps", "layer4")
    assert len(edges) == {"msd_classifier": 0, "vgg16": 2, "unet_classifier": 2}.get(classifier, 3)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_map_is_possible_or_refused(classifier, name):
    network = made(classifier)
    assert reason_without(name, network) is None
    known = getattr(network.map_layers, MAPS[name].layers, ())
    assert create_map(name, network).layers == ((known,) if isinstance(known, str) else known)


@pytest.mark.parametrize(
    ("classifier", "options", "missing"),
    [
        ("vgg16", {"head": "hidden"}, {"cam"}),
        ("vgg16", {"head": "hidden", "norm": "group"}, {"cam", "full_grad"}),
        ("resnet50", {"norm": "group"}, {"full_grad"}),
        ("unet_classifier", {"norm": "group"}, {"full_grad"}),
    ],
)
def test_maps_that_a_network_cannot_have_are_refused_with_the_remedy(classifier, options, missing):
    network = made(classifier, **options)
    assert {name for name in MAPS if reason_without(name, network) is not None} == missing
    for name in missing:
        with pytest.raises(InputError, match=rf"map {name}: .* needs a .*; create the network with (norm|head)="):
            create_map(name, network)


def test_cost_in_forward_passes_by_hand():
    network, image = made("unet_classifier", width=4), jnp.zeros((1, 64, 64, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    expected = {
        "contour_cam": 3,
        "grad_cam": 3,
        "score_cam": 4,  # channels of the last level up
        "ablation_cam": 2,
        "poly_cam": 2 * (4 + 8 + 16 + 16),  # the lowest level does not double any more
        "eigen_cam": 1,
        "shapley_cam": 9,
        "smooth_grad": 3 * 32,
        "integrated_gradients": 3 * 64,
        "occlusion": 8 * 8,
        "rise": 4000,
    }
    assert {name: create_map(name, network).cost(variables, image) for name in expected} == expected
    assert create_map("rise", network, masks=7).cost(variables, image) == 7


@pytest.mark.parametrize("name", ["rise", "smooth_grad"])
def test_maps_that_draw_need_a_key_and_repeat_it_to_the_bit(tiny, name):
    apply, variables, image, _ = tiny
    explain = create_map(name, apply.network, **LITTLE[name])
    with pytest.raises(InputError, match=r"key: .* needs random numbers; give key=jax\.random\.key\(0\)"):
        explain(variables, image, TARGET)
    first, again, other = (explain(variables, image, TARGET, key=jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_only_maps_that_draw_depend_on_the_key():
    assert {name for name, kind in MAPS.items() if kind.draws} == {"rise", "smooth_grad"}


@pytest.mark.slow
def test_blurs_are_measured_on_the_first_batch_unless_given(tiny):
    apply, variables, _, _ = tiny
    images = np.random.default_rng(2).standard_normal((11, 8, 6, 2)).astype(np.float32)
    explain = create_map("contour_cam", apply.network, layers=TWO)
    blurs = explain.blurs(variables, images, TARGET)
    expected = [blur_of(apply, variables, jnp.asarray(images[:8]), TARGET, layer) for layer in TWO]
    np.testing.assert_allclose(blurs, expected, rtol=1e-5)
    found = explain(variables, images, TARGET)
    np.testing.assert_array_equal(found, explain(variables, images, TARGET, blurs=blurs))
    assert np.abs(found - explain(variables, images, TARGET, blurs=blurs + 3)).max() > 1e-4
    with pytest.raises(InputError, match="blurs: give one for each of first, maps, not 1"):
        explain(variables, images, TARGET, blurs=blurs[:1])
    with pytest.raises(InputError, match=r"blurs: CAM takes none, only Contour-CAM does"):
        create_map("cam", apply.network, layers="maps").blurs(variables, images, TARGET)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gradcam", {}, "map: unknown 'gradcam'; choose one of contour_cam, cam, grad_cam"),
        ("rise", {"mask": 3}, "map rise: unknown option 'mask'; its options are masks, layers"),
        ("cam", {"masks": 3}, "map cam: unknown option 'masks'; its options are layers"),
        (
            "cam",
            {"target": TARGET},
            r"map cam: the target goes .* create_map\('cam', network\)\(variables, images, target",
        ),
        ("finer_cam", {"strength": 1.5}, "map finer_cam: strength must be a number from 0 to 1, not 1.5"),
        ("finer_cam", {"strength": True}, "map finer_cam: strength must be a number from 0 to 1, not True"),
        ("rise", {"masks": 0}, "map rise: masks must be a whole number from 1 on, not 0"),
        ("occlusion", {"patch": 1}, "map occlusion: patch must be a whole number from 2 on, not 1"),
        ("smooth_grad", {"samples": True}, "map smooth_grad: samples must be a whole number from 1 on, not True"),
        ("rise", {"layers": "maps"}, "layers: rise takes none; leave them out"),
        ("grad_cam", {"layers": ("layer1", "layer2")}, "layers: grad_cam needs one layer, not 2"),
        ("zoom_cam", {"layers": ()}, "layers: zoom_cam needs one or more layers, not 0"),
    ],
)
def test_unknown_names_options_and_values_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        create_map(name, made("resnet18"), **options)


def test_other_networks_need_layers_and_a_target(tiny):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match="layers: the layers of Tiny for grad_cam are unknown; name them"):
        create_map("grad_cam", apply.network)
    explain = create_map("grad_cam", apply.network, layers="first")
    with pytest.raises(InputError, match="target: Tiny is not a classifier of segjax with two classes; say what"):
        explain(variables, image)
    with pytest.raises(InputError, match=r"target: give ClassScore\(1\), say, or another function .*, not 1$"):
        explain(variables, image, 1)
    with pytest.raises(InputError, match="images: give at least one picture"):
        explain(variables, image[:0], TARGET)
    three = create_map("grad_cam", made("resnet18", classes=3))
    assert three.layers == ("maps",)
    with pytest.raises(InputError, match="target: ResNet18 is not a classifier of segjax with two classes"):
        three({}, image)
    with pytest.raises(InputError, match="layer 'second' does not exist; choose one of: conv0"):
        create_map("grad_cam", apply.network, layers="second")(variables, image, TARGET)


def test_one_explainer_serves_several_targets(tiny):
    apply, variables, image, _ = tiny
    explain = create_map("cam", apply.network, layers="maps")
    first, second, both = (explain(variables, image, one) for one in (ClassScore(0), ClassScore(1), TARGET))
    np.testing.assert_allclose(second - first, both, rtol=1e-4, atol=1e-5)
    assert np.abs(first - second).max() > 0.1


class Several(nn.Module):
    """A classifier that gives its logits with something else, in a tuple or a dict."""

    kind: str
    classes: int = 2
    map_layers = MapLayers(deep="maps", fused=("maps",), evidence=("maps",))

    @nn.compact
    def __call__(self, image):
        maps = nn.relu(nn.Conv(3, (3, 3), (2, 2), name="maps")(image))
        pool = Named(name="pool")(maps.mean((1, 2)))
        logits = nn.Dense(2, name="head")(pool)
        return {"dict": {"logits": logits, "pool": pool}, "tuple": (logits, pool), "array": logits}[self.kind]


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_of_a_network_that_returns_several_arrays_the_target_takes_the_logits(name, kind):
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    variables = Several("array").init(jax.random.key(1), images)
    options, target, place = LITTLE.get(name, {}), MAPS[name].target, {"tuple": 0, "dict": "logits"}[kind]
    explained, chosen = create_map(name, Several(kind), **options), lambda output: target(output[place])
    if name not in ("eigen_cam", "kpca_cam"):  # which look at no logits
        with pytest.raises(InputError, match=f"network: it returns a {kind}, not one array of logits; let the target"):
            explained(variables, images, key=KEY)
    if name == "finer_cam":  # which has to know the class
        with pytest.raises(InputError, match=r"make grad_cam with target=.* segjax\.maps\.targets\.FinerScore\(1\)"):
            explained(variables, images, chosen)
        explained, target = create_map("grad_cam", Several(kind)), FinerScore(1, **options)
    expected = create_map(name, Several("array"), **options)(variables, images, key=KEY)
    np.testing.assert_allclose(explained(variables, images, chosen, key=KEY), expected, rtol=1e-5, atol=1e-6)


def test_a_region_of_a_network_that_segments():
    network, images = create("unet", width=1, levels=1), np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    region = jnp.zeros((16, 16)).at[4:8, 4:8].set(1)
    found = create_map("grad_cam", network, layers="down1")(drawn(network, 16), images, RegionScore(1, region))
    assert found.shape == (2, 16, 16) and np.ptp(found) > 0


@pytest.mark.slow
def test_the_example_in_the_documentation():
    found = doctest.testmod(registry)
    assert found.attempted > 5 and found.failed == 0
