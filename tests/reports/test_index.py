"""The index page: what it lists, what it leaves alone, and several processes that write it at once."""

import os
import re
from pathlib import Path

import pytest

from segjax.reports import index
from segjax.reports.index import refresh_index, write_index
from segjax.reports.page_facts import facts_of, has_index, pages_of
from segjax.types import InputError
from tests.reports.test_page import read

HEAD = '<!DOCTYPE html><html><head><meta charset="utf-8">'


def page(path: Path, title="A title", verdict="A verdict", made=1000.0, extra="") -> Path:
    """A page with the head of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    style = "<style>" + "p { margin: 0 }" * 9000 + "</style>"  # longer than what is read at once
    metas = f'<meta name="generator" content="segjax"><meta content="{verdict}" name="description">{extra}'
    path.write_text(f"{HEAD}{style}{metas}<title>{title}</title></head><body><title>in a drawing</title></body></html>")
    os.utime(path, (made, made))
    return path


def listed(folder: Path) -> list[str]:
    reader, _ = read(folder / "index.html")
    return reader.addresses


def test_every_page_of_ours_is_listed_the_newest_first_with_what_it_says(tmp_path):
    page(tmp_path / "demo" / "report.html", "Errors", "30 % omitted cells cost &lt; 2 points &amp; more", 3000.0)
    page(tmp_path / "a b#?" / "review.html", "Für &quot;mich&quot;", "", 2000.0)
    page(tmp_path / "card.html", "Card\n of  pictures", "Usable", 1000.0)
    lacking = '<meta name="segjax-missing" content="12 of 48 trials">'
    page(tmp_path / "half" / "report.html", "Half", "Too early", 500.0, lacking)
    page(tmp_path / "deep" / "down" / "report.html")
    page(tmp_path / ".hidden" / "report.html")
    (tmp_path / "foreign.html").write_text(f"{HEAD}<title>Mine</title></head></html>")
    assert write_index(tmp_path) == 4
    assert listed(tmp_path) == ["demo/report.html", "a%20b%23%3F/review.html", "card.html", "half/report.html"]
    _, text = read(tmp_path / "index.html")
    verdict, missing = "30 % omitted cells cost < 2 points & more", "Partial: 12 of 48 trials missing"
    for part in (verdict, missing, 'Für "mich"', "Card of pictures", "demo/report.html"):
        assert part in text
    assert text.count("Partial") == 1 and re.search(r"made on 19(70|69)-\d\d-\d\d at \d\d:\d\d", text)
    assert write_index(tmp_path) == 4  # it lists itself never


def test_a_folder_without_pages_says_so_and_how_one_comes_there(tmp_path):
    assert write_index(tmp_path) == 0
    assert "There is no page yet." in read(tmp_path / "index.html")[1] and has_index(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<![foo bar",
        "<!-- never ends",
        "<head><title>x",
        '<meta name="generator" content="quarto-1.4">',
        '<body><meta name="generator" content="segjax"></body>',
        "\x00\x01<<<>>><meta><meta name><meta name=generator>",
        "<script>" * 1000,
    ],
)
def test_pages_of_others_are_not_listed_and_never_replaced(tmp_path, text):
    path = tmp_path / "index.html"
    path.write_text(text)
    assert facts_of(path) is None
    with pytest.raises(InputError, match=r"index\.html: is not an index page of segjax; move it away"):
        write_index(tmp_path)
    refresh_index(tmp_path)
    assert path.read_text() == text and not has_index(tmp_path)


def test_a_report_that_somebody_named_index_is_not_replaced(tmp_path):
    path = page(tmp_path / "index.html")
    before = path.read_bytes()
    with pytest.raises(InputError, match="is not an index page"):
        write_index(tmp_path)
    refresh_index(tmp_path)
    assert path.read_bytes() == before


def test_what_is_no_page_is_passed_over_and_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    page(tmp_path / "report.html")
    (tmp_path / "bytes.html").write_bytes(bytes(range(256)) * 20000)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "broken.html").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.html")
    locked, really = page(tmp_path / "sub" / "locked.html"), Path.open

    def denied(path, *args, **options):
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *args, **options)

    monkeypatch.setattr(Path, "open", denied)
    assert write_index(tmp_path) == 1
    assert "could not be read: sub/locked.html: Permission denied" in read(tmp_path / "index.html")[1]


def test_an_index_is_refreshed_only_where_there_is_one(tmp_path):
    page(tmp_path / "one" / "report.html")
    refresh_index(tmp_path)
    assert not (tmp_path / "index.html").exists()
    write_index(tmp_path)
    page(tmp_path / "two" / "report.html", made=2000.0)
    refresh_index(tmp_path)
    assert listed(tmp_path) == ["two/report.html", "one/report.html"]


def test_a_page_that_came_while_the_index_was_written_is_listed(tmp_path, monkeypatch):
    page(tmp_path / "one" / "report.html")
    really, written = index._render, []

    def slow(path, template, **content):
        if not written:  # another process ends, and writes its own index, before ours replaces it
            page(tmp_path / "two" / "report.html", made=2000.0)
        written.append(len(content["entries"]))
        really(path, template, **content)

    monkeypatch.setattr(index, "_render", slow)
    assert write_index(tmp_path) == 2
    assert written == [1, 2] and len(listed(tmp_path)) == 2


def test_the_facts_of_a_page(tmp_path):
    path = page(tmp_path / "run" / "report.html")
    assert facts_of(path) == (path, "A title", "A verdict", "", False, 1000.0)
    assert facts_of(tmp_path / "nowhere.html") is None
    write_index(tmp_path / "run")
    assert [facts.title for facts in pages_of(tmp_path)[0]] == ["Results in run", "A title"]


def test_a_link_to_the_index_itself_is_no_page_of_it(tmp_path):
    (tmp_path / "latest").symlink_to(tmp_path)
    (tmp_path / "home.html").symlink_to(tmp_path / "index.html")
    assert [write_index(tmp_path) for _ in range(2)] == [0, 0]
