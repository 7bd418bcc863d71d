"""Which trainings a trial of study 2 rests on, and which of them must come first."""

from dataclasses import replace

from experiments.annotation_upgrade.grid import (
    AGAIN,
    CLEAN,
    CONFIDENT,
    ITERATED,
    PREDICTIONS,
    RAW,
    REPAIRS,
    UPGRADE,
    UPGRADED_PREDICTIONS,
    Trial,
)


def training_of(trial: Trial) -> Trial:
    """The training that a trial looks at: of an upgrade network, whatever it is applied to, or of the trial itself."""
    return upgrader_of(trial) if trial.method == UPGRADE else trial


def upgrader_of(trial: Trial) -> Trial:
    """The upgrade network that a trial uses: its error is what it learns, unless it learns a mixture."""
    learnt, error = trial.learnt, trial.error
    if learnt == "mixture":
        error = "any"
    elif learnt not in ("known", "estimated"):
        learnt, error = "known", learnt
    return replace(trial, method=UPGRADE, error=error, learnt=learnt, trained_clean=0, trained_total=0, round=0)


def predictor_of(trial: Trial) -> Trial:
    """The network whose predictions a trial of the question predictions trains on."""
    if trial.round > 1:
        return replace(trial, round=trial.round - 1)
    return replace(trial, method=CLEAN, error="none", learnt="none", trained_total=trial.trained_clean, round=0)


def second_upgrader_of(trial: Trial) -> Trial:
    """The upgrade network of the second round, which also learns from the labels that the first one has repaired."""
    return replace(trial, method=AGAIN)


def raw_of(trial: Trial) -> Trial:
    """The network that learnt from the noisy labels as they are, whose predictions confident learning rests on."""
    return replace(trial, method=RAW)


def needs_of(training: Trial) -> list[Trial]:
    """The trainings that must be there before one (as `training_of` gives it) can begin."""
    needed = []
    if training.method == ITERATED:
        needed.append(second_upgrader_of(training))
    elif training.method in (*REPAIRS, UPGRADED_PREDICTIONS, AGAIN):
        needed.append(upgrader_of(training))
    if training.method in (PREDICTIONS, UPGRADED_PREDICTIONS):
        needed.append(predictor_of(training))
    if training.method == CONFIDENT:
        needed.append(raw_of(training))
    return needed
