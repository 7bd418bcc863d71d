"""Whether trainings were cut off: with stop="plateau" they end where nothing is gained, or after `epochs`."""

from segjax.sweeps import ResultTable, Row
from segjax.training import LoopConfig
from segjax.training.fit import Fit

CUT_OFF = "cut_off"  # a metric of trials, and a fact of trained networks


def was_cut_off(fit: Fit, loop: LoopConfig) -> bool:
    """Whether a training went on to the most epochs that it may have, though it was to end where nothing is gained."""
    return loop.stop == "plateau" and len(fit.losses) == loop.epochs


def rows_of(any_cut_off: bool) -> list[Row]:
    """The row of a trial one of whose networks was cut off; none where none was."""
    return [Row(CUT_OFF, 1)] if any_cut_off else []


def cut_off(table: ResultTable) -> list[str]:
    """A sentence where networks were cut off; trials of earlier versions do not say so."""
    if CUT_OFF not in table.frame or not (count := int(table.frame[CUT_OFF].sum())):
        return []
    trials = f"{count} trial{'s rest' if count > 1 else ' rests'}"
    return [
        f"{trials} on a network that may still have improved when its training reached the limit of --train.epochs. "
        "A higher limit lets it go on."
    ]
