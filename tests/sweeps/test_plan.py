"""A results folder belongs to one configuration and code, whatever happens to what says so."""

import errno
import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from segjax.sweeps import plan as plan_module
from segjax.sweeps.plan import read_plan
from segjax.types import InputError
from tests.tiny_ledger import TRIALS, add, open_ledger, plan_with, snapshot


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"facts": {"depth": 2}}, r"another configuration \(depth: 1 there, 2 now\); choose another folder"),
        ({"facts": {"depth": 1, "loss": {"name": "focal", "alpha": None}}}, r"\(loss: none there, .*focal"),
        (
            {"facts": {"digest": "2"}, "data": "folder:b"},
            r"digest: none there, 2 now; .*data: .*hl60 there, folder:b now",
        ),
        ({"study": "huge"}, "results of the study tiny; choose another folder"),
    ],
)
def test_another_configuration_or_study_is_refused_and_nothing_is_overwritten(tmp_path, other, message):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=message):
        open_ledger(tmp_path, plan_with(**other), accept_code=True)
    assert snapshot(tmp_path) == before


def test_results_of_another_configuration_that_came_into_the_folder_are_refused_by_name(tmp_path):
    with open_ledger(tmp_path / "one") as ledger, open_ledger(tmp_path / "two", plan_with({"depth": 2})) as other:
        add(ledger, TRIALS[0])
        add(other, TRIALS[1])
        (wrong,) = (tmp_path / "two" / "trials").iterdir()
        wrong.rename(there := tmp_path / "one" / "trials" / wrong.name)
        with pytest.raises(
            InputError, match=rf"{there}: belongs to {{'depth':2}}, not to {{'depth':1}}; .*move it away"
        ):
            ledger.table()
        assert there.exists()


OLD = {"segjax/a.py": "1", "segjax/b.py": "1", "tiny/gone.py": "1"}
NEW = {"segjax/a.py": "1", "segjax/b.py": "2", "tiny/new.py": "1"}


def test_other_code_is_refused_with_the_files_that_differ_and_nothing_is_overwritten(tmp_path):
    with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
        add(ledger, TRIALS[0])
    before = snapshot(tmp_path)
    said = (
        r"other code \(commit c0ffee, this is decade; differing in segjax/b.py, tiny/gone.py, tiny/new.py\); "
        "choose another folder, or go on with --accept-code"
    )
    with pytest.raises(InputError, match=said):
        open_ledger(tmp_path, plan_with(sources=NEW, code="bbbbbbbb", commit="decade"))
    assert snapshot(tmp_path) == before


def test_other_code_that_was_accepted_goes_on_and_the_first_code_is_refused_then(tmp_path):
    with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
        add(ledger, TRIALS[0])
    other = plan_with(sources=NEW, code="bbbbbbbb", commit="decade")
    with open_ledger(tmp_path, other, accept_code=True) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[1:]
    with open_ledger(tmp_path, other) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[1:]
    with pytest.raises(InputError, match="commit decade, this is c0ffee"):
        open_ledger(tmp_path, plan_with(sources=OLD))


def test_other_code_may_begin_a_folder_that_has_no_results_yet(tmp_path):
    open_ledger(tmp_path, plan_with(sources=OLD)).__exit__()
    with open_ledger(tmp_path, plan_with(sources=NEW, code="bbbbbbbb")) as ledger:
        assert ledger.missing(TRIALS) == TRIALS


def test_the_plan_keeps_every_opening_and_the_sources_of_every_code(tmp_path):
    first, second = plan_with(sources=OLD), plan_with(sources=NEW, code="bbbbbbbb", commit="decade")
    for plan in (first, first, {**second, "config": {"depth": 1}, "trials": 4}):
        open_ledger(tmp_path, plan, accept_code=True).__exit__()
    kept = read_plan(tmp_path)
    assert kept["openings"] == [first["opening"], first["opening"], second["opening"]]
    assert kept["sources"] == {"aaaaaaaa": OLD, "bbbbbbbb": NEW}
    assert (kept["config"], kept["trials"]) == ({"depth": 1}, 4)
    assert {name: kept[name] for name in ("study", "data", "facts", "fingerprint")} == {
        name: first[name] for name in ("study", "data", "facts", "fingerprint")
    }


