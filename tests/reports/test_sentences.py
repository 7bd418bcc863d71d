"""Sentences from hand-made tables, their numbers checked by hand."""

import re

import pytest

from segjax.reports.sentences import answers, question

CLEAN = [0.950, 0.960, 0.955, 0.945, 0.965]


def less(points, spread=(0, 0, 0, 0, 0)):
    """Five seeds that lose that many points each, plus their own spread."""
    return [value - (points + more) / 100 for value, more in zip(CLEAN, spread, strict=True)]


def about(sentences, *parts):
    found = [sentence for sentence in sentences if all(part in sentence for part in parts)]
    assert len(found) == 1, (parts, sentences)
    return found[0]


def test_the_headline_sentence(make_table):
    # Losses at 30 %: 0.4 -+ 0.2: mean 0.4, s = 0.158114, half width 2.776445 * s / sqrt(5) = 0.196324
    table = make_table(
        ("msd", "none", 0, CLEAN),
        ("msd", "omission", 0.1, less(0.1)),
        ("msd", "omission", 0.3, less(0.4, (-0.2, -0.1, 0, 0.1, 0.2))),
        ("msd", "omission", 0.5, less(3.0)),
        ("msd", "omission", 0.7, less(8.0)),
    )
    assert about(answers(table), "cost MSD") == (
        "Up to 30 % omitted cells cost MSD less than one Dice point (0.4 points, 95 % interval 0.2 to 0.6, 5 seeds); "
        "up to 50 % less than five points (3.0 points, 95 % interval 3.0 to 3.0, 5 seeds); "
        "70 % cost 8.0 points, 95 % interval 8.0 to 8.0, 5 seeds."
    )


def test_an_interval_beyond_the_limit_is_said(make_table):
    table = make_table(("msd", "none", 0, CLEAN), ("msd", "bias", 2, less(0.8, (-2, -1, 0, 1, 2))))
    # s = 1.581139, half width 1.963243
    assert about(answers(table), "cost MSD") == (
        "Outline errors of up to 2 px cost MSD less than one Dice point "
        "(0.8 points, 95 % interval -1.2 to 2.8, 5 seeds; the interval reaches beyond 1)."
    )


def test_the_mildest_strength_may_already_cost(make_table):
    table = make_table(
        ("unet", "none", 0, CLEAN), ("unet", "omission", 0.1, less(2)), ("unet", "omission", 0.3, less(20))
    )
    assert about(answers(table), "cost U-Net") == (
        "Already 10 % omitted cells cost U-Net 2.0 points, 95 % interval 2.0 to 2.0, 5 seeds; "
        "30 % cost 20.0 points, 95 % interval 20.0 to 20.0, 5 seeds."
    )


def test_a_strength_without_result_ends_what_is_called_bearable(make_table):
    table = make_table(
        ("msd", "none", 0, CLEAN),
        ("msd", "omission", 0.1, less(0.1)),
        ("msd", "omission", 0.3, [None] * 5),
        ("msd", "omission", 0.5, less(0.2)),
    )
    sentences = answers(table)
    assert about(sentences, "cost MSD").startswith("Up to 10 % omitted cells cost MSD less than one Dice point")
    assert about(sentences, "Nothing can be said") == (
        "Nothing can be said about MSD at 30 % omitted cells: no run there gave a result."
    )


def test_one_seed_never_claims_more_than_chance(make_table):
    table = make_table(
        ("unet", "none", 0, [0.9]),
        ("msd", "none", 0, [0.9]),
        ("unet", "omission", 0.7, [0.4]),
        ("msd", "omission", 0.7, [0.895]),
    )
    sentences = answers(table)
    assert about(sentences, "cost MSD").endswith("(0.5 points, 1 seed).")
    assert "U-Net 0.900 (1 seed)" in about(sentences, "Trained on clean labels")
    assert sentences[1] == "With 1 seed no interval can be given; run with --seeds 5 or more."
    best = about(
        sentences, "At the strongest error tried, 70 % omitted cells, MSD has the highest mean Dice, 0.895 (1 seed)"
    )
    assert "49.5 points above U-Net (1 seed, too few to tell it from chance)" in best


def test_missing_intervals_are_explained_once(make_table):
    few = (("unet", "none", 0, [0.9, 0.8]), ("unet", "omission", 0.3, [0.7, 0.8]), ("unet", "bias", 4, [0.6]))
    sentences = answers(make_table(*few))
    assert about(sentences, "no interval") == "With 2 seeds no interval can be given; run with --seeds 5 or more."
    assert not any("95 %" in sentence for sentence in sentences)
    mixed = answers(make_table(*few[:2], ("unet", "inclusion", 0, CLEAN), ("unet", "inclusion", 0.5, less(2))))
    assert about(mixed, "no interval") == (
        "Where only one or two seeds have a result no interval can be given; run with --seeds 5 or more."
    )
    whole = answers(make_table(("unet", "none", 0, CLEAN), ("unet", "bias", 2, less(2))))
    assert not any("no interval" in sentence for sentence in whole)


