"""How the networks did on held-out pictures, and what that says about what they find in a scene."""

from typing import NamedTuple

import numpy as np

from experiments.harness.classifiers import LabelledDomain
from experiments.harness.networks import pooled_dice
from experiments.outline_sites.networks import SiteRun
from experiments.site_segmentation.findings import DICE, FALSE_ALARMS, FOUND, HALF, learnt_by, percent
from segjax.evaluation import Interval
from segjax.evaluation.references import disc, median_radius
from segjax.types import InputError


class Trivial(NamedTuple):
    """A mask that needs no network: its name and its Dice."""

    name: str
    dice: float


class HeldOut(NamedTuple):
    """How networks did on pictures that they did not learn from: means over test sets.

    Attributes:
        dice: of all pixels of a test set.
        detection_rate: share of the pictures with a site in which any of its pixels is found.
        false_positive_rate: share of the pictures without a site in which anything is marked.
        trivial: the better of two masks that need no network, see `trivial_mask`.
    """

    dice: Interval
    detection_rate: Interval
    false_positive_rate: Interval
    trivial: Trivial

    @property
    def has_failed(self) -> bool:
        """Whether the networks are no better than a mask that needs none."""
        return not self.dice.mean > self.trivial.dice

    @property
    def rates(self) -> str:
        """How often a site was found, and something marked where there is none, in words."""
        alarms = f", and mark something in {percent(self.false_positive_rate.mean)} of those that have none"
        found = (
            f"the networks find a site in {percent(self.detection_rate.mean)} of the held-out pictures that have one"
        )
        return found + (alarms if self.false_positive_rate.n else "")

    @property
    def cautions(self) -> list[str]:
        """What to know before relying on the sites, in plain words."""
        found, alarms, said = self.detection_rate, self.false_positive_rate, []
        if self.has_failed:
            said.append(
                f"The networks failed on held-out pictures: their Dice is {self.dice.mean:.3f}, and "
                f"{self.trivial.name} has {self.trivial.dice:.3f}. The outlines mean nothing."
            )
        if not alarms.n:
            said.append("The run had no held-out picture without a site, so nothing is known about false alarms.")
        elif alarms.mean > HALF:
            said.append(
                f"The networks mark something in {percent(alarms.mean)} of the held-out pictures that have no site, "
                "so most of the outlines may be false alarms."
            )
        if found.mean < HALF:
            said.append(
                f"The networks find a site in only {percent(found.mean)} of the held-out pictures that have one, so "
                "most sites of the scene may be missing."
            )
        return said


def held_out(run: SiteRun) -> HeldOut:
    """How the run's chosen networks did."""
    dice, found, alarms = (run.table.interval(name, run.learnt) for name in (DICE, FOUND, FALSE_ALARMS))
    return HeldOut(dice, found, alarms, trivial_mask(run.domain, run.seeds))


def trivial_mask(domain: LabelledDomain, seeds: tuple[int, ...]) -> Trivial:
    """The better of two masks: a disc of the sites' median area in the middle of every picture, or every pixel.

    Like that of the networks, its Dice is the mean over seeds, each on its own test pictures.
    """
    shape, radius = domain.labels.shape[1:], median_radius(domain.labels)
    masks = {
        "a disc in the middle of every picture": disc(shape, ((shape[0] - 1) / 2, (shape[1] - 1) / 2), radius),
        "marking every pixel": np.ones(shape, bool),
    }
    values: dict[str, list[float]] = {name: [] for name in masks}
    for seed in seeds:
        test = list(domain.split(seed).test)
        for name, mask in masks.items():
            values[name].append(pooled_dice(mask & ~domain.ignored[test], domain.labels[test] > 0))
    best = max(values, key=lambda name: np.mean(values[name]))
    return Trivial(best, float(np.mean(values[best])))


def check_networks(run: SiteRun, found: HeldOut) -> None:
    """Refuse networks that failed.

    Raises:
        InputError: with the values on held-out pictures, and which networks of the run did better.
    """
    if not found.has_failed:
        return
    known = learnt_by(run.table, run.learnt.network)
    better = [one.learnt for one in known if run.table.interval(DICE, one).mean > found.trivial.dice]
    choose = f"choose another --learnt ({', '.join(better)})" if better else "as none of its networks did better"
    raise InputError(
        f"learnt: the networks trained on {run.learnt.learnt} failed on held-out pictures: their Dice is "
        f"{found.dice.mean:.3f}, and {found.trivial.name} has {found.trivial.dice:.3f} ({found.rates}); train "
        f"the study longer, {choose}, or apply them all the same with --force"
    )
