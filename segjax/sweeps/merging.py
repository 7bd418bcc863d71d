"""The tables of a results folder, `results.parquet` and `results.csv`: merged from the files of its trials.

Parquet remembers which files are in it and when they were written, so that only new ones are read. Either table may be
deleted; it is made again.
"""

import hashlib
import io
import itertools
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from segjax import interruption
from segjax.claims import Claims
from segjax.files import PATIENCE, Damaged, explained, read_file, set_aside, spreadsheet_safe, write_file
from segjax.sweeps.results import FIRST_COLUMNS, LAST_METRIC, PRECISION, columns_of, csv_text, ended_trials, read_trial
from segjax.sweeps.trials import Trial, trial_key

_FILE, _WRITTEN = "trial_file", "trial_written"  # columns that only Parquet has
_KNOWN = b"results.csv"  # where Parquet has the hashes of what was written there
_CLAIM = "results"
_AT_ONCE = 1000  # files whose rows are text in memory
_REMEMBERED = 20  # such hashes: a process may be stopped between writing one table and the other


class _Merged(NamedTuple):
    """Rows with the two columns of Parquet, the hashes that Parquet has, and whether it has all of these rows."""

    frame: pd.DataFrame
    hashes: list[str]
    is_stored: bool


def collect(folder: Path, types: Mapping[str, Any], plan: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of all ended trials in a results folder: text stays text, a value that is unknown is NaN.

    Damaged files are set aside and named; nothing else is written.

    Args:
        types: of the factors, by name.
        plan: that of the folder.

    Raises:
        InputError: a file belongs to another plan, or cannot be read.
    """
    return _shown(_collected(folder, types, plan).frame, types)


def merge(
    folder: Path, types: Mapping[str, Any], plan: Mapping[str, Any], claims: Claims, trials: Iterable[Trial] = ()
) -> pd.DataFrame:
    """Write both tables, and give the rows as `collect` does; waits where another process does so.

    Args:
        claims: those of the folder.
        trials: their rows stand in this order; those of others follow, ordered by their factors.

    Raises:
        InputError: as `collect`; or a table cannot be written.
        Stopped: a stop was asked for while it waited.
    """
    for _ in claims.wait(_CLAIM):
        interruption.check()
    try:
        return _merged(folder, types, plan, trials)
    finally:
        claims.release(_CLAIM, done=True)


def _merged(folder: Path, types: Mapping[str, Any], plan: Mapping[str, Any], trials: Iterable[Trial]) -> pd.DataFrame:
    found = _collected(folder, types, plan)
    order = _order(found.frame, types, trials)
    is_stored = found.is_stored and bool((order[:-1] <= order[1:]).all())
    path = folder / "results.csv"
    with explained(path):
        there = hashlib.sha256(read_file(path)).hexdigest() if path.exists() else None
    if is_stored and there is not None and there == found.hashes[-1]:
        return _shown(found.frame, types)
    frame = found.frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    shown = _shown(frame, types)
    text = _spreadsheet(shown, types)
    new = hashlib.sha256(text).hexdigest()
    if there not in (None, new, *found.hashes):
        names = (path.with_name(f"results.changed-{number}.csv") for number in itertools.count(1))
        kept = next(name for name in names if not name.exists())
        with explained(kept):
            path.rename(kept)
        warnings.warn(
            f"{path}: was changed by another program; the changed file is kept as {kept}, and a new one was written",
            stacklevel=4,
        )
        there = None
    if not is_stored or new != found.hashes[-1]:
        hashes = [*(one for one in found.hashes if one != new), new][-_REMEMBERED:]
        write_file(folder / "results.parquet", _parquet(frame, hashes), PATIENCE)
    if there != new:
        write_file(path, text, PATIENCE)
    return shown


def _collected(folder: Path, types: Mapping[str, Any], plan: Mapping[str, Any]) -> _Merged:
    known, hashes = _stored(folder / "results.parquet", types, plan)
    there = ended_trials(folder)
    stamps = known[[_FILE, _WRITTEN]].drop_duplicates()
    in_known = dict(zip(stamps[_FILE], stamps[_WRITTEN], strict=True))
    new = sorted(name for name, time in there.items() if in_known.get(name) != time)
    gone = {name for name, time in in_known.items() if there.get(name) != time}
    if gone:
        known = known[~known[_FILE].isin(gone)]
    frames = [_frame([], types)]
    for first in range(0, len(new), _AT_ONCE):
        rows: list[list[Any]] = []
        for name in new[first : first + _AT_ONCE]:
            path = folder / "trials" / name
            try:
                rows += ([*row, name, there[name]] for row in read_trial(path, types, plan))
            except FileNotFoundError:  # taken away just now
                continue
            except Damaged as error:
                warnings.warn(f"{error}; it is now {set_aside(path)}, and its trial is missing again", stacklevel=5)
        frames.append(_frame(rows, types))
    fresh = pd.concat(frames, ignore_index=True).sort_values(list(types), kind="stable")
    is_stored = bool(hashes) and not gone and not new
    return _Merged(pd.concat([known, fresh], ignore_index=True), hashes, is_stored)


def _stored(path: Path, types: Mapping[str, Any], plan: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """The rows and hashes in Parquet; none where it is not there, or damaged and set aside."""
    empty = _frame([], types)
    try:
        content = read_file(path)
    except FileNotFoundError:
        return empty, []
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        frame = table.to_pandas(categories=[], ignore_metadata=True)
        hashes = json.loads(table.schema.metadata[_KNOWN])
        frame = frame.astype({name: empty.dtypes[name] for name in empty})[list(empty)]
        is_whole = (frame["metric"] == LAST_METRIC).sum() == frame[_FILE].nunique()
        is_ours = all({*frame[name].unique()} <= {plan[name]} for name in FIRST_COLUMNS)
        if not (is_whole and is_ours and hashes and all(isinstance(one, str) for one in hashes)):
            raise ValueError("rows are missing")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        kept = set_aside(path)
        warnings.warn(f"{path}: is damaged ({error}); it is now {kept}, and is made again", stacklevel=5)
        return empty, []
    return frame, hashes


def _frame(rows: Sequence[Sequence[Any]], types: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of text, each with its file and when that was written, as a table."""
    names = (*columns_of(types), _FILE, _WRITTEN)
    kinds = {**types, "value": float, _WRITTEN: int}
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pd.DataFrame(
        {
            name: pd.Series(list(map(kinds.get(name, str), column)), dtype=kinds.get(name, str))
            for name, column in zip(names, columns, strict=True)
        }
    )


def _order(frame: pd.DataFrame, types: Mapping[str, Any], trials: Iterable[Trial]) -> np.ndarray:
    """The place of each row's trial among all."""
    places = {trial_key(trial): place for place, trial in enumerate(trials)}
    firsts = frame.drop_duplicates(_FILE)[[_FILE, *types]]
    firsts = firsts.assign(place=[places.get(name[:16], len(places)) for name in firsts[_FILE]])
    files = firsts.sort_values(["place", *types], kind="stable")[_FILE]
    return frame[_FILE].map(dict(zip(files, range(len(files)), strict=True))).to_numpy(np.int64)


def _shown(frame: pd.DataFrame, types: Mapping[str, Any]) -> pd.DataFrame:
    return frame[list(columns_of(types))]


def _spreadsheet(frame: pd.DataFrame, types: Mapping[str, Any]) -> bytes:
    """The rows as CSV, in which no text is taken for a formula."""
    columns = []
    for name in frame:
        values = frame[name].tolist()
        if name == "value":
            values = [format(value, PRECISION) for value in values]
        elif types.get(name, str) is str:
            safe = {text: spreadsheet_safe(text) for text in set(values)}
            values = [safe[text] for text in values]
        columns.append(values)
    return csv_text(itertools.chain([list(frame)], zip(*columns, strict=True))).encode()


def _parquet(frame: pd.DataFrame, hashes: Sequence[str]) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_KNOWN: json.dumps(list(hashes))})
    content = io.BytesIO()
    pq.write_table(table, content, write_page_checksum=True)
    return content.getvalue()
