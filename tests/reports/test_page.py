"""The page: self-contained, escaped, deterministic, its answer first, honest when there is nothing to show."""

import base64
import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from segjax.evaluation.picture import METRICS
from segjax.reports import Gallery, Page, chart, write_page
from segjax.reports.gallery import PREDICTION_LEGEND, prediction_look
from segjax.reports.index import write_index
from segjax.reports.page import index_beside, write_card, write_status
from segjax.reports.page_facts import facts_of
from segjax.types import InputError

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Text, addresses and balance of a page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.addresses, self.ids, self.tags, self.heads = [], [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader, re.sub(r"\s+", " ", " ".join(reader.text))


def drawn(narrow):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1], marker="o", clip_on=True)
    return figure


def charted(title="Dice falls", table=None):
    numbers = pd.DataFrame({"error": ["omission"], "Dice": [0.82]}) if table is None else table
    return chart(title, "How far does Dice fall?", drawn, numbers, "Points are means.")


def pictured(title="Worst and best", captions=("worst",)):
    truth = np.zeros((6, 6), np.int32)
    truth[2:4, 2:4] = 1
    looks = [prediction_look(caption, np.zeros((6, 6, 1), np.float32), truth, truth > 0) for caption in captions]
    return Gallery(
        title, "Test pictures.", ("picture", "ground truth", "prediction"), PREDICTION_LEGEND, {"U-Net": looks}
    )


PAGE = Page(
    title="How wrong?",
    question="How wrong may labels be?",
    verdict="30 % omitted cells cost 8.5 points.",
    notes=["Nothing is decided."],
    lead=charted(),
    table=pd.DataFrame({"compared": ["U-Net with clean labels"], "difference": ["+8.5"]}),
    cautions=["Pixels are coarse."],
    charts={"more": charted("Surface Dice falls")},
    galleries=[pictured()],
    tables={"dice": pd.DataFrame({"network": ["unet"], "mean": [0.82]})},
    metrics=METRICS,
    glossary="A Dice point is 0.01.",
    failures=pd.DataFrame(columns=["network", "what happened"]),
    config={"data": "microscope:hl60", "levels": [0.1, 0.3]},
    provenance={"versions": {"jax": "0.10.2"}, "command": "python -m experiments.annotation_errors"},
)


def written(path, **changes):
    write_page(path, dataclasses.replace(PAGE, **changes))
    return path


def test_a_page_needs_nothing_but_itself(tmp_path):
    path = written(tmp_path / "report.html")
    reader, _ = read(path)
    assert reader.addresses and all(re.match("data:image/|data:text/csv|#", one) for one in reader.addresses)
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert not {"link", "iframe", "object"} & set(reader.tags)
    text = path.read_text(encoding="utf-8")
    assert "<script src" not in text and "@import" not in text
    assert not re.search(r"url\((?!data:|#)", text)


def test_the_answer_comes_first_and_everything_is_there(tmp_path):
    failures = pd.DataFrame({"network": ["SegNet"], "what happened": ["predicted background only"]})
    reader, text = read(written(tmp_path / "report.html", failures=failures))
    order = [
        "How wrong may labels be?",
        "30 % omitted cells cost 8.5 points.",
        "Nothing is decided.",
        "Dice falls",
        "How far does Dice fall?",
        "Points are means.",
        "Decisions",
        "U-Net with clean labels",
        "Before you rely on this",
        "Pixels are coarse.",
        "Surface Dice falls",
        "Worst and best",
        "worst: Dice 1.00",
        "Dice, mean of the test pictures",
        "A Dice point is 0.01.",
        METRICS["hd95"].empty,
        METRICS["aji"].formula,
        "predicted background only",
        "versions: jax 0.10.2",
        '"levels": [ 0.1, 0.3 ]',
    ]
    body = text[text.index("How wrong may") :]
    places = [body.index(part) for part in order]
    assert places == sorted(places)
    assert "30\N{NO-BREAK SPACE}% omitted cells" in "".join(reader.text)  # a number and its unit stay on one line


def test_every_text_is_escaped(tmp_path):
    nasty = "<script>alert('a & b')</script>"
    table = pd.DataFrame({nasty: [nasty]})
    path = written(
        tmp_path / "report.html",
        title=nasty,
        question=nasty,
        verdict=nasty,
        notes=[nasty],
        lead=charted(nasty, table)._replace(question=nasty, caption=nasty),
        table=table,
        cautions=[nasty],
        charts={"more": charted(nasty, table)},
        galleries=[
            pictured(nasty, (nasty,))._replace(caption=nasty, rows={nasty: pictured(nasty, (nasty,)).rows["U-Net"]})
        ],
        tables={nasty: table},
        failures=table,
        glossary=nasty,
        config={nasty: nasty},
        provenance={nasty: nasty},
    )
    reader, text = read(path)
    assert reader.tags.count("script") == 1  # the page's own
    assert text.count(nasty) >= 20


