"""The index page: every page of a folder with its verdict."""

import datetime
from pathlib import Path
from urllib.parse import quote

from segjax.files import explained
from segjax.reports.page import _render
from segjax.reports.page_facts import INDEX, has_index, pages_of
from segjax.types import InputError


def write_index(folder: Path) -> int:
    """Write FOLDER/index.html, which links every page of ours in the folder and in the folders in it.

    Several processes may do so at once: the last one to write lists all pages that were there when it ended.

    Args:
        folder: it exists.

    Returns:
        how many pages are listed.

    Raises:
        InputError: there is an index.html that is not ours, which stays as it is; or the disk refuses to write.
    """
    path = folder / INDEX
    while True:
        with explained(path):
            if path.exists() and not has_index(folder):
                raise InputError(f"{path}: is not an index page of segjax; move it away, or choose another folder")
        found = pages_of(folder)
        pages, unread = found
        entries = [
            {
                "address": quote((place := page.path.relative_to(folder)).as_posix()),
                "place": place.as_posix(),
                "title": page.title or place.as_posix(),
                "verdict": page.verdict,
                "missing": page.missing,
                "made": datetime.datetime.fromtimestamp(page.made).astimezone(),
            }
            for page in pages
        ]
        name = folder.resolve().name
        _render(path, "index.html.j2", name=name, summary=_summary(len(pages)), entries=entries, unread=unread)
        if pages_of(folder) == found:  # otherwise a page came meanwhile, whose own listing this one may have replaced
            return len(pages)


def refresh_index(folder: Path) -> None:
    """Write the index page of a folder again where it has one of ours; any other is left alone.

    Raises:
        InputError: the disk refuses.
    """
    with explained(folder / INDEX):
        is_there = has_index(folder)
    if is_there:
        write_index(folder)


def _summary(count: int) -> str:
    return f"{count or 'No'} page{'' if count == 1 else 's'}"
