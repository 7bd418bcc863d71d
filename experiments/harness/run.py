"""How every study runs: its plan, its missing trials through the ledger, and the page by whoever finishes last."""

import dataclasses
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from rich.console import Console

from experiments.harness import core_counts, cut_off
from experiments.harness.estimate import cheaper, megabytes_of, time_steps, work_of
from experiments.harness.examples import Examples
from experiments.harness.options import deciding
from experiments.harness.page import announce, shared_test_sets, write_study_page
from experiments.harness.parsing import parse
from experiments.harness.provenance import opening, sources_of
from experiments.harness.rival_options import RivalOptions
from experiments.harness.rivals import keep_origins, read_rivals, write_test_pictures
from experiments.harness.start import LEFT_TO_OTHERS, SOME_FAILED, requeued
from experiments.harness.study import Config, Context, Data, Study, StudyData, judged_pictures, with_rivals
from segjax.claims import Claims
from segjax.interruption import check
from segjax.sweeps import Ledger, Outcome, Replicates, ResultTable, run_trials
from segjax.sweeps.ledger import failed_in, failure_file, missing_in, read_failed
from segjax.sweeps.merging import merge
from segjax.sweeps.pace import in_words
from segjax.sweeps.plan import check_plan, read_plan
from segjax.sweeps.slices import told
from segjax.sweeps.trials import described, file_stem, fingerprint, shard_of
from segjax.types import InputError

AnyStudy = Study[Any, Any, Any, Any]
NEXT = "put the labels that a program predicts into {folder}/labels, and give --rival NAME=folder:{folder}"


def run(study: AnyStudy, args: Sequence[str] | None = None) -> None:
    """The command of a study: `run_with` the options given.

    Args:
        args: options; None: those of the command line.

    Raises:
        InputError, SystemExit: as `run_with`.
    """
    run_with(study, parse(study, args))


def run_with(study: AnyStudy, config: Any) -> None:
    """Plan, run the missing trials of this shard; the last process writes the page.

    Raises:
        InputError: the pictures or the folder cannot be used.
        SystemExit: with 3 where some trials failed, with 4 where some are left to others.
    """
    console = Console(highlight=False, markup=False)
    out, is_there = config.run.out, (config.run.out / "plan.json").exists()
    if config.run.resume and not is_there:
        raise InputError(f"resume: there is nothing to go on with in {out}; leave --resume out to begin")
    if (config.run.report or config.run.list_failed) and not is_there:
        raise InputError(f"out: there are no results in {out}; give the --out folder of a run")
    if config.run.list_failed:
        code = _tell_failed(failed := read_failed(out, study.trial), out, console, sys.maxsize)
        if not failed:
            console.print("no trial failed")
    else:
        with requeued(config.run.requeue):
            code = _run(study, config, console)
    if code:
        sys.exit(code)


def _run(study: AnyStudy, config: Any, console: Console) -> int:
    """Do what the options say; gives the exit code."""
    out = config.run.out
    console.print(f"reading {config.source.data}", soft_wrap=True)
    data = study.read(config)
    elsewhere = getattr(config, "elsewhere", RivalOptions())
    is_asked = elsewhere.rival or elsewhere.write_test_pictures
    tested = judged_pictures(study, config, data) if is_asked else {}
    if (folder := elsewhere.write_test_pictures) is not None:
        count = write_test_pictures(folder, data.source, tested)
        console.print(f"{count} test pictures are in {folder / 'images'}; {NEXT.format(folder=folder)}", soft_wrap=True)
        return 0
    rivals = read_rivals(elsewhere, data.source, tested, study.rivals is not None and study.rivals.needs_classes)
    study = with_rivals(study, rivals)
    context, trials = ready(study, config, data)
    check()  # a stop that came while modules were loaded or pictures read may have been lost
    shard = shard_of(trials, config.run.shard)
    for caution in shared_test_sets(config, context.data.source, replicates_of(config, context.data).names):
        console.print(f"note: {caution}", soft_wrap=True)
    if config.run.plan:
        _print_plan(study, context, shard, console)
        return 0
    plan = {**plan_of(study, config, context.data), "trials": len(trials)}
    if config.run.report:
        return _report(study, context, trials, plan, console)
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    if config.run.retry_failed and job:
        plan["opening"]["request"] = f"SLURM job {job}"
    context.store.made_by = {"configuration": plan["fingerprint"], "code": plan["opening"]["code"]}
    with Ledger(out, study.trial, plan, config.run.accept_code, config.run.retry_failed) as ledger:
        keep_origins(out, rivals)
        sweep, code = Sweep(study, context, trials), None
        while code is None:
            run_trials(shard, sweep.run, ledger, sweep.together, console, sweep.pack)
            code = told(lambda: _conclude(study, context, trials, ledger, console))
    return code