def test_equal_input_gives_equal_bytes(tmp_path):
    first, second = (written(tmp_path / name, lead=charted()).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_an_empty_page_has_its_verdict_and_no_empty_heading(tmp_path):
    write_page(tmp_path / "report.html", Page("Title", "A question?", "There are no results yet."))
    reader, text = read(tmp_path / "report.html")
    assert text.strip() == "Title Title A question? There are no results yet."
    assert "h2" not in reader.tags


def test_pictures_may_show_the_answer_instead_of_a_chart(tmp_path):
    path = written(tmp_path / "report.html", lead=pictured("Sites found"), galleries=[pictured("More")])
    _, text = read(path)
    assert text.index("Sites found") < text.index("Before you rely on this") < text.index("More")


def test_a_picture_that_is_shown_often_is_held_once(tmp_path):
    once, often = (
        written(tmp_path / name, galleries=[pictured(captions=captions)]).read_text()
        for name, captions in (("once.html", "a"), ("often.html", "abcdef"))
    )
    styles = [re.findall(r"\.p\d+ \{ background-image", text) for text in (once, often)]
    assert len(styles[0]) == len(styles[1]) == 1
    assert often.count('role="img"') - once.count('role="img"') == 5


def test_long_tables_of_decisions_are_folded_after_twelve_rows(tmp_path):
    _, text = read(written(tmp_path / "report.html", table=pd.DataFrame({"compared": [f"row {i}" for i in range(15)]})))
    assert text.index("row 11") < text.index("3 more") < text.index("row 12")


def test_every_table_can_be_saved_whole_and_opens_safely_in_a_spreadsheet(tmp_path):
    frame = pd.DataFrame({"name": ["=1+1", "ä, b"], "value": [0.123456, None]})
    reader, text = read(written(tmp_path / "report.html", tables={"numbers": frame}))
    saved = [base64.b64decode(one.partition("base64,")[2]).decode() for one in reader.addresses if "text/csv" in one]
    assert "error,Dice\nomission,0.82\n" in saved  # behind the main chart
    (own,) = [text for text in saved if text.startswith("name,value")]
    assert own.splitlines()[1] == "'=1+1,0.123456" and own.splitlines()[2] == '"ä, b",'
    assert text.count("Save as CSV") == len(saved)


def test_missing_numbers_are_dashes_and_columns_are_words(tmp_path):
    frame = pd.DataFrame({"network": ["unet", "msd"], "label_dice": [float("nan"), 0.5], "n": [0, 2]})
    _, text = read(written(tmp_path / "report.html", tables={"dice": frame}))
    assert re.search(r"network label dice n U-Net - 0 MSD 0\.5 2", text)


def test_a_page_says_what_it_is_to_an_index_and_links_to_it(tmp_path):
    path = tmp_path / "runs" / "one" / "report.html"
    path.parent.mkdir(parents=True)
    written(path, index=index_beside(path))
    assert "All pages of this folder" not in path.read_text()
    facts = facts_of(path)
    assert (facts.title, facts.verdict) == ("How wrong?", "30 % omitted cells cost 8.5 points.")
    write_index(tmp_path / "runs")
    written(path, index=index_beside(path))
    assert '<a href="../index.html">All pages of this folder</a>' in path.read_text()


def test_a_failed_write_keeps_the_old_page(tmp_path, monkeypatch):
    written(tmp_path / "report.html")
    before = (tmp_path / "report.html").read_bytes()

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(type(tmp_path), "replace", refuse)
    with pytest.raises(InputError, match=r"report\.html: cannot be written \(disk full\)"):
        written(tmp_path / "report.html", title="Another")
    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_data_card_is_one_page_with_its_verdict_first(tmp_path):
    content = {
        "title": "Data card: cells",
        "verdict": "These 3 pictures can be used.",
        "is_usable": True,
        "findings": {"Problems": pd.DataFrame(), "Remarks": pd.DataFrame({"file": ["a<b>.png"], "what": ["odd"]})},
        "facts": [("pictures read", "3")],
        "sizes": charted("Half of the objects are wider than 7 px"),
        "tables": {"Classes": pd.DataFrame({"class": ["round"], "objects": [9]})},
        "gallery": pictured("Gallery"),
        "uses": [("few_shot", "", "its objects have no types"), ("annotation_errors", "python -m x --data 'a&b'", "")],
        "rules": {"Sizes": "A disc of the same area."},
        "provenance": {"digest": "abc"},
    }
    write_card(tmp_path / "card.html", **content)
    _, text = read(tmp_path / "card.html")
    body = text[text.index("These 3") :]
    order = ("can be used.", "a<b>.png", "pictures read", "Half of the objects", "worst: Dice 1.00", "digest abc")
    assert [body.index(part) for part in order] == sorted(body.index(part) for part in order)
    page = (tmp_path / "card.html").read_text()
    assert "Problems" not in text and "python -m x --data &#39;a&amp;b&#39;" in page
    assert page.count('class="mark yes"') == 1 and page.count('class="mark no"') == 1
    none = Gallery("Gallery", "No picture can be shown.", (), (), {})
    write_card(tmp_path / "card.html", **(content | {"is_usable": False, "sizes": None, "gallery": none}))
    _, text = read(tmp_path / "card.html")
    assert "Sizes of objects" not in text and "No picture can be shown" in text
    assert "verdict refused" in (tmp_path / "card.html").read_text()


def test_a_status_page_counts_and_names_what_runs(tmp_path):
    running = {"Running": pd.DataFrame({"trial": ["<a>"]})}
    asked = {"title": "Study", "sentence": "3 of 8 trials are done", "done": 3, "failed": 1, "total": 8, "seconds": 5}
    write_status(tmp_path / "status.html", **asked, tables=running)
    _, text = read(tmp_path / "status.html")
    assert "3 of 8 trials are done." in text and "<a>" in text
    page = (tmp_path / "status.html").read_text()
    assert "width: 37.5%" in page and "width: 12.5%" in page
    write_status(tmp_path / "status.html", **(asked | {"total": None}), tables={})
    _, text = read(tmp_path / "status.html")
    assert "3 of ?: Study" in text and "No trial is running" in text