def test_coarser_pixels_are_told_from_published_ones(make_table):
    table = make_table(
        ("msd", "none", 0, CLEAN), ("msd", "omission", 0.3, less(2)), ("msd", "bias", 4, less(2)),
        ("msd", "bias", 8, [None] * 5), ("unet", "none", 0, CLEAN), ("unet", "bias", 8, less(3)),
    )  # fmt: skip
    text = " ".join([question(table, 4.0), *answers(table, 4.0)])
    assert "outline errors (up to 4 and 8 published px)" in text
    assert "Already outline errors of up to 4 published px cost MSD" in text
    assert text.count("px") == text.count("published px") == 5
    assert "published" not in " ".join([question(table), *answers(table)])


def two_networks(make_table, lead):
    """MSD above U-Net by so many points, one number per seed, at 70 % omission."""
    base = [0.4 + 0.01 * seed for seed in range(len(lead))]
    table = make_table(
        ("unet", "omission", 0.7, base),
        ("msd", "omission", 0.7, [b + p / 100 for b, p in zip(base, lead, strict=True)]),
    )
    return about(answers(table), "At the strongest error tried")


@pytest.mark.parametrize(
    ("lead", "verdict"),
    [
        ([10, 11], "2 seeds, too few to tell it from chance"),
        ([10, 11, 12, 13, 14], "95 % interval 10.0 to 14.0, 5 seeds: distinguishable"),
        ([-5, 11, 1, 13, -4], "95 % interval -7.2 to 13.6, 5 seeds: not distinguishable"),
        ([10, 11, 12, 13, 14, 15], "Wilcoxon p = 0.031 after Holm's correction: distinguishable"),
        ([9, 11, 12, 13, 14, -1], "Wilcoxon p = 0.062 after Holm's correction: not distinguishable"),
    ],
)
def test_verdicts_follow_the_number_of_seeds(make_table, lead, verdict):
    sentence = two_networks(make_table, lead)
    assert f"{verdict})" in sentence
    assert ("fewer than six seeds" in sentence) == (len(lead) in (3, 4, 5))


def test_holm_makes_two_comparisons_stricter(make_table):
    base = [0.4 + 0.01 * seed for seed in range(6)]
    table = make_table(
        ("unet", "bias", 4, base),
        ("segnet", "bias", 4, [value - 0.1 - 0.001 * i for i, value in enumerate(base)]),
        ("msd", "bias", 4, [value + 0.1 + 0.001 * i for i, value in enumerate(base)]),
    )
    best = about(answers(table), "At the strongest error tried")
    # Smallest p of six pairs is 2 / 2^6 = 0.03125; two comparisons double it.
    assert best.count("p = 0.062 after Holm's correction: not distinguishable") == 2


def test_runs_without_a_common_seed_are_not_compared(make_table):
    table = make_table(
        ("unet", "none", 0, [0.9, None]),
        ("unet", "omission", 0.7, [None, 0.4]),
        ("msd", "omission", 0.7, [0.8, None]),
    )
    sentences = answers(table)
    assert about(sentences, "cost U-Net").startswith("What omitted cells cost U-Net cannot be said")
    assert "not to be compared with U-Net (no seed in common)" in about(sentences, "At the strongest error tried")


def test_no_clean_runs_is_said(make_table):
    sentences = answers(make_table(("unet", "omission", 0.3, [0.8, 0.9])))
    assert "There is no run on clean labels to compare with." in sentences
    assert about(sentences, "cost U-Net").startswith("What omitted cells cost U-Net cannot be said")


def test_inclusion_is_compared_with_its_own_zero(make_table):
    table = make_table(
        ("unet", "none", 0, [0.99, 0.99]),
        ("unet", "inclusion", 0, [0.9, 0.9]),
        ("unet", "inclusion", 0.5, [0.86, 0.86]),
    )
    assert about(answers(table), "cost U-Net") == (
        "Already 50 % wrongly included objects cost U-Net 4.0 points, 2 seeds."
    )


def test_clean_runs_alone(make_table):
    assert answers(make_table(("unet", "none", 0, [0.9, 0.92]))) == (
        "Trained on clean labels, the networks reach a Dice of: U-Net 0.910 (2 seeds).",
        "With 2 seeds no interval can be given; run with --seeds 5 or more.",
    )
    # Three seeds: s = 0.01, half width 4.302653 * 0.01 / sqrt(3)
    assert answers(make_table(("unet", "none", 0, [0.9, 0.91, 0.92]))) == (
        "Trained on clean labels, the networks reach a Dice of: U-Net 0.910 (95 % interval 0.885 to 0.935, 3 seeds).",
    )


def test_nothing_yet(make_table):
    assert answers(make_table()) == ("There is no result yet: no run has finished with a Dice value.",)
    assert question(make_table()).endswith("?")
    assert len(answers(make_table(("unet", "omission", 0.3, [None])))) == 1


def test_question_names_what_was_tried(make_table):
    asked = question(
        make_table(("unet", "omission", 0.1, [0.8]), ("unet", "omission", 0.3, [0.8]), ("msd", "bias", 2, [0.8]))
    )
    assert re.search(
        r"U-Net and MSD were trained .* omitted cells \(10 and 30 %\) and outline errors \(up to 2 px\)", asked
    )
