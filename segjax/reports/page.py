"""Pages: HTML files that need nothing but themselves, and answer in their first screen."""

import base64
import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from segjax.evaluation.picture import Metric
from segjax.files import PATIENCE, spreadsheet_safe, write_file
from segjax.reports import words
from segjax.reports.charts import Chart, inline
from segjax.reports.gallery import Gallery, Legend
from segjax.reports.page_facts import INDEX, has_index
from segjax.reports.priced import Priced

MOST_DECISIONS = 12  # rows of the first screen's table; further ones are folded


@dataclass(frozen=True)
class Page:
    """What a page says; any character is allowed in every text.

    Attributes:
        title, question: of the page, for people.
        verdict: the answer, in one sentence.
        notes: at most two short sentences that the answer must not be read without.
        lead: the chart, or pictures, that show the answer.
        priced: what that chart shows, for sliders that move its prices.
        table: the numbers behind the answer, the most important first.
        table_title: its heading.
        cautions: what a reader has to know before relying on the page.
        charts: all others, by the stem of the file that each is saved as.
        galleries: pictures.
        tables: all numbers; the name of a metric as in results.csv, or any heading.
        metrics: what the names in results.csv stand for.
        glossary: what the words mean, in sentences.
        failures: one row per trial that failed or was restarted.
        config: the resolved configuration, as it would be written to JSON.
        provenance: versions, digests, command, machine; a value may be a mapping itself.
        missing: what it lacks, such as "12 of 48 trials"; empty where it is complete.
        index: address of the page that lists this one; empty where there is none.
    """

    title: str
    question: str
    verdict: str
    notes: Sequence[str] = ()
    lead: Chart | Gallery | None = None
    priced: Priced | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    table_title: str = "Decisions"
    cautions: Sequence[str] = ()
    charts: Mapping[str, Chart] = field(default_factory=dict)
    galleries: Sequence[Gallery] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    glossary: str = ""
    failures: pd.DataFrame | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    index: str = ""


def write_page(path: Path | str, page: Page) -> None:
    """Write a page as one self-contained HTML file, never seen half written; equal input gives equal bytes.

    Raises:
        InputError: the file cannot be written; a page that was there before is kept.

    >>> import tempfile
    >>> page = Page("Omission", "How many objects may be left out?", verdict="A tenth of them costs nothing")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(Path(folder, "page.html"), page)
    ...     page.verdict in Path(folder, "page.html").read_text(encoding="utf-8")
    True
    """
    galleries = [*([page.lead] if isinstance(page.lead, Gallery) else []), *page.galleries]
    pictures = _Pictures()
    shown = [_gallery(gallery, pictures) for gallery in galleries]
    main = _chart("main", page.lead) if isinstance(page.lead, Chart) else None
    _render(
        Path(path),
        "page.html.j2",
        page=page,
        main=main,
        lead_gallery=shown[0] if isinstance(page.lead, Gallery) else None,
        decisions=_table(page.table_title, page.table.iloc[:MOST_DECISIONS]),
        more_decisions=_table(page.table_title, page.table.iloc[MOST_DECISIONS:]),
        charts=[_chart(stem, chart) for stem, chart in page.charts.items()],
        galleries=shown[1:] if isinstance(page.lead, Gallery) else shown,
        pictures=pictures.addresses,
        tables=[_table(words.METRIC_NAMES.get(name, name), frame) for name, frame in page.tables.items()],
        metrics=[(name, words.METRIC_NAMES.get(name, name), metric) for name, metric in page.metrics.items()],
        failures=None if page.failures is None else _table("Failed and restarted trials", page.failures),
        config=json.dumps(page.config, indent=2, ensure_ascii=False, default=str) if page.config else "",
        provenance=_flat(page.provenance),
    )


def write_card(
    path: Path | str,
    *,
    title: str,
    verdict: str,
    is_usable: bool,
    findings: Mapping[str, pd.DataFrame],
    facts: Sequence[tuple[str, str]],
    sizes: Chart | None,
    tables: Mapping[str, pd.DataFrame],
    gallery: Gallery,
    uses: Sequence[tuple[str, str, str]],
    rules: Mapping[str, str],
    provenance: Mapping[str, Any],
) -> None:
    """Write a page about a set of pictures, as self-contained as `write_page`.

    Args:
        path: the file; its folder exists. It is replaced in one step.
        verdict: the one sentence that matters most.
        is_usable: whether the pictures can be used.
        findings: by heading: what is wrong or worth knowing, and what to do; headings without rows are left out.
        facts: name and value of each.
        sizes: the chart of the objects' sizes; None without objects.
        tables: counts, by heading.
        gallery: some of the pictures.
        uses: what the pictures can be used for: name, command ("" where they cannot), reason.
        rules: how something was judged, by what was judged.
        provenance: as for `write_page`.
    """
    pictures = _Pictures()
    shown = _gallery(gallery, pictures)
    _render(
        Path(path),
        "card.html.j2",
        title=title,
        verdict=verdict,
        is_usable=is_usable,
        findings=[_table(name, frame) for name, frame in findings.items() if len(frame)],
        facts=facts,
        sizes=None if sizes is None else _chart("sizes", sizes),
        tables=[_table(name, frame) for name, frame in tables.items()],
        gallery=shown,
        pictures=pictures.addresses,
        uses=uses,
        rules=rules,
        provenance=_flat(provenance),
    )


