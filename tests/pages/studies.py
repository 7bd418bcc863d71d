"""Pages of the committed studies: what they make of their published results, or of numbers made up, untrained."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from experiments.harness.page import write_study_page
from experiments.harness.publish import config_of, results_folder, table_in
from experiments.publish import study_of
from segjax.files import read_json
from segjax.sweeps import Replicates, ResultTable
from segjax.sweeps.plan import open_plan
from tests.tiny_ledger import plan_with

STUDIES = ("annotation_errors", "annotation_upgrade", "few_shot", "activation_maps", "site_segmentation")


def study_page(name: str, out: Path) -> Path:
    """The page of a study's smallest published run that kept its trials, without pictures."""
    study = study_of(name)
    kept = sorted(results_folder(study).glob("*/trials.csv"), key=lambda path: path.stat().st_size)
    run = (kept or sorted(results_folder(study).glob("*/run.json")))[0].parent
    published = read_json(run / "run.json", "a published run", {"config": dict}, "publish it again")
    config = config_of(study.config, published["config"])
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, out=out))
    table = table_in(study, run, published) if kept else made_up(study, config)
    facts = {"digest": "0f", **published.get("facts", {})}
    opening = {"code": "c0de", "commit": "c0ffee", "command": "python -m x", "machine": "mine", "versions": {}}
    plan = plan_with(facts, study=name, data=published["data"], config=published["config"], opening=opening)
    open_plan(out, {**plan, "replicates": table.replicates.names}, accept_code=True)
    data = SimpleNamespace(source=SimpleNamespace(test_groups=()))
    context = SimpleNamespace(config=config, data=data, examples=SimpleNamespace(cautions=list))
    bare = dataclasses.replace(study, gallery=lambda context: (), cautions=lambda config, data: ())
    return write_study_page(bare, context, table)


def made_up(study, config) -> ResultTable:
    """A value for every trial, of five test sets; the stronger an error, the lower."""
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, seeds=5))
    random, rows = np.random.default_rng(0), []
    for trial in config.trials(has_own_foreign=False):
        dice = 0.9 - 0.3 * min(trial.level, 1) + 0.02 * random.random()
        for metric, value in (("dice_pooled", dice), ("label_dice", 1 - trial.level / 100), ("restarts", 0.0)):
            row = {"picture": "", "metric": metric, "value": value, "status": "ok", "code": "c0de"}
            rows.append({**dataclasses.asdict(trial), **row})
    return ResultTable.from_rows(pd.DataFrame(rows), study.trial, Replicates(tuple("abcde")))
