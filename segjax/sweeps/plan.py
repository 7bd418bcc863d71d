"""What a results folder belongs to: `plan.json`, which is written once, and a note of every opening beside it.

`plan.json` has the same bytes from whichever process writes it. `openings/NUMBER-ID.json` say when, by which command
and with which options the folder was opened; numbers only grow, so that the last opening is the last on any clock.
`code/CODE.json` has the hashes of the sources of a version of the code.
"""

import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segjax import interruption
from segjax.claims import Claims
from segjax.files import Damaged, explained, read_json, read_sealed, set_aside, write_file
from segjax.sweeps.results import ended_names, has_ended_trials
from segjax.types import InputError

LAYOUT = 2  # of the folder; its number says which versions can read it
_FACTS = {"study": str, "data": str, "fingerprint": str, "facts": dict}
_OPENING = {"code": str, "commit": str}
_OF_LAST = ("config", "replicates", "overlap", "coarsening", "trials")  # a plan as read has them of the last opening
_WHAT = "the plan of a study"
_REMEDY = "bring back a copy of it, or move it away: the command that made the folder makes it again"
_NOTES = {"openings": "the note of an opening", "code": "the hashes of a version of the code"}
_CLAIM = "plan"


def open_plan(out: Path, plan: Mapping[str, Any], accept_code: bool) -> dict[str, Any]:
    """Write the plan of a results folder, or compare with the one that is there, and note the opening.

    Args:
        plan: as `Ledger` takes it.
        accept_code: go on where the results were made by other code.

    Returns:
        study, data, fingerprint and facts of the folder.

    Raises:
        InputError: the folder cannot be written, or holds results of another study, configuration or code.
    """
    own = json.loads(json.dumps({name: plan[name] for name in _FACTS} | {"layout": LAYOUT}))
    there = _settled(out, own)
    check_plan(out, there, own)
    opening = plan["opening"]
    before = last_opening(out, sets_aside=True)
    if before is not None and before["code"] != opening["code"] and not accept_code and has_ended_trials(out):
        then, now = _sources(out, before["code"]), plan["sources"]
        differing = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        raise InputError(
            f"out: {out} holds results of other code (commit {before['commit']}, this is {opening['commit']}; "
            f"differing in {', '.join(differing)}); choose another folder, or go on with --accept-code"
        )
    code = out / "code" / f"{opening['code']}.json"
    if _sources(out, opening["code"], sets_aside=True) != plan["sources"]:
        write_file(code, _sealed({"sources": plan["sources"]}))
    number = 1 + max((int(path.name.partition("-")[0]) for path in _openings(out)), default=0)
    others = {name: value for name, value in plan.items() if name not in (*_FACTS, "sources", "opening")}
    note = out / "openings" / f"{number:06d}-{secrets.token_hex(4)}.json"
    write_file(note, _sealed({**opening, **others}))
    return there


