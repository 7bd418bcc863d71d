"""Masks that would be silently misread are problems or remarks; sound folders have neither."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from segjax.data.folders.check import inspect_folder
from segjax.data.folders.folder_options import FolderOptions

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data"
SIZE = 48


def discs(*centres, radius=6, size=SIZE):
    """Ids 1, 2, ... of discs that do not touch."""
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint8)
    for number, (row, column) in enumerate(centres, start=1):
        labels[np.hypot(y - row, x - column) <= radius] = number
    return labels


TWO, THREE = discs((12, 12), (33, 30)), discs((10, 10), (10, 36), (36, 20))


def judged(folder, images, sub="masks", **options):
    """Problems and remarks, as text, of a folder with these label images."""
    for place in ("images", sub):
        (folder / place).mkdir()
    for index, values in enumerate(images):
        picture = np.random.default_rng(index).integers(0, 200, values.shape).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"images/p{index}.png")
        Image.fromarray(values).save(folder / f"{sub}/p{index}.png")
    found = inspect_folder(folder, FolderOptions.parse(options))
    return [str(problem) for problem in found.problems], [str(remark) for remark in found.remarks]


def mask(labels, value=255):
    return np.where(labels > 0, value, 0).astype(np.uint8)


def antialiased(labels):
    """A mask drawn at four times the size and averaged."""
    large = np.kron(mask(labels), np.ones((4, 4)))
    large = np.roll(ndimage.binary_dilation(large > 0, np.ones((3, 3)), 2), 1, 1) * 255.0
    return large.reshape(SIZE, 4, SIZE, 4).mean((1, 3)).round().astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"labels": "components"}], ids=["instances", "components"])
@pytest.mark.parametrize("labels", [[TWO, THREE, discs((24, 24))], [np.zeros_like(TWO), TWO]], ids=["three", "empty"])
def test_sound_label_images(tmp_path, labels, options):
    labels = labels if not options else [mask(some) for some in labels]
    assert judged(tmp_path, labels, empty="keep", **options) == ([], [])


def test_masks_of_0_and_1_beside_masks_of_0_and_255(tmp_path):
    (problem,), _ = judged(tmp_path, [mask(TWO, 1), mask(THREE), mask(TWO.T, 1)], labels="components")
    assert problem == (
        f"{tmp_path}/masks: 1 of 3 masks have only 0 and 255 (p1), but the others have 1; 255 would mean "
        "not judged, so objects would be lost; use the same value for objects in all masks"
    )


def test_class_images_of_0_and_255_beside_others_even_where_empty_ones_are_kept(tmp_path):
    (problem,), _ = judged(tmp_path, [mask(TWO, 1), mask(THREE)], sub="classes", empty="keep")
    assert "1 of 2 masks have only 0 and 255 (p1)" in problem


def test_255_that_means_not_judged_in_other_pictures_too_is_fine(tmp_path):
    partly = np.where(TWO == 2, 255, TWO).astype(np.uint8)
    assert judged(tmp_path, [partly, mask(THREE)], labels="components") == ([], [])


def test_masks_with_few_pieces_are_not_one_object(tmp_path):
    (problem,), _ = judged(tmp_path, [mask(TWO), mask(THREE)])
    assert problem == (
        f"{tmp_path}/masks: these are masks of 0 and 255, not instances; 1 label value(s), each in 2.5 pieces per "
        "picture would be one object; give labels=components"
    )


def test_masks_of_0_and_1_with_few_pieces_may_be_ids(tmp_path):
    problems, (remark,) = judged(tmp_path, [mask(TWO, 1), mask(discs((20, 20)), 1)])
    assert not problems and "each in 1.5 pieces per picture, which count as one object; if the pieces" in remark


def test_one_piece_in_every_mask_is_the_same_object_either_way(tmp_path):
    assert judged(tmp_path, [mask(discs((20, 20))), mask(discs((24, 30)), 1)]) == ([], [])


def test_several_values_in_several_pieces_are_remarked(tmp_path):
    classes = np.where(discs((8, 8), (8, 24), (8, 40), (24, 8), (24, 24), (24, 40)) % 2, 1, 2) * (
        discs((8, 8), (8, 24), (8, 40), (24, 8), (24, 24), (24, 40)) > 0
    )
    problems, (remark,) = judged(tmp_path, [classes.astype(np.uint8)])
    assert not problems and "2 label value(s), each in 3.0 pieces" in remark


def test_inverted_masks(tmp_path):
    (problem,), _ = judged(tmp_path, [mask(TWO == 0), mask(THREE == 0), mask(THREE)[:, ::-1] // 255 * THREE[:, ::-1]])
    assert problem == (
        f"{tmp_path}/masks: one object covers most of the picture and of its border in 2 of 3 label images (p0, p1); "
        "if it is the background, set it to 0 (invert the mask); if it is an object, give labels=components"
    )


def test_inverted_masks_given_as_components_are_remarked(tmp_path):
    problems, (remark,) = judged(tmp_path, [mask(TWO == 0), mask(THREE)], labels="components")
    assert not problems and "in 1 of 2 label images (p0); if it is the background, set it to 0" in remark


def test_the_background_as_an_object_among_others(tmp_path):
    (problem,), remarks = judged(tmp_path, [TWO + np.uint8(1), THREE + np.uint8(1)])
    assert "one object covers most of the picture and of its border in 2 of 2 label images (p0, p1)" in problem
    assert not remarks


def test_label_images_without_background(tmp_path):
    tiling = (np.arange(SIZE)[:, None] // 12 * 4 + np.arange(SIZE) // 12 + 1).astype(np.uint8)
    problems, (remark,) = judged(tmp_path, [tiling, THREE])
    assert not problems and "no pixel is background (0) in 1 of 2 label images (p0); if one of the values" in remark


@pytest.mark.parametrize("options", [{}, {"labels": "components"}])
def test_nothing_but_one_object_is_nothing_to_learn(tmp_path, options):
    (problem,), _ = judged(tmp_path, [np.full((SIZE, SIZE), 255, np.uint8)] * 2, **options)
    assert "no pixel is background (0) in 2 of 2 label images (p0, p1); set the background to 0" in problem


def test_classes_everywhere_may_be_meant(tmp_path):
    cover = np.where(TWO > 0, 2, 1).astype(np.uint8)
    problems, (remark,) = judged(tmp_path, [cover, cover.T], sub="classes")
    assert not problems and "if one of the values means background, change it to 0" in remark


@pytest.mark.parametrize("soft", [antialiased, lambda labels: ndimage.gaussian_filter(mask(labels), 1.0)])
def test_smoothed_masks_are_no_ids(tmp_path, soft):
    assert len(np.unique(soft(TWO))) > 4
    problems, _ = judged(tmp_path, [soft(TWO), TWO])
    (problem,) = problems
    assert problem.startswith(f"{tmp_path}/masks/p0.png: values between 0 and ") and "set it to 0 below" in problem


def test_small_objects_beside_a_large_one_are_not_soft_borders(tmp_path):
    labels = discs((30, 30), radius=12)
    labels[labels > 0] = 90
    labels[1:10:2, 1:10:2] = np.arange(1, 26).reshape(5, 5)
    touching = discs((12, 12), radius=10)
    touching[touching > 0] = 90
    touching[11:13, 22:26], touching[22:25, 11:14] = 3, 4
    assert judged(tmp_path, [labels, touching]) == ([], [])


def test_a_mask_once_saved_as_jpeg(tmp_path):
    file = tmp_path / "mask.jpg"
    Image.fromarray(mask(THREE)).save(file, quality=40)
    problems, _ = judged(tmp_path, [np.asarray(Image.open(file))])
    assert len(problems) == 1 and "not ids of objects; export ids as 16- or 32-bit PNG or TIFF; a mask" in problems[0]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures (../shared/data beside the repository) are not here")
@pytest.mark.parametrize(
    ("name", "options", "remarks"),
    [
        ("cells_instances", {"channels": "3"}, 0),
        ("dsb2018_corrections", {"channels": "1"}, 0),
        ("dsb2018_corrections", {"channels": "1", "annotations": "labels_original"}, 0),
        ("rbc12", {"keep": "^7"}, 0),
        ("wbc_gpl", {}, 0),
        ("wbc_gpl", {"annotations": "parts", "labels": "components"}, 0),
        ("lunar_craters_gpl", {}, 0),
        ("dubai_landcover", {"keep": "^t4"}, 1),
    ],
)
def test_real_sets_have_no_problem(name, options, remarks):
    found = inspect_folder(REAL / name, FolderOptions.parse(options))
    assert not found.problems and len(found.remarks) == remarks and len(found.pictures) > 2
