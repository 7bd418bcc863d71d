"""Grid -> plan -> cells -> results, claimed and resumed through plain files."""

try:
    import pandas  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.sweeps needs more packages: pip install 'segjax[studies]'") from error

from segjax.sweeps.cells import Cell, cell, fingerprint, share_of
from segjax.sweeps.ledger import LAST_METRIC, Ledger
from segjax.sweeps.pace import in_words
from segjax.sweeps.run import Outcome, run_cells

__all__ = ["LAST_METRIC", "Cell", "Ledger", "Outcome", "cell", "fingerprint", "in_words", "run_cells", "share_of"]