def _conclude(
    study: AnyStudy, context: Context[Any, Any, Any], trials: Sequence[Any], ledger: Ledger, console: Console
) -> int | None:
    """Write the page if all trials have ended; gives the exit code, None where some must be run again."""
    out = context.config.run.out
    if missing := ledger.missing(trials):
        console.print(
            f"other processes are working on {len(missing)} of {len(trials)} trials; the last one to finish writes the "
            "report. --report writes a partial one now",
            soft_wrap=True,
        )
    else:
        table = table_of(study, context.config, context.data, ledger, trials)
        if ledger.missing(trials):  # a damaged file is set aside as it is read
            return None
        check()
        announce(write_study_page(study, context, table), console)
    return max(_tell_failed(ledger.failed(trials), out, console), LEFT_TO_OTHERS if missing else 0)


def _report(
    study: AnyStudy, context: Context[Any, Any, Any], trials: Sequence[Any], plan: Any, console: Console
) -> int:
    """Write the tables and the page of what is there; gives the exit code."""
    config, out = context.config, context.config.run.out
    there = read_plan(out)
    check_plan(out, there, plan)
    with Claims(out) as claims:
        rows = merge(out, get_type_hints(study.trial), there, claims, trials)
    replicates = replicates_of(config, context.data)
    table: ResultTable[Any] = ResultTable.from_rows(rows, study.trial, replicates, context.data.source.coarsening)
    missing = missing_in(out, trials)
    announce(write_study_page(study, context, table, trials, missing), console)
    if missing:
        console.print(f"{len(missing)} of {len(trials)} trials have not ended; the report names them", soft_wrap=True)
    return max(_tell_failed(failed_in(out, trials), out, console), LEFT_TO_OTHERS if missing else 0)


def _tell_failed(failed: Sequence[Any], out: Path, console: Console, shown: int = 10) -> int:
    """Name failed trials with the files of their tracebacks; gives the exit code."""
    for trial in failed[:shown]:
        console.print(f"failed: {described(trial)}: {failure_file(out, trial)}", soft_wrap=True)
    others = f" ({len(failed) - shown} more: --list-failed)" if len(failed) > shown else ""
    if failed:
        remedy = "mend the cause, then try them again with --retry-failed"
        count = "1 trial" if len(failed) == 1 else f"{len(failed)} trials"
        console.print(f"{count} failed{others}; {remedy}", soft_wrap=True)
    return SOME_FAILED if failed else 0


def opened(study: Study[Config, Any, Any, Any], config: Config) -> tuple[Context[Config, Any, Any], list[Any]]:
    """A study's pictures and store, and all its trials; nothing is trained or written."""
    return ready(study, config, study.read(config))


def ready(
    study: Study[Config, Data, Any, Any], config: Config, data: Data
) -> tuple[Context[Config, Data, Any], list[Any]]:
    """A study's store, and all its trials, for opened pictures."""
    store = study.trainings(config, data)
    return Context(config, data, store, Examples(config.run.out / "examples")), study.trials(config, data)


def plan_of(study: AnyStudy, config: Any, data: StudyData) -> dict[str, Any]:
    """What `plan.json` holds; its fingerprint covers what decides a trial's numbers besides its factors."""
    sources = sources_of(study.name, Path(inspect.getfile(study.config)).parent)
    replicates = replicates_of(config, data)
    facts = json.loads(json.dumps({**deciding(config), "digest": data.source.digest}, default=str))
    del facts["data"]  # however the pictures are named, the digest says which they are
    return {
        "study": study.name,
        "data": config.source.name,
        "fingerprint": fingerprint(facts),
        "facts": facts,
        "config": json.loads(json.dumps(dataclasses.asdict(config), default=str)),
        "replicates": replicates.names,
        "overlap": replicates.overlap,
        "coarsening": data.source.coarsening,
        "cautions": list(study.cautions(config, data)),
        "sources": sources,
        "opening": opening(study.name, sources),
    }