def write_status(
    path: Path | str,
    *,
    title: str,
    sentence: str,
    done: int,
    failed: int,
    total: int | None,
    tables: Mapping[str, pd.DataFrame],
    seconds: int,
) -> None:
    """Write a page on how far a study is, which a browser loads again by itself; as self-contained as `write_page`.

    Args:
        path: the file; its folder exists. It is replaced in one step.
        sentence: how far it is, without the full stop.
        done, failed, total: numbers of trials; of the last None where it is not known.
        tables: what is worth a look, by heading.
        seconds: after which a browser loads the page again.
    """
    _render(
        Path(path),
        "status.html.j2",
        title=title,
        sentence=sentence,
        done=done,
        total="?" if total is None else total,
        share_done=100 * done / total if total else None,
        share_failed=100 * failed / total if total else None,
        time=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        tables=[_table(name, frame) for name, frame in tables.items()],
        seconds=max(seconds, 1),
    )


def index_beside(path: Path) -> str:
    """The address of the page that lists this one and its neighbours; empty where there is none."""
    return f"../{INDEX}" if has_index(path.absolute().parent.parent) else ""


def _render(path: Path, template: str, **content: Any) -> None:
    """Fill in a template and replace the file in one step."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bound"] = _bound
    environment.filters["stem"] = lambda text: re.sub(r"\W+", "_", text.lower()).strip("_")[:60]
    text = environment.get_template(template).render(**content)
    write_file(path, text, PATIENCE)


class _Table(NamedTuple):
    """What a page shows of a table: its heading, columns, rows, and all of it as an address to save."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    csv: str


class _Chart(NamedTuple):
    title: str
    question: str
    wide: Markup
    narrow: Markup
    caption: str
    table: _Table


class _Look(NamedTuple):
    caption: str
    picture: str
    layers: list[str]
    ratio: str


class _Gallery(NamedTuple):
    title: str
    caption: str
    steps: Sequence[str]
    legend: Legend
    rows: dict[str, list[_Look]]


class _Pictures:
    """The pictures of a page, each of which it holds once."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}  # by name
        self._names: dict[bytes, str] = {}

    def name_of(self, content: bytes) -> str:
        """The name under which the page holds a picture."""
        name = self._names.setdefault(content, f"p{len(self._names)}")
        self.addresses[name] = _picture_address(content)
        return name


def _table(name: str, frame: pd.DataFrame) -> _Table:
    rows = [
        ["-" if pd.isna(value) else str(value) for value in row] for row in _readable(frame).itertuples(index=False)
    ]
    safe = frame.map(lambda value: spreadsheet_safe(value) if isinstance(value, str) else value)
    text = safe.to_csv(index=False, lineterminator="\n")
    address = f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
    return _Table(name, [str(column).replace("_", " ") for column in frame.columns], rows, address)


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """With names of networks as papers write them."""
    names = {name: frame[name].map(words.network_name) for name in ("network", "classifier") if name in frame}
    return frame.assign(**names)


def _chart(stem: str, chart: Chart) -> _Chart:
    label = f"{chart.title}. {chart.question}"
    wide, narrow = Markup(inline(chart.wide, f"{stem}-w", label)), Markup(inline(chart.narrow, f"{stem}-n", label))
    return _Chart(chart.title, chart.question, wide, narrow, chart.caption, _table(stem, chart.table))


def _gallery(gallery: Gallery, pictures: _Pictures) -> _Gallery:
    rows = {
        heading: [
            _Look(
                one.caption,
                pictures.name_of(one.picture),
                [_picture_address(layer) for layer in one.layers],
                f"{one.shape[1]} / {one.shape[0]}",
            )
            for one in looks
        ]
        for heading, looks in gallery.rows.items()
    }
    return _Gallery(gallery.title, gallery.caption, gallery.steps, gallery.legend, rows)


def _picture_address(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _bound(text: str) -> str:
    """Keeps a number and its unit on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" px", "\N{NO-BREAK SPACE}px")


def _flat(entries: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Name and value of every entry; those of a mapping inside carry its name in front."""
    flat = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}: ")
        else:
            flat.append((f"{prefix}{name}", str(value)))
    return flat
