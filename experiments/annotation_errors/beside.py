"""Rungs of the ladder in study 1: networks against what was fitted to the same labels without one."""

import dataclasses
from collections.abc import Callable

from experiments.annotation_errors.grid import Trial
from experiments.harness.ladder import rungs_among
from experiments.harness.ladder_options import is_rung
from experiments.harness.rival_options import is_rival
from segjax.evaluation.claims import Claim
from segjax.sweeps import ResultTable

Table = ResultTable[Trial]


def rung_claims(table: Table, named: Callable[[Trial], str]) -> list[list[Claim]]:
    """Every network against every rung with the same labels, a family per network, clean labels first."""
    rungs, families = rungs_among(table), []
    for network in dict.fromkeys(trial.network for trial in table.trials()) if rungs else ():
        if is_rung(network) or is_rival(network):
            continue
        own = sorted((one for one in table.trials() if one.network == network), key=Trial(network, 0).__ne__)
        beside = [(trial, dataclasses.replace(trial, network=rung)) for trial in own for rung in rungs]
        pairs = [((named(trial), trial), (named(other), other)) for trial, other in beside]
        families.append([claim for claim in table.compare_pairs("dice_pooled", pairs) if claim.decision.n])
    return families
