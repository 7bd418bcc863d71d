"""Where numbers come from: the code's version, its commit, and the lines above files of results."""

import re
import subprocess

import jax
import pytest

import segjax
from experiments.harness import provenance


def git(folder, *arguments):
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout's files, not yet in a repository, as `provenance` sees them."""
    files = ("segjax/__init__.py", "experiments/harness/provenance.py", "experiments/tiny/study.py")
    for name in (*files, "experiments/other/study.py", "README.md"):
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    root = tmp_path / "checkout"
    monkeypatch.setattr(provenance, "ROOT", root)
    monkeypatch.setattr(provenance, "__file__", str(root / "experiments" / "harness" / "provenance.py"))
    monkeypatch.setattr(segjax, "__file__", str(root / "segjax" / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return root


def commit_all(folder):
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")


def test_a_comment_names_command_commit_machine_and_flags(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    lines = provenance.comment(provenance.provenance("python -m experiments.x --out a")).splitlines()
    assert lines[0] == "# command: python -m experiments.x --out a"
    assert re.fullmatch(r"# commit: (segjax [\d.]+|[0-9a-f]{7,}(-dirty)?)", lines[1])
    assert lines[2].startswith("# machine: ") and f"jax {jax.__version__}" in lines[2]
    assert len(lines) == 3
    monkeypatch.setenv("XLA_FLAGS", "--xla_x=1")
    assert provenance.comment(provenance.provenance("x")).endswith("\n# XLA_FLAGS: --xla_x=1\n")


def test_the_commit_is_that_of_this_checkout_and_says_where_it_was_changed(tree):
    commit_all(tree)
    assert provenance.commit() == git(tree, "rev-parse", "--short", "HEAD")
    assert provenance.is_committed(provenance.commit())
    git(tree, "tag", "-a", "-m", "v", "v1")
    assert re.fullmatch("[0-9a-f]{7,}", provenance.commit())
    (tree / "README.md").write_text("changed")
    assert provenance.commit() == f"{git(tree, 'rev-parse', '--short', 'HEAD')}-dirty"
    assert not provenance.is_committed(provenance.commit())


def test_outside_a_checkout_the_version_of_the_package_is_named(tree):
    assert provenance.commit() == f"segjax {segjax.__version__}"


def test_a_repository_that_lies_around_the_package_is_not_asked(tree):
    (tree.parent / "analysis.py").write_text("# somebody's own\n")
    (tree.parent / ".gitignore").write_text("checkout\n")
    commit_all(tree.parent)
    assert provenance.commit() == f"segjax {segjax.__version__}"
    (tree.parent / ".gitignore").write_text("")
    commit_all(tree.parent)  # even where it holds the package
    assert provenance.commit() == f"segjax {segjax.__version__}"


def test_a_repository_at_the_same_place_that_does_not_hold_the_package_is_not_asked(tree):
    (tree / ".gitignore").write_text("experiments\nsegjax\n")
    commit_all(tree)
    assert provenance.commit() == f"segjax {segjax.__version__}"


def test_without_git_the_version_of_the_package_is_named(tree, monkeypatch):
    commit_all(tree)
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == f"segjax {segjax.__version__}"


def test_sources_are_those_of_the_library_the_harness_and_the_study(tree):
    assert set(provenance.sources_of("tiny")) == {
        "segjax/__init__.py", "harness/provenance.py", "tiny/study.py"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["README.md", "experiments/other/study.py", "experiments/tiny/published.csv"])
def test_the_code_is_the_same_whatever_else_changes(tree, name):
    before = provenance.code_of(provenance.sources_of("tiny"))
    (tree / name).write_text("changed")
    assert provenance.code_of(provenance.sources_of("tiny")) == before


@pytest.mark.parametrize(
    "name",
    [
        "segjax/__init__.py",
        "segjax/ops/new.py",
        "experiments/harness/provenance.py",
        "experiments/tiny/study.py",
        "experiments/tiny/new.py",
    ],
)
def test_the_code_is_another_one_where_a_source_changes_or_joins(tree, name):
    before = provenance.sources_of("tiny")
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("changed")
    after = provenance.sources_of("tiny")
    assert provenance.code_of(after) != provenance.code_of(before)
    assert re.fullmatch("[0-9a-f]{8}", provenance.code_of(after))
    assert [source for source in after if after[source] != before.get(source)] == [name.removeprefix("experiments/")]


def test_the_code_follows_names_too_and_not_their_order(tree):
    sources = provenance.sources_of("tiny")
    assert provenance.code_of(dict(reversed(sources.items()))) == provenance.code_of(sources)
    renamed = {name.replace("study", "grid"): value for name, value in sources.items()}
    assert provenance.code_of(renamed) != provenance.code_of(sources)


def test_a_study_may_lie_elsewhere(tree, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.py").write_text("# mine\n")
    assert set(provenance.sources_of("mine", tmp_path / "mine")) == {
        "segjax/__init__.py", "harness/provenance.py", "mine/study.py"
    }  # fmt: skip


def test_an_opening_says_when_how_and_by_which_code(tree, monkeypatch):
    monkeypatch.setattr("sys.argv", ["x", "--out", "a b"])
    found = provenance.opening("tiny", {"a": "1"})
    assert found["command"] == "python -m experiments.tiny --out 'a b'"
    assert found["code"] == provenance.code_of({"a": "1"}) and found["commit"] == provenance.commit()
    assert found["versions"]["jax"] == jax.__version__ and found["when"].endswith("+00:00")
