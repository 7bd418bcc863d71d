"""A study of nothing, and its results folder: what tests of the ledger and of plans share."""

from dataclasses import dataclass

from segjax.sweeps import Ledger, Row


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    level: float = 0.0


TRIALS = [Trial(network, seed, 0.3) for seed in (0, 1) for network in ("unet", "msd")]
ROWS = (Row("dice", 0.5, "p,1"), Row("dice_pooled", 0.25))


def plan_with(facts=None, sources=None, code="aaaaaaaa", commit="c0ffee", **others):
    """A plan; the fingerprint follows the facts."""
    facts = facts or {"depth": 1}
    plan = {"study": "tiny", "data": "microscope:hl60", "facts": facts, "fingerprint": str(facts).replace(" ", "")}
    return {**plan, "sources": sources or {}, "opening": {"code": code, "commit": commit}, **others}


def open_ledger(out, plan=None, **options):
    return Ledger(out, Trial, plan or plan_with(), **options)


def add(ledger, trial, status="ok", traceback=""):
    ledger.append(trial, ROWS, 0, status, traceback)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
