"""The command that takes screenshots of pages and says what is wrong with them."""

import sys

import numpy as np
import pytest
from PIL import Image

from tests.pages import shoot
from tests.pages.browser import NONE, PAPER, chromium

pytestmark = [
    pytest.mark.slow,  # browsers are started
    pytest.mark.skipif(chromium() is None, reason=NONE),
]

BODY = """<!DOCTYPE html><html lang="en"><head><title>Shot</title><meta charset="utf-8"><style>
body { margin: 0; background: #f00; } @media (prefers-color-scheme: dark) { body { background: #000; } }
@media print { body { background: #00f; } }
</style></head><body><main><h1 style="height: 1800px">Shot</h1><img src="data:,"></main></body></html>"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    def call(*options, page="study/report.html"):
        (tmp_path / "study").mkdir(exist_ok=True)
        (tmp_path / "study" / "report.html").write_text(BODY, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["shoot", page, "--out", "shots", *options])
        shoot.main()
        return capsys.readouterr().out

    return call


def shots(folder):
    """Each picture as an array, by view."""
    found = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as shot:
            found[path.stem.removeprefix("study-report-")] = np.asarray(shot.convert("RGB"))
    return found


def test_a_page_is_shot_in_every_view(command, tmp_path):
    command()
    found = shots(tmp_path / "shots")
    widths = {"1200": 1200, "400": 400, "dark": 1200, "deuteranopia": 1200, "print": PAPER}
    assert {view: shot.shape[1] for view, shot in found.items()} == widths
    assert all(shot.shape[0] > 1800 for shot in found.values())
    corners = {view: tuple(map(int, shot[1790, 5])) for view, shot in found.items()}
    red, green, _ = corners.pop("deuteranopia")
    assert red < 220 and green > 80  # not red for this reader
    assert corners == {"1200": (255, 0, 0), "400": (255, 0, 0), "dark": (0, 0, 0), "print": (0, 0, 255)}


def test_a_long_page_is_cut_into_pieces_and_faults_are_told(command, tmp_path):
    said = command("--views", "400", "--cut", "1000", "--check")
    heights = [len(shot) for shot in shots(tmp_path / "shots").values()]
    assert heights[0] == 1000 and len(heights) == 2 and sum(heights) > 1800
    assert "400 without_alternative: img" in said


def test_a_missing_page_is_named(command, capsys):
    with pytest.raises(SystemExit):
        command(page="nowhere.html")
    assert "no such file: nowhere.html" in capsys.readouterr().err
