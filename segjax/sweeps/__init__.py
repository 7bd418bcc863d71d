"""Grid -> plan -> cells -> results, resumed through plain files."""

from segjax.sweeps.cells import Cell, cell, fingerprint
from segjax.sweeps.ledger import LAST_METRIC, Ledger
from segjax.sweeps.run import Outcome, in_words, run_cells

__all__ = ["LAST_METRIC", "Cell", "Ledger", "Outcome", "cell", "fingerprint", "in_words", "run_cells"]