def test_the_last_opening_is_the_last_whatever_the_clocks_say(tmp_path):
    for when in ("2031", "2030", "2029"):
        opening = {"code": "aaaaaaaa", "commit": "c", "when": when}
        open_ledger(tmp_path, {**plan_with(), "opening": opening}).__exit__()
    assert [opening["when"] for opening in read_plan(tmp_path)["openings"]] == ["2031", "2030", "2029"]


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_that_begin_a_folder_at_once_one_writes_the_plan_and_the_others_find_it(
    tmp_path, monkeypatch, has_links
):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr("os.link", no_links)
    plans = [plan_with({"depth": depth}) for depth in (1, 2) for _ in range(4)]

    def begin(plan):
        try:
            open_ledger(tmp_path, plan).__exit__()
        except InputError as error:
            return str(error)
        return plan["fingerprint"]

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(begin, plans))
    kept = read_plan(tmp_path)["fingerprint"]
    if has_links:
        assert said.count(kept) == 4 and sum("results of another configuration" in one for one in said) == 4
    assert kept in said and not list(tmp_path.glob("*.unfinished")) and not list(tmp_path.glob(".*.unfinished"))


@pytest.mark.parametrize(
    ("plan", "commit"),
    [
        ({"openings": [{"commit": "0ld"}, {"code": "a", "commit": "e55d1bf"}]}, "e55d1bf"),
        ({"commit": "3d4f586"}, "3d4f586"),
        ({}, "unknown"),
        ({"openings": "yesterday"}, "unknown"),
    ],
)
def test_folders_of_earlier_versions_are_refused_with_the_commit_that_reads_them(tmp_path, plan, commit):
    (tmp_path / "plan.json").write_text(json.dumps({"study": "tiny", "fingerprint": "a", "facts": {}, **plan}))
    (tmp_path / "results.csv").write_text("study\n")
    before = snapshot(tmp_path)
    for opening in (open_ledger, read_plan):
        with pytest.raises(InputError, match=f"by an earlier version; check out its commit, {commit}, to read it"):
            opening(tmp_path)
    assert snapshot(tmp_path) == before


def test_folders_of_later_versions_and_folders_without_results_are_refused(tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"layout": 3}))
    with pytest.raises(InputError, match="by a later version; update segjax"):
        open_ledger(tmp_path)
    with pytest.raises(InputError, match="give the --out folder of a study"):
        read_plan(tmp_path / "nowhere")
    (tmp_path / "plan.json").unlink()
    (tmp_path / "results.csv").write_text("something\n")
    with pytest.raises(InputError, match=r"no plan\.json"):
        open_ledger(tmp_path)


