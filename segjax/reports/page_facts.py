"""What a page of ours says about itself in its head, and which pages lie in a folder."""

import codecs
import html.parser
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

INDEX = "index.html"
GENERATOR, INDEX_KIND = "segjax", "index"
_CHUNK, _MOST = 1 << 16, 1 << 21  # bytes; the head of a page of ours is much shorter


class PageFacts(NamedTuple):
    """A page of ours.

    Attributes:
        path: where it lies.
        title, verdict: its `<title>` and its `<meta name="description">`; "" where it has none.
        missing: what it lacks, such as "12 of 48 trials", from `<meta name="segjax-missing">`; "" where it is complete.
        is_index: whether it lists other pages, from `<meta name="segjax-kind">`.
        made: when it was written, in seconds since 1970.
    """

    path: Path
    title: str
    verdict: str
    missing: str
    is_index: bool
    made: float


class _Head(html.parser.HTMLParser):
    """The title and the named metas of a page, up to its body."""

    def __init__(self) -> None:
        super().__init__()
        self.metas: dict[str, str] = {}
        self.titles: list[str] = []
        self.is_read, self._is_title = False, False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "meta" and not self.is_read:
            self.metas.setdefault(found.get("name", "").lower(), found.get("content", ""))
        self._is_title = tag == "title" and not self.titles
        self.is_read |= tag == "body"

    def handle_endtag(self, tag: str) -> None:
        self._is_title = False
        self.is_read |= tag == "head"

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.titles.append(data)


def facts_of(path: Path) -> PageFacts | None:
    """What the head of a page says; None where the page is not ours, or is gone.

    Raises:
        OSError: it cannot be read.
    """
    head, decoder = _Head(), codecs.getincrementaldecoder("utf-8")(errors="replace")
    try:
        if not path.is_file():  # a pipe would be waited for without end
            return None
        with path.open("rb") as file:
            made = path.stat().st_mtime
            while not head.is_read and file.tell() < _MOST and (chunk := file.read(_CHUNK)):
                head.feed(decoder.decode(chunk))
    except (AssertionError, FileNotFoundError):  # what the parser makes of some pages; a page that was just taken away
        return None
    if head.metas.get("generator") != GENERATOR:
        return None
    title, verdict, missing = (
        " ".join(text.split())
        for text in ("".join(head.titles), *(head.metas.get(name, "") for name in ("description", "segjax-missing")))
    )
    return PageFacts(path, title, verdict, missing, head.metas.get("segjax-kind") == INDEX_KIND, made)


def pages_of(folder: Path) -> tuple[list[PageFacts], list[str]]:
    """The pages of ours in a folder and in the folders in it, the newest first; and what cannot be read, and why.

    Its own index is not among them, by whatever link: it is another page each time it is written.
    """
    pages, unread, own = [], [], os.path.realpath(folder / INDEX)
    for path in sorted({*folder.glob("*.html"), *folder.glob("[!.]*/*.html")}):
        try:
            facts = None if os.path.realpath(path) == own or path.name.startswith(".") else facts_of(path)
        except OSError as error:
            unread.append(f"{path.relative_to(folder).as_posix()}: {error.strerror}")
            continue
        if facts is not None:
            pages.append(facts)
    return sorted(pages, key=lambda page: -page.made), unread


def has_index(folder: Path) -> bool:
    """Whether a folder has an index page of ours, to which its pages can link.

    Raises:
        OSError: a page of that name cannot be read.
    """
    facts = facts_of(folder / INDEX)
    return facts is not None and facts.is_index
