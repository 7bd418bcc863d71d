"""The command that lists the pages of a folder, and runs that list themselves."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import index
from experiments.harness import run as run_module
from experiments.publish import study_names
from segjax.reports.index import write_index
from segjax.reports.page_facts import has_index
from segjax.types import InputError
from tests.experiments.harness.tiny import study
from tests.reports.test_index import listed, page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command; gives what it printed and what it would have started."""

    def run(*options):
        started = []
        monkeypatch.setattr(sys, "argv", ["index", *map(str, options)])
        monkeypatch.setattr(subprocess, "Popen", lambda line, **_: started.append(line))
        index.main()
        return capsys.readouterr().out, started

    return run


def test_the_command_names_the_page_by_an_address(command, tmp_path):
    page(tmp_path / "my runs" / "one" / "report.html")
    text, started = command(tmp_path / "my runs")
    address = f"file://{tmp_path}/my%20runs/index.html"
    assert text == f"1 page: {address}\n" and started == []
    assert listed(tmp_path / "my runs") == ["one/report.html"]


def test_an_index_without_pages_says_where_they_will_be_listed(command, tmp_path):
    assert command(tmp_path)[0] == f"no page yet; pages will be listed in this file: file://{tmp_path}/index.html\n"


def test_a_browser_is_opened_only_where_there_is_a_desktop_and_by_a_process_of_its_own(command, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert command(tmp_path, "--open")[1] == []
    opening = [[sys.executable, "-m", "webbrowser", f"file://{tmp_path}/index.html"]]
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, ":0")
            assert command(tmp_path, "--open")[1] == opening
            assert command(tmp_path)[1] == []
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        assert command(tmp_path, "--open")[1] == opening


def test_a_folder_that_is_not_there_is_refused_and_not_made(command, tmp_path):
    with pytest.raises(InputError, match=r"folder: .*nowhere is not a folder"):
        command(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def tiny_run(monkeypatch, out, *options, code=None):
    monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out), *options])
    if code is None:
        return run_module.run(study())
    with pytest.raises(SystemExit) as ended:
        run_module.run(study())
    assert ended.value.code == code


def test_a_run_refreshes_the_index_above_it_only_where_there_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        run_module, "write_study_page", lambda study, context, *_: page(context.config.run.out / "report.html")
    )
    tiny_run(monkeypatch, Path("first"))
    assert not has_index(tmp_path)
    write_index(tmp_path)
    tiny_run(monkeypatch, Path("second"))
    assert sorted(listed(tmp_path)) == ["first/report.html", "second/report.html"]
    tiny_run(monkeypatch, Path("third"), "--shard", "1/2", code=4)
    assert len(listed(tmp_path)) == 2  # the page is written by whoever ends last
    tiny_run(monkeypatch, Path("third"), "--report", code=4)
    assert len(listed(tmp_path)) == 3
    assert "not listed" not in capsys.readouterr().out


def test_an_index_that_cannot_be_written_ends_no_run(tmp_path, monkeypatch, capsys):
    def refuse(folder):
        raise InputError(f"{folder}/index.html: no space left")

    monkeypatch.setattr("experiments.harness.page.refresh_index", refuse)
    tiny_run(monkeypatch, tmp_path / "run")
    said = " ".join(capsys.readouterr().out.split())
    assert f"report: {tmp_path}/run/report.html" in said and "the report is not listed: " in said


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_demo_installs_geo_begins_and_ends_with_the_index_and_runs_every_study():
    said = subprocess.run(
        ["make", "-n", "demo", "VENV=not_there"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (install,) = re.findall(r"pip install .* -e '\.\[(.*)\]'", said)
    assert install == "geo,studies"
    ran = re.findall(r"python -m (experiments\.\S+) (.*)", said)
    assert ran[0] == ("experiments.index", "runs --open") and ran[-1] == ("experiments.index", "runs")
    assert {name for name, _ in ran[1:-1]} == {f"experiments.{name}" for name in study_names()}
    assert all(re.fullmatch(r"--scale demo --out runs/\w+", options) for _, options in ran[1:-1])
