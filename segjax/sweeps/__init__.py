"""Grid -> plan -> trials -> results, claimed and resumed through plain files, and the table of what came out."""

try:
    import pandas  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.sweeps needs more packages: pip install 'segjax[studies]'") from error

from segjax.sweeps.ledger import Ledger
from segjax.sweeps.results import Row
from segjax.sweeps.run import Outcome, run_trials
from segjax.sweeps.table import Replicates, ResultTable
from segjax.sweeps.trials import Trial

__all__ = [
    "Ledger",
    "Outcome",
    "Replicates",
    "ResultTable",
    "Row",
    "Trial",
    "run_trials",
]
