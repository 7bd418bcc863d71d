"""The looks of the answers about noisy labels."""

from experiments.harness.noisy_labels import LOOKS


def test_every_look_differs_without_colours():
    marks = [(look.get("hatch"), look.get("linestyle"), look["facecolor"] != "none") for look in LOOKS.values()]
    assert len(set(marks)) == len(marks)
