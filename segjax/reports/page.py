"""The report: one HTML file that needs nothing but itself."""

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segjax.evaluation.picture import Metric
from segjax.files import PATIENCE, write_file
from segjax.reports import words

_NO_FAILURES = pd.DataFrame()
HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "curves": "Curves",
        "labels": "What was wrong with the labels",
        "predictions": "What the networks predicted",
    }
)
"""Of the sections with figures, unless others are given."""


class Illustration(NamedTuple):
    """A figure of the page: SVG text or PNG bytes, what it shows in words, and the section it belongs to."""

    content: str | bytes
    caption: str
    section: Literal["curves", "labels", "predictions"] = "curves"


def write_page(
    path: Path | str,
    *,
    title: str,
    question: str,
    answers: Sequence[str],
    figures: Mapping[str, Illustration],
    tables: Mapping[str, pd.DataFrame],
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    warnings: Sequence[str] = (),
    metrics: Mapping[str, Metric] | None = None,
    failures: pd.DataFrame = _NO_FAILURES,
    headings: Mapping[str, str] = HEADINGS,
    glossary: str = "",
) -> None:
    """Write the report as one self-contained HTML file, never seen half written; equal input gives equal bytes.

    Args:
        path: the file; its folder exists. It is replaced in one step.
        title, question, answers: plain sentences; any character is allowed in every text of the page.
        figures: by name, in the order of the page. The name is the heading of the figure.
        tables: all numbers; the name of a metric as in results.csv, or any heading.
        config: the resolved configuration, as it would be written to JSON.
        provenance: versions, digests, command, machine; a value may be a mapping itself.
        warnings: what a reader has to know before believing the page.
        metrics: what the names in results.csv stand for.
        failures: one row per run that failed or was restarted.
        headings: of the sections "curves", "labels" and "predictions", where they are others than usual.
        glossary: what the words of the answers mean.

    Raises:
        OSError: the file cannot be written; a page that was there before is kept.
    """
    _render(
        Path(path),
        "page.html.j2",
        title=title,
        question=question,
        answers=answers,
        figures={
            section: [
                (name, _data_address(f.content), f.caption) for name, f in figures.items() if f.section == section
            ]
            for section in ("curves", "labels", "predictions")
        },
        tables=[(words.METRIC_NAMES.get(name, name), *_cells(frame)) for name, frame in tables.items()],
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
        provenance=_flat(provenance),
        warnings=warnings,
        metrics=[(name, words.METRIC_NAMES.get(name, name), metric) for name, metric in (metrics or {}).items()],
        failures=_cells(failures),
        headings={**HEADINGS, **headings},
        glossary=glossary,
    )


def write_review(
    path: Path | str,
    *,
    title: str,
    answers: Sequence[str],
    legend: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, bytes, str]],
    unsure: pd.DataFrame,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> None:
    """Write a page on which a person looks through changed annotations, as self-contained as `write_page`.

    Args:
        path: the file; its folder exists. It is replaced in one step.
        answers, warnings: plain sentences.
        legend: CSS colour and meaning.
        pictures: name, PNG and caption of each, in the order of the page.
        unsure: the changes to check first.
        config, provenance: as for `write_page`.
    """
    columns, rows = _cells(unsure)
    _render(
        Path(path),
        "review.html.j2",
        title=title,
        answers=answers,
        legend=legend,
        pictures=[(name, _data_address(content), caption) for name, content, caption in pictures],
        columns=columns,
        rows=rows,
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
        provenance=_flat(provenance),
        warnings=warnings,
    )


def write_card(
    path: Path | str,
    *,
    title: str,
    verdict: str,
    is_usable: bool,
    findings: Mapping[str, pd.DataFrame],
    facts: Sequence[tuple[str, str]],
    sizes: Illustration | None,
    tables: Mapping[str, pd.DataFrame],
    legend: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, bytes, str]],
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
        legend: CSS colour and meaning of the outlines.
        pictures: name, PNG and caption of each.
        uses: what the pictures can be used for: name, command ("" where they cannot), reason.
        rules: how something was judged, by what was judged.
        provenance: as for `write_page`.
    """
    _render(
        Path(path),
        "card.html.j2",
        title=title,
        verdict=verdict,
        is_usable=is_usable,
        findings=[(name, *_cells(frame)) for name, frame in findings.items() if len(frame)],
        facts=facts,
        sizes=None if sizes is None else (_data_address(sizes.content), sizes.caption),
        tables=[(name, *_cells(frame)) for name, frame in tables.items()],
        legend=legend,
        pictures=[(name, _data_address(content), caption) for name, content, caption in pictures],
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
        tables=[(name, *_cells(frame)) for name, frame in tables.items()],
        seconds=max(seconds, 1),
    )


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
    text = environment.get_template(template).render(**content)
    write_file(path, text, PATIENCE)


def _data_address(content: str | bytes) -> str:
    # As pictures, not as markup: figures cannot disturb each other's ids, and a reader can save each of them.
    kind, raw = ("svg+xml", content.encode()) if isinstance(content, str) else ("png", content)
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"


def _bound(text: str) -> str:
    """Keeps a number and its unit on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" px", "\N{NO-BREAK SPACE}px")


def _cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    rows = [["-" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False)]
    return [str(column) for column in frame.columns], rows


def _flat(entries: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Name and value of every entry; those of a mapping inside carry its name in front."""
    flat = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}: ")
        else:
            flat.append((f"{prefix}{name}", str(value)))
    return flat
