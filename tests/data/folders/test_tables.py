"""Tables from Excel and other programs are read as their writer meant them, or refused with what to do."""

import codecs
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segjax.data.folders.tables import folded, near, read_class_names, read_picture_table, read_table
from segjax.types import InputError

ROWS = [("ä.png", "Grab 1"), ("b, left.png", "Grab 2"), ("c;d", "Grab 3")]


def written(folder, content):
    (folder / "t.csv").write_bytes(content)
    return read_table(folder, "groups", "t.csv", ("picture", "group"))


def refusal(folder, content, **more):
    """The message, which names the file or the option and has a remedy."""
    with pytest.raises(InputError) as error:
        (folder / "t.csv").write_bytes(content)
        more.get("read", lambda: read_picture_table(folder, "groups", "t.csv", "group"))()
    assert re.match(r"\S.*t\.csv: .+", str(error.value))
    return str(error.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_separators_and_encodings_that_the_file_itself_tells(tmp_path, separator, encoding, end):
    lines = [("note", "group", "picture")] + [("", group, picture) for picture, group in ROWS]
    text = end.join(separator.join(f'"{cell}"' for cell in line) for line in [*lines, ("", "", "")])
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    assert written(tmp_path, mark + text.encode(encoding)) == ROWS


@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(str.strip)] * 2)))
def test_whatever_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    import csv
    import io

    text = io.StringIO(newline="")
    csv.writer(text).writerows([("picture", "group"), *rows])
    folder = tmp_path_factory.mktemp("table")
    assert written(folder, text.getvalue().encode()) == [row for row in rows if any(row)]


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 60), st.sampled_from(["utf-8", "utf-16"]))
def test_damaged_tables_are_read_or_refused(tmp_path_factory, junk, start, stop, encoding):
    sound = 'picture;group\na;1\n"b\nb";2\n'.encode(encoding)
    folder = tmp_path_factory.mktemp("table")
    try:
        written(folder, sound[:start] + junk + sound[stop:])
    except InputError as error:
        assert str(error).startswith(f"{folder}/t.csv: ")


def test_other_text_is_refused_by_its_line(tmp_path):
    cp1252 = "picture,group\na,1\nä,2\n".encode("cp1252")
    assert "the text in line 3 is neither UTF-8 nor marked as UTF-16; save it again as UTF-8" in refusal(
        tmp_path, cp1252
    )
    unmarked = "picture,group\na,1\n".encode("utf-16-le")
    assert "holds NUL bytes" in refusal(tmp_path, unmarked)
    assert "damaged UTF-16" in refusal(tmp_path, codecs.BOM_UTF16_LE + unmarked[:-1])
    assert "holds NUL bytes" in refusal(tmp_path, b"picture,group\na,\0\n")
    assert "holds NUL bytes" in refusal(tmp_path, "picture,group\na,1\n".encode("utf-32"))


def test_rows_that_are_not_understood_are_refused_by_their_line(tmp_path):
    head = b"picture,group\na,1\n"
    assert "line 3 cannot be read (field larger than field limit" in refusal(
        tmp_path, head + b"b," + b"x" * 131_073 + b"\n"
    )
    assert len(written(tmp_path, head + b"b," + b"x" * 131_072 + b"\n")[1][1]) == 131_072
    assert "look for a missing quotation mark" in refusal(tmp_path, head + b'b,"1\nc,2\n')
    assert "line 3 has 3 fields, but the first line has 2; put a name that contains a comma" in refusal(
        tmp_path, head + b"cell 1, left.png,2\n"
    )
    assert written(tmp_path, head + b"b,2,\nc\n") == [("a", "1"), ("b", "2"), ("c", "")]


def test_a_first_line_without_the_columns_is_shown(tmp_path):
    assert "its first line must name the columns picture and group, but is 'Picture|Group'" in refusal(
        tmp_path, b"Picture|Group\na|1\n"
    )
    assert "but is ''" in refusal(tmp_path, b"")
    assert "has two columns named group" in refusal(tmp_path, b"picture,group,group\na,1,2\n")
    with pytest.raises(InputError, match=r"neither .* is a file"):
        read_table(tmp_path, "groups", "none.csv", ("picture", "group"))


def test_a_picture_is_in_one_group(tmp_path):
    twice = b"picture,group\na,train\nb,test\na.png,%s\n"
    assert "picture a has the groups train and test; keep one" in refusal(tmp_path, twice % b"test")
    assert "the groups train and (empty)" in refusal(tmp_path, twice % b"")
    (tmp_path / "t.csv").write_bytes(twice % b"train")
    assert read_picture_table(tmp_path, "groups", "t.csv", "group") == {"a": "train", "b": "test"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("TRUE", "True"), ("1", "1.0"), ("07", "7"), ("1", "1,00"), ("-3", "-3.0"), ("ä", "a\u0308"), ("Ä", "a\u0308")],
)
def test_values_that_differ_only_in_spelling_are_refused(tmp_path, one, other):
    assert f"the groups {one} and {other} differ only in spelling" in refusal(
        tmp_path, f'picture,group\na,"{one}"\nb,"{other}"\n'.encode()
    )


@pytest.mark.parametrize(
    ("one", "other"), [("1.1", "1.10"), ("1", "10"), ("-1", "1"), ("true", "truth"), ("a1", "a01")]
)
def test_values_that_are_two_stay_two(tmp_path, one, other):
    (tmp_path / "t.csv").write_bytes(f"picture,group\na,{one}\nb,{other}\n".encode())
    assert set(read_picture_table(tmp_path, "groups", "t.csv", "group").values()) == {one, other}


def test_every_class_has_its_own_name(tmp_path):
    for option, message in (("a,b,a", "two classes are named a"), ("Round,round", "Round and round differ only in")):
        with pytest.raises(InputError, match=message):
            read_class_names(tmp_path, option)

    def read():
        read_class_names(tmp_path, "t.csv")

    assert "two classes are named a" in refusal(tmp_path, b"class,name\n1,a\n2,a\n", read=read)
    assert "class 1 appears twice" in refusal(tmp_path, b"class,name\n1,a\n1,a\n", read=read)
    assert read_class_names(tmp_path, "a,,c,") == {1: "a", 2: "class 2", 3: "c", 4: "class 4"}


def test_near_names():
    others = {folded(name): name for name in ("Grab", unicodedata.normalize("NFD", "Löwe"))}
    assert near("grab", others) == " (Grab differs only in capital letters)"
    assert near("Löwe", others) == (" (Lo\u0308we differs only in how its accents are stored, Unicode NFC or NFD)")
    assert near("Grab", others) == near("Grube", others) == ""