def check_plan(out: Path, there: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse to mix results: both plans have a study, data, fingerprint and facts.

    Raises:
        InputError: the folder holds results of another study or configuration; names the options with both values.
    """
    if there["study"] != own["study"]:
        raise InputError(f"out: {out} holds results of the study {there['study']}; choose another folder")
    if changed := _differences(there["facts"], json.loads(json.dumps(own["facts"]))):
        if there["facts"].get("digest") != own["facts"].get("digest"):
            changed += _differences({"data": there["data"]}, {"data": own["data"]})
        raise InputError(
            f"out: {out} holds results of another configuration ({'; '.join(changed)}); choose another folder, or the "
            "options with which they were made"
        )


def read_plan(
    folder: Path, needed: Mapping[str, type | tuple[type, ...]] = {}, sets_aside: bool = False
) -> dict[str, Any]:
    """The plan of a results folder: study, data, fingerprint, facts, "openings" in their order and "sources" of every
    code, with config, replicates, overlap, coarsening and number of trials of the last opening.

    Args:
        needed: what it must have besides what every plan has, with the types.
        sets_aside: damaged notes are set aside; otherwise nothing is written.

    Raises:
        InputError: there is none, it cannot be read or is damaged, or another version wrote it.
    """
    plan = _needed(folder)
    openings = notes_of_openings(folder, sets_aside)
    if not openings:
        raise InputError(f"{folder}/openings: does not say how the results were made; give the command again")
    for name, kind in needed.items():
        if not isinstance({**openings[-1], "openings": openings}.get(name), kind):
            raise InputError(f"{folder}/openings: the last one lacks {name}; give the command again")
    last = {name: openings[-1][name] for name in _OF_LAST if name in openings[-1]}
    shown = [{name: value for name, value in one.items() if name not in _OF_LAST} for one in openings]
    codes = dict.fromkeys(one["code"] for one in openings)
    return {**plan, **last, "openings": shown, "sources": {code: _sources(folder, code, sets_aside) for code in codes}}


def study_of(folder: Path) -> str:
    """The study of a results folder; no opening is read.

    Raises:
        InputError: as `read_plan`.
    """
    return _needed(folder)["study"]


def notes_of_openings(folder: Path, sets_aside: bool = False) -> list[dict[str, Any]]:
    """What all openings said that can be read, in their order."""
    notes = (_read_note(path, _OPENING, sets_aside) for path in _openings(folder))
    return [note for note in notes if note is not None]


def last_opening(folder: Path, sets_aside: bool = False) -> dict[str, Any] | None:
    """What the last opening of a results folder said that can be read; None where there is none.

    Args:
        sets_aside: damaged notes are set aside; otherwise nothing is written.
    """
    notes = (_read_note(path, _OPENING, sets_aside) for path in reversed(_openings(folder)))
    return next((note for note in notes if note is not None), None)


def _settled(out: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """The plan that is there; the own one where there was none, or one that is damaged and can be made again."""
    path = out / "plan.json"
    while True:
        try:
            there = _stored(out)
        except Damaged:
            if not has_ended_trials(out):  # nothing says that it is ours
                raise
            _check_results(out, own["fingerprint"])
            _set_aside_plan(out)
            there = None
        if there is not None:
            return there
        if (out / "results.csv").exists() and not has_ended_trials(out):
            raise InputError(f"out: {out}/results.csv has no plan.json beside it; choose another folder")
        _check_results(out, own["fingerprint"])
        _create(path, _sealed(own))


def _check_results(out: Path, fingerprint: str) -> None:
    """Refuse to make a plan beside results of another one, whose seals tell what a lost plan does not.

    Raises:
        InputError: the results belong to another configuration.
    """
    for name in sorted(ended_names(out)):
        try:
            read_sealed(out / "trials" / name, fingerprint)
            return
        except (Damaged, FileNotFoundError):
            continue
        except InputError as error:
            raise InputError(
                f"out: {out} holds results of another configuration, and its plan.json is damaged or missing; give "
                "the options with which they were made, or choose another folder"
            ) from error


def _set_aside_plan(out: Path) -> None:
    """Set a damaged plan aside, once: it is read again when no other process can be doing so."""
    with Claims(out) as claims:
        for _ in claims.wait(_CLAIM):
            interruption.check()
        try:
            _stored(out)
        except Damaged as error:
            warnings.warn(f"{error}; it is kept as {set_aside(out / 'plan.json')}; a new one was written", stacklevel=5)
        claims.release(_CLAIM, done=True)


def _create(path: Path, text: str) -> None:
    """Write a file unless another process has."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.unfinished")
    write_file(unfinished, text)
    with explained(path):
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        except OSError:  # a disk without links; of two plans that differ one remains, and is compared with
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def _stored(folder: Path) -> dict[str, Any] | None:
    """What `plan.json` says; None where there is none."""
    path = folder / "plan.json"
    plan = _read(path, _WHAT, _REMEDY)
    if plan is None:
        return None
    if plan and "layout" not in plan and ("openings" in plan or "facts" in plan or "fingerprint" in plan):
        openings = plan.get("openings") or [{}]
        last = openings[-1] if isinstance(openings, list) and isinstance(openings[-1], dict) else {}
        raise InputError(
            f"out: {folder} was written by an earlier version; check out its commit, "
            f"{last.get('commit') or plan.get('commit', 'unknown')}, to read it, or choose another folder"
        )
    if isinstance(plan.get("layout"), int) and plan["layout"] > LAYOUT:
        raise InputError(f"out: {folder} was written by a later version; update segjax to read it")
    return _unsealed(path, plan, _FACTS, _WHAT, _REMEDY)


def _needed(folder: Path) -> dict[str, Any]:
    plan = _stored(folder)
    if plan is None:
        raise InputError(f"{folder}: has no plan.json; give the --out folder of a study")
    return plan


def _openings(folder: Path) -> list[Path]:
    """The notes of all openings, in their order."""
    return sorted(path for path in (folder / "openings").glob("*-*.json") if path.name[:6].isdecimal())


def _sources(folder: Path, code: str, sets_aside: bool = False) -> dict[str, str]:
    """Hashes of the sources of a version of the code; empty where they are not known."""
    note = _read_note(folder / "code" / f"{code}.json", {"sources": dict}, sets_aside)
    return note["sources"] if note else {}


def _read_note(path: Path, needed: Mapping[str, type], sets_aside: bool = False) -> dict[str, Any] | None:
    """A note beside the plan; one that is damaged is named and left out, since no result depends on it."""
    what, remedy = _NOTES[path.parent.name], "no result depends on it, and it was left out"
    try:
        note = _read(path, what, remedy)
        return None if note is None else _unsealed(path, note, needed, what, remedy)
    except Damaged as error:
        kept = f"; it is kept as {set_aside(path)}" if sets_aside else ""
        warnings.warn(f"{error}{kept}", stacklevel=2)
        return None


def _read(path: Path, what: str, remedy: str) -> dict[str, Any] | None:
    """A JSON object; None where there is none, which another process may have set aside just now."""
    if not path.exists():
        return None
    try:
        return read_json(path, what, {}, remedy)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        if isinstance(error.__cause__, OSError):  # the disk, not the content
            raise
        raise Damaged(str(error)) from error


def _sealed(content: Mapping[str, Any]) -> str:
    """JSON with the hash of its content."""
    return json.dumps({**content, "seal": _seal(content)}, indent=1) + "\n"


def _unsealed(
    path: Path, content: dict[str, Any], needed: Mapping[str, type], what: str, remedy: str
) -> dict[str, Any]:
    seal = content.pop("seal", None)
    if seal != _seal(content) or any(not isinstance(content.get(name), kind) for name, kind in needed.items()):
        raise Damaged(f"{path}: is not {what}, or was changed; {remedy}")
    return content


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> list[str]:
    """Options whose values differ, with both values."""
    found = []
    for name in dict.fromkeys((*new, *old)):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += _differences(before, now, f"{above}{name}.")
        elif before != now:
            found.append(f"{above}{name}: {_shown(before)} there, {_shown(now)} now")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