NO_PLANS = {
    "list": b"[]", "number": b"3", "text": b'"plan"', "nothing": b"null", "empty": b"", "cut": b'{"study": "ti',
    "UTF-16": '{"study": "tiny"}'.encode("utf-16"), "cp1252": '{"study": "K\u00e4fer"}'.encode("cp1252"),
    "deep": b"[" * 100_000, "another object": b'{"a": 1}',
    "unsealed": json.dumps({**plan_with(), "layout": 2}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", NO_PLANS.values(), ids=NO_PLANS)
def test_a_damaged_plan_is_named_and_the_command_that_made_the_folder_makes_it_again(tmp_path, content):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    whole = (tmp_path / "plan.json").read_bytes()
    (tmp_path / "plan.json").write_bytes(content)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"plan\.json: .*the command that made the folder makes it again"):
        read_plan(tmp_path)
    assert snapshot(tmp_path) == before
    with (
        pytest.warns(UserWarning, match=r"plan\.json: .*it is kept as .*plan\.json\.damaged; a new one was written"),
        open_ledger(tmp_path) as again,
    ):
        assert again.missing(TRIALS) == TRIALS[1:] and len(again.table()) == 3
    assert (tmp_path / "plan.json").read_bytes() == whole
    assert (tmp_path / "plan.json.damaged").read_bytes() == content


def test_a_plan_that_another_process_has_just_made_again_is_not_set_aside(tmp_path, monkeypatch):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    path = tmp_path / "plan.json"
    whole = path.read_bytes()
    path.write_bytes(b"cut")

    def slow(folder):
        monkeypatch.undo()
        path.write_bytes(whole)  # the faster process
        return True

    monkeypatch.setattr(plan_module, "has_ended_trials", slow)
    open_ledger(tmp_path).__exit__()
    assert path.read_bytes() == whole and not list(tmp_path.glob("*.damaged*"))


def test_a_plan_that_goes_while_it_is_read_counts_as_absent(tmp_path, monkeypatch):
    open_ledger(tmp_path).__exit__()
    whole, read = (tmp_path / "plan.json").read_bytes(), plan_module.read_json

    def gone(path, *others):
        monkeypatch.undo()
        path.unlink()
        return read(path, *others)

    monkeypatch.setattr(plan_module, "read_json", gone)
    open_ledger(tmp_path).__exit__()
    assert (tmp_path / "plan.json").read_bytes() == whole


@pytest.mark.filterwarnings("ignore:.*plan.json")
def test_many_processes_that_find_a_damaged_plan_at_once_keep_one_copy_and_make_one_plan(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    path = tmp_path / "plan.json"
    whole = path.read_bytes()
    for _ in range(5):
        path.write_bytes(b"cut")
        with ThreadPoolExecutor(8) as pool:
            for opened in pool.map(lambda _: open_ledger(tmp_path), range(8)):
                opened.__exit__()
    assert path.read_bytes() == whole
    assert [one.read_bytes() for one in tmp_path.glob("plan.json.damaged*")] == [b"cut"] * 5


@pytest.mark.parametrize("content", NO_PLANS.values(), ids=NO_PLANS)
def test_what_is_no_plan_in_a_folder_without_our_results_is_kept(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(InputError, match=r"plan\.json: "):
        open_ledger(tmp_path)
    assert snapshot(tmp_path) == {"plan.json": content}


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_a_lost_plan_is_made_again_for_the_configuration_of_the_results_only(tmp_path, lost):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    plan = tmp_path / "plan.json"
    plan.unlink() if lost == "gone" else plan.write_bytes(plan.read_bytes()[:20])
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"holds results of another configuration, and its plan\.json is damaged or"):
        open_ledger(tmp_path, plan_with({"depth": 2}))
    assert snapshot(tmp_path) == before
    with warnings.catch_warnings(action="ignore"), open_ledger(tmp_path) as ledger:
        assert len(ledger.table()) == 3


@pytest.mark.parametrize("folder", ["openings", "code"])
def test_a_damaged_note_is_set_aside_and_named_and_the_rest_goes_on(tmp_path, folder):
    for _ in range(2):
        with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
            add(ledger, TRIALS[0])
    note = sorted((tmp_path / folder).iterdir())[-1]
    note.write_bytes(note.read_bytes().replace(b"a", b"b", 1))
    before, what = snapshot(tmp_path), {"openings": "the note of an opening", "code": "the hashes of a version"}[folder]
    with pytest.warns(UserWarning, match=rf"{note}: is not {what}.*; no result depends on it, and it was left out$"):
        assert len(read_plan(tmp_path)["openings"]) == (1 if folder == "openings" else 2)
    assert snapshot(tmp_path) == before
    with (
        pytest.warns(UserWarning, match=rf"left out; it is kept as {note}\.damaged"),
        open_ledger(tmp_path, plan_with(sources=OLD)) as ledger,
    ):
        assert ledger.missing(TRIALS) == TRIALS[1:]
    assert read_plan(tmp_path)["sources"] == {"aaaaaaaa": OLD}


def test_a_page_sets_aside_the_damaged_note_of_an_earlier_opening(tmp_path):
    for _ in range(2):
        open_ledger(tmp_path).__exit__()
    note = sorted((tmp_path / "openings").iterdir())[0]
    note.write_bytes(b"")
    with pytest.warns(UserWarning, match=rf"left out; it is kept as {note}\.damaged"):
        assert len(read_plan(tmp_path, sets_aside=True)["openings"]) == 1
    assert len(read_plan(tmp_path)["openings"]) == 1 and not note.exists()
