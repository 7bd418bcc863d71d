"""The page: self-contained, escaped, deterministic, honest when there is nothing to show."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from segjax.evaluation.picture import METRICS
from segjax.reports import Illustration, write_card, write_page, write_review
from segjax.types import InputError

VOID = {"meta", "img", "br", "link", "hr", "input"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Reader(HTMLParser):
    """Text, addresses and balance of a page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.addresses, self.ids, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader, re.sub(r"\s+", " ", " ".join(reader.text))


def write(path, **changes):
    content = {
        "title": "How wrong?",
        "question": "How wrong may labels be?",
        "answers": ["Already 30 % omitted cells cost U-Net 8.5 points."],
        "figures": {"Dice": Illustration("<svg xmlns='http://www.w3.org/2000/svg'/>", "one curve")},
        "tables": {"dice": pd.DataFrame({"network": ["unet"], "mean": [0.82]})},
        "config": {"data": "microscope:hl60", "levels": [0.1, 0.3]},
        "provenance": {"versions": {"jax": "0.10.2"}, "command": "python -m experiments.annotation_errors"},
        "metrics": METRICS,
    }
    write_page(path, **(content | changes))


def test_page_needs_nothing_but_itself(tmp_path):
    pictures = {"Labels": Illustration(PNG, "one picture", "labels")}
    write(tmp_path / "report.html", figures=pictures)
    reader, _ = read(tmp_path / "report.html")
    assert reader.addresses
    assert all(address.startswith(("#", "data:image/")) for address in reader.addresses)
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"@import|url\(", (tmp_path / "report.html").read_text(encoding="utf-8"))


def test_page_shows_what_it_was_given(tmp_path):
    failures = pd.DataFrame({"network": ["SegNet"], "what happened": ["predicted background only"]})
    write(tmp_path / "report.html", warnings=["Pixels are coarse."], failures=failures)
    reader, text = read(tmp_path / "report.html")
    for part in (
        "Already 30 % omitted cells cost U-Net 8.5 points",
        "Pixels are coarse.",
        "predicted background only",
        "microscope:hl60",
        "one curve",
        "versions: jax 0.10.2",
        '"levels": [ 0.1, 0.3 ]',
        METRICS["aji"].formula,
        METRICS["hd95"].empty,
    ):
        assert part in text
    assert "predicted</h2>" not in (tmp_path / "report.html").read_text()
    assert "Already 30\N{NO-BREAK SPACE}% omitted cells" in "".join(reader.text)


def test_every_text_is_escaped(tmp_path):
    nasty = "<script>alert('a & b')</script>"
    write(
        tmp_path / "report.html",
        title=nasty,
        question=nasty,
        answers=[nasty],
        warnings=[nasty],
        figures={nasty: Illustration(PNG, nasty, "predictions")},
        tables={nasty: pd.DataFrame({nasty: [nasty]})},
        config={nasty: nasty},
        provenance={nasty: nasty},
        failures=pd.DataFrame({nasty: [nasty]}),
    )
    reader, text = read(tmp_path / "report.html")
    assert "script" not in reader.tags
    assert text.count(nasty) >= 12


def test_equal_input_gives_equal_bytes(tmp_path):
    for name in ("a.html", "b.html"):
        write(tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_without_results_says_so(tmp_path):
    write(tmp_path / "report.html", answers=[], figures={}, tables={}, metrics=None)
    _, text = read(tmp_path / "report.html")
    for part in ("There are no curves yet.", "There are no numbers yet.", "no run failed"):
        assert part in text


def test_a_failed_write_keeps_the_old_page(tmp_path, monkeypatch):
    write(tmp_path / "report.html")
    before = (tmp_path / "report.html").read_bytes()

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(type(tmp_path), "replace", refuse)
    with pytest.raises(InputError, match=r"report\.html: cannot be written \(disk full\)"):
        write(tmp_path / "report.html", title="Another")
    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_missing_numbers_are_dashes(tmp_path):
    write(tmp_path / "report.html", tables={"dice": pd.DataFrame({"mean": [float("nan"), 0.5], "n": [0, 2]})})
    _, text = read(tmp_path / "report.html")
    assert re.search(r"mean n - 0 0\.5 2", text)
    assert "Dice, mean of the test pictures" in text


def test_a_review_is_self_contained_and_escaped(tmp_path):
    content = {
        "title": "Mine & <yours>",
        "answers": ["2 objects were added."],
        "legend": [("rgb(1, 2, 3)", "added")],
        "pictures": [("first", PNG, "3 pixels changed"), ("second", PNG, "1 px changed")],
        "unsure": pd.DataFrame({"picture": ["a<b"], "confidence": [0.51]}),
        "config": {"data": "mine"},
        "provenance": {"command": "python -m experiments.upgrade_folder"},
    }
    write_review(tmp_path / "review.html", **content)
    reader, text = read(tmp_path / "review.html")
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
    for part in ("Mine & <yours>", "2 objects were added.", "a<b", "0.51", "upgrade_folder"):
        assert part in text
    assert text.index("first") < text.index("second") and "role" not in text
    nothing = {"pictures": [], "unsure": pd.DataFrame(), "warnings": ["Do not use it."]}
    write_review(tmp_path / "review.html", **(content | nothing))
    _, text = read(tmp_path / "review.html")
    assert all(part in text for part in ("No annotation was changed", "There are no changes", "Do not use it."))


def test_data_card_is_one_page_with_its_verdict_first(tmp_path):
    content = {
        "title": "Data card: cells",
        "verdict": "These 3 pictures can be used.",
        "is_usable": True,
        "findings": {"Problems": pd.DataFrame(), "Remarks": pd.DataFrame({"file": ["a<b>.png"], "what": ["odd"]})},
        "facts": [("pictures read", "3")],
        "sizes": Illustration("<svg/>", "Median 7 px."),
        "tables": {"Classes": pd.DataFrame({"class": ["round"], "objects": [9]})},
        "legend": [("rgb(0, 200, 140)", "round")],
        "pictures": [("a", b"\x89PNG", "9 objects")],
        "uses": [("few_shot", "", "its objects have no types"), ("annotation_errors", "python -m x --data 'a&b'", "")],
        "rules": {"Sizes": "A disc of the same area."},
        "provenance": {"digest": "abc"},
    }
    write_card(tmp_path / "card.html", **content)
    text = (tmp_path / "card.html").read_text()
    body = text[text.index("<main>") :]
    assert body.index("can be used.") < body.index("a&lt;b&gt;.png") < body.index("pictures read") < body.index("rgb(0")
    assert "<h2>Problems" not in text and "python -m x --data &#39;a&amp;b&#39;" in text
    assert text.count("<pre>") == 1 and text.count('class="mark yes"') == 1 and text.count('class="mark no"') == 1
    write_card(tmp_path / "card.html", **(content | {"is_usable": False, "sizes": None, "pictures": [], "legend": []}))
    text = (tmp_path / "card.html").read_text()
    assert "Sizes of objects" not in text and "No picture can be shown" in text and "verdict refused" in text
