"""Grid -> plan -> cells -> results, resumed through plain files."""

from segjax.sweeps.cells import Cell, cell, fingerprint
from segjax.sweeps.ledger import Ledger
from segjax.sweeps.run import Outcome, in_words, run_cells

__all__ = ["Cell", "Ledger", "Outcome", "cell", "fingerprint", "in_words", "run_cells"]