def replicates_of(config: Any, data: StudyData) -> Replicates:
    """The test set of every seed, and test pictures per training picture where several share pictures."""
    splits = [data.split(seed) for seed in range(config.run.seeds)]
    names = [fingerprint({"test": [data.source.names[index] for index in split.test]})[:8] for split in splits]
    distinct = dict(zip(names, splits, strict=True)).values()
    used = [index for split in distinct for side in (split.train, split.validation, split.test) for index in side]
    if len(set(used)) == len(used):  # one test set, or several that have no picture in common
        return Replicates(tuple(names), 0.0)
    others = [len(split.test) / len(split.train) for split in splits]
    return Replicates(tuple(names), sum(others) / len(others))


def table_of(
    study: AnyStudy, config: Any, data: StudyData, ledger: Ledger, trials: Sequence[Any] = ()
) -> ResultTable[Any]:
    """The table of all results so far, which is also written, in the order of the trials."""
    return ResultTable.from_rows(ledger.table(trials), study.trial, replicates_of(config, data), data.source.coarsening)


class Sweep:
    """Trains, measures and tidies up for batches of trials."""

    def __init__(self, study: AnyStudy, context: Context[Any, Any, Any], trials: Sequence[Any]) -> None:
        """`trials` are all of the study: a network that none of them needs any more may be dropped."""
        self._study, self._context = study, context
        self._uses: Counter[Any] = Counter()
        for trial in trials:
            needed = study.needs(context, trial)
            self._uses.update(needed)
            for training in needed:
                self._uses.update(context.store.trainer.needs(training))

    @property
    def pack(self) -> int:
        """Most trials of one batch."""
        return sys.maxsize if self._study.together else self._context.config.run.pack

    def together(self, trial: Any) -> str:
        """What the trials of one batch have in common."""
        if self._study.together:
            return self._study.together(trial)
        needed = self._study.needs(self._context, trial)
        return self._context.store.trainer.kind(needed[-1]) if needed else ""

    def run(
        self, trials: Sequence[Any], on_share: Callable[[float], None]
    ) -> Iterator[tuple[int, Outcome | Exception]]:
        """Train what the trials need, and measure each; gives its outcome, or the error that ended it."""
        context, study = self._context, self._study
        for seed in {trial.seed for trial in trials}:
            path = context.config.run.out / "splits" / f"seed-{seed}.json"
            context.data.split(seed).write(path, context.data.source)
        context.store.ensure([training for trial in trials for training in study.needs(context, trial)], on_share)
        for index, trial in enumerate(trials):
            try:
                outcome = study.measure(context, trial)
            except Exception as error:
                yield index, error
                continue
            context.store.events.trial(file_stem(trial), outcome.rows)
            if outcome.examples and trial.seed == 0:
                context.examples.keep(trial, outcome.examples)
            needed = study.needs(context, trial)
            made = core_counts.rows_of(context.store.cores_of(needed))
            made += cut_off.rows_of(context.store.any_cut_off(needed))
            yield index, dataclasses.replace(outcome, rows=[*outcome.rows, *made])
            for training in () if study.keeps_networks else needed:
                if self._uses[training] == 1:
                    context.store.drop(training)


def _print_plan(study: AnyStudy, context: Context[Any, Any, Any], shard: Sequence[Any], console: Console) -> None:
    for trial in shard:
        console.print(described(trial), soft_wrap=True)
    work = work_of(study, context, shard)
    speed = time_steps(context, work)
    seconds = speed.seconds(work)
    amounts = f"about {in_words(seconds)} here, {megabytes_of(context, work):.1f} MB of results; nothing was trained"
    console.print(f"{len(shard)} trials, {amounts}", soft_wrap=True)
    if len(speed.timed) < len(speed.step):
        how = f"{len(speed.timed)} of {len(speed.step)} kinds of training timed, the others by the operations they take"
        console.print(f"rough: {how}; half or twice as long is possible", soft_wrap=True)
    for option, takes in cheaper(study, context, speed, seconds):
        console.print(f"cheaper: {option} takes about {in_words(takes)}", soft_wrap=True)
