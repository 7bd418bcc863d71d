"""What study 2 does as published where a protocol says so: clean pictures, validation labels, counts while learning."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.annotation_upgrade.grid import laboratory, within_budget
from experiments.annotation_upgrade.pictures import Annotations
from experiments.annotation_upgrade.study import STUDY, mixture_of
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.data import Split
from segjax.types import InputError

SLICES, VOLUMES = 90, 6  # 4 train, one validates, one tests
GROUPS = tuple(f"v{volume}" for volume in range(VOLUMES) for _ in range(SLICES))


def configured(protocol="jimaging2024", **changes):
    data = "microscope:mixed"
    config = defaults_of(STUDY, "smoke", protocol, data)
    return resolved(STUDY, overlaid(config, {"run": {"out": Path("x")}, "source": {"data": data}, **changes}))


def annotations(config, seed=0):
    """Of pictures that all show one object."""
    sides = [tuple(range(SLICES * first, SLICES * last)) for first, last in ((0, 4), (4, 5), (5, 6))]
    domain = SimpleNamespace(
        source=SimpleNamespace(groups=GROUPS),
        split=lambda seed: Split(*sides),
        labels=np.ones((len(GROUPS), 1, 1), np.int32),
        members=lambda indices: [np.arange(len(indices)).reshape(-1, SLICES)[k] for k in range(len(indices) // SLICES)],
    )
    return Annotations(config, domain, seed)


def test_clean_pictures_are_the_middles_of_equal_blocks_and_volumes_take_turns():
    drawn = annotations(configured())
    train, validation = drawn.clean(10)
    blocks = [7 + int((block + 0.5) * 75 / 8) for block in range(8)]  # of the 75 slices from the 8th on
    assert [row % SLICES for row in train] == blocks
    volumes = [row // SLICES for row in train]
    assert sorted(volumes[:4]) == [0, 1, 2, 3] and volumes[4:] == volumes[:4]
    assert [row % SLICES for row in validation] == [7 + int((block + 0.5) * 75 / 2) for block in range(2)]
    others = [annotations(configured(), seed).clean(10)[0][0] // SLICES for seed in range(6)]
    assert len(set(others)) > 1
    assert {row // SLICES for row in drawn.clean(10, volumes=1)[0]} == {volumes[0]}
    plain = annotations(configured("ours")).clean(10)[0]
    assert [row % SLICES for row in plain] != blocks


def test_more_clean_pictures_than_blocks_are_all_different_and_noisy_ones_are_the_others():
    drawn = annotations(configured())
    train, _ = drawn.clean(300)
    assert len(set(train)) == 240 and all(7 <= row % SLICES < 82 for row in train)
    noisy = drawn.noisy(300, 120)
    assert not set(noisy) & set(train) and len(set(noisy)) == 120
    with pytest.raises(InputError, match=r"noisy: 121 noisy and 240 clean pictures are more than the 360"):
        drawn.noisy(300, 121)


def test_volumes_with_too_few_pictures_give_way_to_the_fullest():
    for protocol in ("ours", "jimaging2024"):
        drawn = annotations(configured(protocol))
        drawn.order = np.concatenate([np.arange(3), 2 * SLICES + np.arange(SLICES)])  # 3 of the volume in turn
        assert {row // SLICES for row in drawn.clean(10, volumes=1)[0]} == {2}


def test_noisy_labels_validate_networks_on_mixed_labels_alone():
    config = configured(noisy=40)
    drawn = annotations(config)
    _, clean = drawn.clean(config.clean)
    for method in ("raw", "upgraded", "confident_learning"):
        chosen = drawn.noisy_validation(laboratory(config, "unet", method))
        assert len(chosen) == 10 and not set(chosen) & set(clean)
        assert {GROUPS[row] for row in chosen} == {"v4"}
    for method in ("clean", "all_clean", "predictions", "upgraded_predictions", "upgrade", "mean_teacher"):
        assert not len(drawn.noisy_validation(laboratory(config, "unet", method)))
    assert len(drawn.noisy_validation(within_budget(config, "unet", "raw", 50, 0.2))) == 10
    assert not len(annotations(configured("ours", noisy=40)).noisy_validation(laboratory(config, "unet", "raw")))
    with pytest.raises(
        InputError, match=r"noisy: 100 noisy and 1 clean .* the 90 validation .* --budgets or --region.noisy$"
    ):
        drawn.noisy_validation(laboratory(configured(noisy=400), "unet", "raw"))


def test_every_recipe_of_an_upgrade_network_is_drawn_alike():
    config = configured()
    known = config.recipe("omission=0.5", 6)
    assert {tuple(one.drawn.values()) for one in (known, *mixture_of(config, 6.0, True))} == {
        ("dataset", "picture", "down", "up")
    }
