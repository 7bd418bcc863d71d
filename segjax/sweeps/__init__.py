"""Grid -> plan -> trials -> results, claimed and resumed through plain files, and the table of what came out."""

try:
    import pandas  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.sweeps needs more packages: pip install 'segjax[studies]'") from error

from segjax.sweeps.ledger import Ledger, failed_in, failure_file, missing_in, read_failed
from segjax.sweeps.merging import collect, merge
from segjax.sweeps.pace import in_words
from segjax.sweeps.plan import check_plan, read_plan, study_of
from segjax.sweeps.progress import Progress, progress_of
from segjax.sweeps.results import Row
from segjax.sweeps.run import Outcome, run_trials
from segjax.sweeps.slices import told
from segjax.sweeps.table import Replicates, ResultTable
from segjax.sweeps.trials import AnyTrial, Trial, described, factors_of, file_stem, fingerprint, shard_of

__all__ = [
    "AnyTrial",
    "Ledger",
    "Outcome",
    "Progress",
    "Replicates",
    "ResultTable",
    "Row",
    "Trial",
    "check_plan",
    "collect",
    "described",
    "factors_of",
    "failed_in",
    "failure_file",
    "file_stem",
    "fingerprint",
    "in_words",
    "merge",
    "missing_in",
    "progress_of",
    "read_failed",
    "read_plan",
    "run_trials",
    "shard_of",
    "study_of",
    "told",
]
