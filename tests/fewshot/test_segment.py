"""A new type from a few pictures, end to end, with extractors that were never trained; saved, loaded, refused."""

import dataclasses
import os

import jax
import numpy as np
import pytest

from segjax.evaluation import f1, overlaps
from segjax.fewshot import (
    FeatureBank,
    NewType,
    Objects,
    fit_new_type,
    load_extractors,
    save_extractors,
    segment_new_type,
)
from segjax.fewshot.files import kept_extractors
from segjax.fewshot.linear import Logistic, Ridge, SoftDice
from segjax.fewshot.prototypes import CosinePrototype
from segjax.fewshot.segment import Reading, Shot
from segjax.fewshot.streaming import fit_streamed
from segjax.fewshot.targets import type_target
from segjax.models import load_weights, save_weights
from segjax.models.pretrained import VERSION
from segjax.types import InputError


def dishes(count: int, seed: int, side: int = 32) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures with bright and dark discs; the bright ones are of the type. Sizes differ."""
    generator = np.random.default_rng(seed)
    images, masks = [], []
    for number in range(count):
        height, width = side + 4 * (number % 2), side
        rows, columns = np.mgrid[:height, :width]
        image, labels = np.full((height, width), 0.5), np.zeros((height, width), np.int32)
        for index, (row, column) in enumerate([(8, 8), (8, 20), (22, 9), (23, 22)]):
            bright = index < 2 or generator.random() < 0.5
            disc = (rows - row - generator.integers(-1, 2)) ** 2 + (columns - column) ** 2 <= 18
            image[disc] = 0.9 if bright else 0.1
            labels[disc & bright] = index + 1
        images.append((image + 0.03 * generator.normal(size=image.shape)).astype(np.float32)[..., None])
        masks.append(labels)
    return images, masks


@pytest.fixture(scope="module")
def shots():
    return dishes(2, 0)


@pytest.fixture(scope="module")
def bank(tiny, shots):
    return FeatureBank.standardised([tiny("msd", 0)], shots[0])


@pytest.mark.parametrize("delineation", ["line", "border", "none"])
def test_a_type_is_segmented_from_two_pictures(delineation, tiny, shots):
    query, truth = dishes(2, 1)
    found = segment_new_type([tiny("msd", 0)], *shots, query, objects=Objects(delineation, minimum_area=10))
    for labels, expected in zip(found, truth, strict=True):
        shared = ((labels > 0) & (expected > 0)).sum()
        assert 2 * shared / ((labels > 0).sum() + (expected > 0).sum()) > 0.9
        assert f1(overlaps(labels, expected)) > 0.75


@pytest.mark.parametrize("head", [Logistic(balanced=True, tolerance=1e-7), Ridge(), CosinePrototype()])
def test_what_does_not_fit_in_memory_is_fitted_pass_by_pass(head, bank, shots):
    images, masks = shots
    targets = [type_target(mask, "line") for mask in masks]
    streamed = fit_streamed(head, bank, images, targets)
    held = fit_new_type(bank, images, masks, head).params
    score = np.asarray(head.predict(streamed, bank.features(images[0])))
    np.testing.assert_allclose(score, head.predict(held, bank.features(images[0])), rtol=0.05, atol=0.1)
    little = fit_new_type(bank, images, masks, head, Objects(most_bytes=1))
    np.testing.assert_array_equal(np.asarray(head.predict(little.params, bank.features(images[0]))), score)


def test_a_head_that_needs_everything_at_once_says_so(bank, shots):
    with pytest.raises(InputError, match="soft_dice needs the features of all shots at once"):
        fit_new_type(bank, *shots, SoftDice(), Objects(most_bytes=1))


def test_a_saved_type_belongs_to_its_extractors(tmp_path, tiny, bank, shots):
    learnt = fit_new_type(bank, *shots, Ridge(0.01), Objects("border", "watershed", 3))
    learnt.save(tmp_path / "type.safetensors")
    save_extractors(tmp_path / "extractors", bank.extractors)
    again = FeatureBank(load_extractors(tmp_path / "extractors"))
    assert again.digest == bank.digest
    loaded = NewType.load(tmp_path / "type.safetensors", again)
    assert (loaded.head, loaded.objects) == (learnt.head, learnt.objects)
    image = dishes(1, 3)[0][0]
    np.testing.assert_array_equal(loaded.segment(again, image), learnt.segment(bank, image))
    other = FeatureBank.standardised([tiny("msd", 1)], shots[0])
    uses = {"extractors": lambda: learnt.segment(other, image)}
    uses["type.safetensors"] = lambda: NewType.load(tmp_path / "type.safetensors", other)
    for name, use in uses.items():
        said = f"{name}: .* {bank.digest}, not of {other.digest}; the extractors have changed since, or are others"
        with pytest.raises(InputError, match=said):
            use()


def test_a_saved_type_knows_how_pictures_are_read(tmp_path, bank, shots):
    learnt = fit_new_type(bank, *shots, Ridge())
    assert learnt.reading == Reading("max", 0)
    path, reading = tmp_path / "type.safetensors", Reading("dtype", 1)
    dataclasses.replace(learnt, reading=reading).save(path)
    assert NewType.load(path, bank).reading == reading
    for make in (lambda: Reading("min"), lambda: Reading(channels=2)):
        with pytest.raises(InputError):
            make()


def test_files_of_another_version_of_the_networks_are_refused_with_both(tmp_path, tiny, bank, shots):
    fit_new_type(bank, *shots, Ridge()).save(tmp_path / "type.safetensors")
    save_extractors(tmp_path / "kept", [tiny("msd", 0)])
    reads = {
        "type": lambda path: NewType.load(path, bank),
        "kept/extractor-0": lambda path: load_extractors(path.parent),
    }
    for name, read in reads.items():
        path = tmp_path / f"{name}.safetensors"
        variables, facts = load_weights(path)
        assert facts.pop("version") == VERSION == 1
        save_weights(path, variables, facts)
        read(path)  # files of earlier versions of segjax say none
        save_weights(path, variables, facts | {"version": VERSION + 1})
        said = (
            rf"{path.name}: these weights are for version {VERSION + 1} of the networks, .* has version {VERSION}; make"
        )
        with pytest.raises(InputError, match=said):
            read(path)


@pytest.mark.parametrize("name", ["unet", "segnet", "msd"])
def test_extractors_come_back_with_their_digest(name, tmp_path, tiny):
    extractor = tiny(name, 0)
    save_extractors(tmp_path, [extractor])
    (loaded,) = load_extractors(tmp_path)
    assert loaded.digest == extractor.digest and loaded.network == extractor.network
    assert jax.tree.structure(loaded.variables) == jax.tree.structure(extractor.variables)
    save_extractors(tmp_path, [extractor])
    for others in ([tiny(name, 1)], [extractor, extractor]):
        with pytest.raises(InputError, match="other extractors"):
            save_extractors(tmp_path, others)


@pytest.mark.parametrize(
    "harm", [lambda content: b"", lambda content: content[:-9], lambda content: content[:-1] + b"!"]
)
def test_a_damaged_bank_is_set_aside_and_made_again(harm, tmp_path, extractors):
    folder = tmp_path / "bank"

    def kept():
        made.append(1)
        return extractors

    made: list[int] = []
    for _ in range(2):
        assert [one.digest for one in kept_extractors(folder, 2, kept)] == [one.digest for one in extractors]
    path = folder / "extractor-1.safetensors"
    content = harm(path.read_bytes())
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"extractor-1.safetensors cannot be read .*kept as {folder}.damaged;"):
        again = kept_extractors(folder, 2, kept)
    assert [one.digest for one in again] == [one.digest for one in extractors] and len(made) == 2
    assert (tmp_path / "bank.damaged" / path.name).read_bytes() == content
    path.unlink()
    with pytest.warns(UserWarning, match=r"bank: holds 1 of 2 extractors; .*kept as .*bank\.damaged-2;"):
        assert len(kept_extractors(folder, 2, kept)) == 2


@pytest.mark.parametrize("writes", range(3))
def test_a_stop_while_a_bank_is_written_leaves_nothing_of_it(writes, tmp_path, extractors, monkeypatch):
    sync, left = os.fsync, [writes]

    def killed(descriptor):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        kept_extractors(tmp_path / "bank", 2, lambda: extractors)
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())
    assert len(kept_extractors(tmp_path / "bank", 2, lambda: extractors)) == 2


def test_damaged_files_are_refused(tmp_path, tiny, bank):
    with pytest.raises(InputError, match="has no file"):
        load_extractors(tmp_path)
    save_extractors(tmp_path, [tiny("msd", 0)])
    path = tmp_path / "extractor-0.safetensors"
    with pytest.raises(InputError, match="is not a saved type: it lacks head, threshold, objects, bank, reading"):
        NewType.load(path, bank)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"extractor-0\.safetensors cannot be read"):
        load_extractors(tmp_path)
    with pytest.raises(InputError, match=r"missing\.safetensors cannot be read"):
        NewType.load(tmp_path / "missing.safetensors", bank)
    save_weights(path, {"params": {"bias": np.zeros(1)}})
    with pytest.raises(InputError, match="is not an extractor: it lacks network, options, layers"):
        load_extractors(tmp_path)


def test_shots_that_cannot_teach_are_refused(bank, shots):
    images, masks = shots
    cases = [
        ([], [], "no annotated picture"),
        (images, masks[:1], "there are 1 for 2"),
        (images, masks[::-1], "has the shape"),
        (images, [masks[0], 0 * masks[1]], "shot 1 does not show the type"),
        (images, [masks[0], 0 * masks[1] - 1], "all pixels of shot 1 are ignored"),
        (images, [0 * mask + 1 for mask in masks], "background"),
        ([images[0], np.repeat(images[1], 3, 2)], masks, r"number 1 has the shape .*\[H, W, 1\]"),
        ([images[0], images[1] * np.float32(np.nan)], masks, "images: number 1 holds NaN"),
    ]
    for given, annotated, message in cases:
        with pytest.raises(InputError, match=message):
            fit_new_type(bank, given, annotated)
    with pytest.raises(InputError, match="query: number 1 holds NaN or infinite"):
        segment_new_type(bank.extractors, images, masks, [images[0], images[1] + np.float32(np.inf)])
    with pytest.raises(InputError, match="delineation"):
        Objects("snakes")
    with pytest.raises(InputError, match="minimum_area"):
        Objects(minimum_area=0)


def test_the_facts_about_shots_are_kept_and_not_missed_in_older_files(tmp_path, bank, shots):
    facts = (Shot("a", "g", 0.5, 0.1, 3, 4.25), Shot("b", "h", 0.25, 0.2, 7, 3.5, 1, 0.75, 0.5, 0.875))
    learnt = dataclasses.replace(fit_new_type(bank, *shots, Ridge()), shots=facts)
    path = tmp_path / "type.safetensors"
    learnt.save(path)
    assert NewType.load(path, bank).shots == facts
    saved, known = load_weights(path, is_ours=True)
    save_weights(path, saved, {name: value for name, value in known.items() if name != "shots"})
    assert NewType.load(path, bank).shots == ()


def test_the_confidence_is_the_mean_probability_of_the_marked_pixels(bank, shots):
    image = dishes(1, 3)[0][0]
    learnt = fit_new_type(bank, *shots, objects=Objects("border", threshold="zero", minimum_area=10))
    labels, confidence = learnt.find(bank, image)
    probability = 1 / (1 + np.exp(-learnt.scores(bank, image).astype(np.float64)))
    assert confidence == pytest.approx(probability[labels > 0].mean()) and 0.5 < confidence < 1
    np.testing.assert_array_equal(labels, learnt.segment(bank, image))
    assert dataclasses.replace(learnt, threshold=1e6).find(bank, image).confidence is None
    assert fit_new_type(bank, *shots, Ridge()).find(bank, image).confidence is None
