"""Strengths and lists in words."""

import pytest

from segjax.reports import words


@pytest.mark.parametrize(
    ("error", "level", "alone", "with_thing"),
    [
        ("omission", 0.3, "30 %", "30 % omitted cells"),
        ("inclusion", 0.0, "0 %", "0 % wrongly included objects"),
        ("omission", 0.0, "clean", "clean labels"),
        ("none", 0.0, "clean", "clean labels"),
        ("bias", 4.0, "up to 4 px", "outline errors of up to 4 px"),
        ("polygon", 6.0, "6 corners", "polygon outlines of 6 corners"),
        ("markov", 60.0, "60 steps", "outlines with Markov noise of 60 steps"),
        ("omission=0.3+bias=4", 1.0, "strength 1", "30 % omitted cells and outline errors of up to 4 px"),
        ("smear", 1.5, "strength 1.5", "smear of strength 1.5"),
    ],
)
def test_strengths_in_words(error, level, alone, with_thing):
    assert words.amount(error, level) == alone
    assert words.amount_of(error, level) == with_thing


def test_percent_has_no_rounding_noise():
    assert [words.shown_level("omission", rate) for rate in (0.07, 0.29, 0.57, 0.7)] == [7, 29, 57, 70]


def test_severity_runs_to_fewer_corners_but_more_pixels():
    assert words.by_severity("polygon", [4, 12, 0, 6, 6]) == [0, 12, 6, 4]
    assert words.by_severity("bias", [6, 0, 2]) == [0, 2, 6]


def test_study_order_then_unknown_errors():
    assert words.in_order({"zoom", "bias", "none", "omission", "blur"}) == ["omission", "bias", "blur", "zoom"]


def test_pixels_are_those_of_the_pictures():
    assert words.amount_of("bias", 6.0, 4.0) == "outline errors of up to 1.5 px"
    assert words.amount("shift", 2.0, 6.0) == "0.333 px"
    assert words.shown_level("jitter", 8, 4.0) == 2


def test_strengths_that_are_no_pixels_do_not_depend_on_pixels():
    assert words.amount("omission", 0.3, 4.0) == words.amount("omission", 0.3) == "30 %"
    assert words.amount("polygon", 6.0, 4.0) == "6 corners"
    assert words.amount("bias", 0.0, 4.0) == "clean"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("microscope:hl60?size=quarter&volumes=30", "simulated HL60 nuclei"),
        ("microscope:granulocytes", "simulated granulocyte nuclei"),
        ("microscope:mixed?seed=3", "simulated mixed nuclei"),
        ("folder:/data/my pictures/?tile=256", "pictures in my pictures"),
        ("folder:.", "pictures in ."),
        ("tfds:nuclei/2.0.1?dir=/data", "nuclei/2.0.1 (tfds)"),
        ("terrain:mounds?pixels=64", "simulated satellite pictures with mounds"),
    ],
)
def test_data_in_plain_words(spec, name):
    assert words.data_name(spec) == name


def test_lists():
    assert [words.joined(part) for part in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_networks_are_called_as_papers_call_them():
    assert [words.network_name(name) for name in ("resnet18", "unet", "other")] == ["ResNet-18", "U-Net", "other"]
    assert words.network_name("vgg16+seam") == "VGG16 with SEAM term"
    assert words.network_name("unet+resnet18") == "U-Net on ResNet-18"
