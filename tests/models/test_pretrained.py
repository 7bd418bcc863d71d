"""Trained weights by name: they come as they were saved, or the refusal says why not."""

import hashlib
import json
import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import segjax.models.pretrained as pretrained
from segjax.files import Damaged
from segjax.models import card, create, save_weights
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, VERSION, UsedPicture, shipped_names, used_pictures
from segjax.training import StepConfig, make_steps
from segjax.types import InputError
from tests.weights_folder import TINY, write_weights

IMAGE = jnp.asarray(np.random.default_rng(1).random((2, 16, 16, 1)), jnp.float32)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A package whose weights are "dots", for U-Net, SegNet, MSD and the MSD classifier; the variables."""
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "shipped")
    kept = write_weights(tmp_path / "shipped" / "dots", kinds=tuple(TINY))
    write_weights(tmp_path / "shipped" / "lines", kinds=("msd",))
    return kept


def change_card(folder, **changes):
    facts = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(facts | changes))


@pytest.mark.parametrize("kind", TINY)
def test_three_lines_give_the_logits_of_the_saved_variables(kind, shelf):
    network = create(kind, pretrained="dots")
    variables = network.init(jax.random.key(3), IMAGE)
    logits = network.apply(variables, IMAGE)

    exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), shelf[kind])
    np.testing.assert_array_equal(logits, create(kind, **TINY[kind]).apply(exact, IMAGE))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    output, same = network.init_with_output(jax.random.key(4), IMAGE)
    np.testing.assert_array_equal(output, logits)
    jax.tree.map(np.testing.assert_array_equal, same, variables)


def test_help_names_all_weights_of_the_package_with_their_networks():
    told = " ".join(create.__doc__.split("There are ")[1].split(".\n")[0].split())
    groups = re.findall(r"((?:\w+(?:, | and )?)+) \(([\w, ]+)\)", told)
    found = {name: kinds for names, kinds in groups for name in re.findall(r"\w{4,}", names)}
    assert found == {name: ", ".join(card(name).networks) for name in shipped_names()}


def test_the_picture_may_be_given_by_its_name(shelf):
    network, key = create("msd", pretrained="dots"), jax.random.key(0)
    jax.tree.map(np.testing.assert_array_equal, network.init(key, image=IMAGE), network.init(key, IMAGE))


def test_pictures_of_any_size_are_taken_under_compilation_too(shelf):
    network = create("msd", pretrained="dots")
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 21, 34, 1)))
    jax.tree.map(np.testing.assert_array_equal, variables, jax.tree.map(np.float32, shelf["msd"]))


def test_a_module_of_nnx_starts_from_the_weights(shelf):
    module = nnx.bridge.ToNNX(create("msd", pretrained="dots"), rngs=nnx.Rngs(0)).lazy_init(IMAGE)
    network = create("msd", pretrained="dots")
    np.testing.assert_allclose(
        module(IMAGE), network.apply(network.init(jax.random.key(0), IMAGE), IMAGE), rtol=1e-6, atol=1e-6
    )


def test_training_starts_from_the_weights(shelf):
    state = make_steps(create("unet", pretrained="dots"), StepConfig()).init(jax.random.key(0), IMAGE)
    jax.tree.map(np.testing.assert_array_equal, state.variables, jax.tree.map(np.float32, shelf["unet"]))


def test_a_network_without_weights_is_as_before():
    plain, same = create("unet", width=2, levels=1), create("unet", pretrained=None, width=2, levels=1)
    assert plain == same and hash(plain) == hash(same) and plain != create("unet", width=3, levels=1)
    drawn = [plain.init(jax.random.key(seed), IMAGE)["params"]["head"]["kernel"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (np.asarray(drawn[0]) != np.asarray(drawn[2])).all()
    output, variables = plain.init_with_output(jax.random.key(0), IMAGE)
    np.testing.assert_array_equal(output, plain.apply(variables, IMAGE))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            partial(create, "unet", pretrained="stars"),
            r"no trained weights 'stars'; choose one of dots, lines, or give",
        ),
        (partial(card, ""), r"no trained weights ''; choose one of dots, lines"),
        (partial(create, "unet", pretrained="lines"), r"network unet: there are no weights 'lines' for it.* for msd$"),
        (
            partial(create, "unet", pretrained="dots", width=3),
            r"width=3 contradicts the weights 'dots', which have width=2",
        ),
        (partial(create, "unet", pretrained="dots", encoder="resnet18"), r"trained weights have no encoder; give one"),
        (partial(create, "msd", pretrained="dots", input_mean=0.1), r"input_mean=0.1 contradicts"),
        (partial(create, "msd", pretrained="dots", width=2), r"width=2 contradicts .* which have width=1"),
        (partial(create, "unet", pretrained="dots", wide=3), r"unknown option 'wide'"),
        (partial(create, "unet", pretrained="./nowhere"), r"\./nowhere has no card.json; give a folder that"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, said, shelf):
    with pytest.raises(InputError, match=said):
        call()


def test_options_that_the_weights_leave_open_may_be_given(shelf):
    network = create("unet", pretrained="dots", remat=True, dtype="bfloat16", width=2)
    assert (network.remat, network.dtype, network.width) == (True, "bfloat16", 2)
    assert network.init(jax.random.key(0), IMAGE).keys() == {"params", "batch_stats"}
    assert create("msd", pretrained="dots", width=1) == create("msd", pretrained="dots")


def test_weights_of_another_version_are_refused_with_both(shelf, tmp_path):
    change_card(tmp_path / "shipped" / "dots", version=VERSION + 1, segjax="0.9.3")
    said = (
        rf"dots: these weights are for version {VERSION + 1} .*segjax 0.9.3.* has version {VERSION}; install segjax 0.9"
    )
    for call in (card, partial(create, "unet")):
        with pytest.raises(InputError, match=said):
            call(pretrained="dots") if isinstance(call, partial) else call("dots")


def test_damage_is_named_with_its_file(shelf, tmp_path):
    network, path = create("unet", pretrained="dots"), tmp_path / "shipped" / "dots" / "unet.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"unet.safetensors: is damaged \(its SHA-256 is not the one on its card\)"):
        network.init(jax.random.key(0), IMAGE)
    path.unlink()
    with pytest.raises(InputError, match=r"unet.safetensors: is missing; install segjax again"):
        network.init(jax.random.key(0), IMAGE)
    (path.parent / "card.json").write_text("{}")
    with pytest.raises(InputError, match=r"card.json: is not a card of trained weights \(it lacks version\)"):
        card("dots")


def test_a_file_of_another_version_is_refused_beside_a_card_of_this_one(shelf, tmp_path):
    path = tmp_path / "shipped/dots/msd.safetensors"
    save_weights(path, {"variables": shelf["msd"]}, {"network": "msd", "version": VERSION + 1})
    networks = json.loads((path.parent / "card.json").read_text())["networks"]
    networks["msd"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    change_card(path.parent, networks=networks)
    with pytest.raises(
        InputError, match=rf"msd.safetensors: .* for version {VERSION + 1} .* this segjax has version {VERSION}"
    ):
        create("msd", pretrained="dots").init(jax.random.key(0), IMAGE)


def test_used_pictures_are_those_of_the_table(tmp_path):
    used = (UsedPicture("a", "one", LEARNT, "0" * 16), UsedPicture("b, c", "two", SCORED, "f" * 16))
    write_weights(tmp_path / "mine", kinds=("msd",), used=used)
    assert used_pictures(tmp_path / "mine") == used
    path = tmp_path / "mine/pictures.csv"
    path.write_text("picture,group\na,one\n")
    with pytest.raises(InputError, match=r"pictures.csv: is no list of pictures; install segjax again, or make it"):
        used_pictures(tmp_path / "mine")
    path.unlink()
    with pytest.raises(InputError, match=r"pictures.csv: is missing; install segjax again, or make it anew"):
        used_pictures(tmp_path / "mine")


@pytest.mark.parametrize("name", shipped_names())
def test_weights_of_the_package_name_their_pictures_and_objects(name):
    used, objects = used_pictures(name), card(name).facts["objects"]
    assert {one.side for one in used} == {LEARNT, CHOSE, SCORED}
    assert len({one.digest for one in used}) == len(used) == len({one.picture for one in used})
    sides = {}
    for one in used:
        sides.setdefault(one.group, set()).add(one.side)
    assert all(len(found) == 1 for found in sides.values())  # no group is on two sides
    assert objects["classes"] and objects["brighter"] in (True, False, None)
    assert 0 < objects["diameters"][0] <= objects["diameters"][1]


def test_a_digest_does_not_tell_what_values_were_divided_by():
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.float32)
    digest = pretrained.picture_digest(picture)
    assert len(digest) == 16 and int(digest, 16) >= 0
    for divisor in (255, picture.max(), 65535):
        assert pretrained.picture_digest(picture / np.float32(divisor)) == digest
    other = picture.copy()
    other[4, 4, 1] = 255 - other[4, 4, 1]
    changed = (other, picture[::-1], picture[:8], picture.reshape(7, 9, 3), picture[..., :1], 255 - picture)
    assert len({digest, *map(pretrained.picture_digest, changed)}) == 1 + len(changed)


def test_pictures_with_other_channels_are_refused(shelf):
    for kind in ("unet", "msd"):
        with pytest.raises(InputError, match=r"the weights 'dots' take pictures with 1 channel, not 3|msd: .*channel"):
            create(kind, pretrained="dots").init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))


class Doubled(nn.Module):
    inner: nn.Module

    @nn.compact
    def __call__(self, image):
        return 2 * self.inner(image)


def test_a_part_of_another_module_does_not_pass_for_trained(shelf):
    doubled = Doubled(create("msd", pretrained="dots"))
    with pytest.raises(InputError, match=r"as a part of a Doubled a network gets no trained weights"):
        doubled.init(jax.random.key(0), IMAGE)


def test_a_folder_of_weights_is_taken_like_a_name(shelf, tmp_path):
    kept = write_weights(tmp_path / "mine", seed=5)
    for place in (tmp_path / "mine", f"{tmp_path}/mine"):
        variables = create("unet", pretrained=place).init(jax.random.key(0), IMAGE)
        jax.tree.map(np.testing.assert_array_equal, variables, jax.tree.map(np.float32, kept["unet"]))


def test_the_card_says_everything(shelf):
    text = str(card("dots"))
    assert repr(card("dots")) == text
    assert card("dots").scale == "max"  # of a card that does not say it
    for part in (
        "dots: random numbers",
        "licence: CC0",
        'create("unet", pretrained="dots")',
        "width=2, levels=1, norm='running'",
        "1,234",
        "these weights: Dice 0.871",
        "commit: abc1234",
        'load_extractors("dots")',
        card("dots").facts["networks"]["unet"]["sha256"],
    ):
        assert part in text


def discs():
    """A dark picture with bright discs, and where they are."""
    rows, columns = np.mgrid[:128, :128]
    truth = np.zeros((128, 128), bool)
    for row, column in ((30, 30), (40, 90), (90, 40), (95, 100)):
        truth |= (rows - row) ** 2 + (columns - column) ** 2 <= 12**2
    noise = np.random.default_rng(0).normal(0, 0.02, truth.shape)
    return jnp.asarray((0.1 + 0.7 * truth + noise).clip(0, 1), jnp.float32)[None, ..., None], truth


@pytest.mark.slow
def test_nuclei_of_the_package_are_found_in_a_picture_of_discs():
    image, truth = discs()
    for kind in card("nuclei").networks:
        network = create(kind, pretrained="nuclei")
        variables = network.init(jax.random.key(0), image)
        mask = np.asarray(network.apply(variables, image)[0].argmax(-1)) > 0
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8, kind


def test_all_weights_of_the_package_are_small_and_have_card_and_licence():
    names = shipped_names()
    assert "nuclei" in names
    for name in names:
        folder = card(name).folder
        assert (folder / "LICENSE.txt").is_file()
        held = {path.name for path in folder.glob("*.safetensors")}
        networks = card(name).facts["networks"].values()
        assert held == {own["file"] for own in networks}
        assert all(any("these weights" in measured for measured in own["scores"]) for own in networks)
    assert sum(path.stat().st_size for path in pretrained.SHIPPED.rglob("*")) < 5_000_000
