"""The lines above files of results."""

import re
import subprocess

import jax

from experiments import provenance


def test_a_comment_names_command_commit_machine_and_flags(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    lines = provenance.comment(provenance.provenance("python -m experiments.x --out a")).splitlines()
    assert lines[0] == "# command: python -m experiments.x --out a"
    assert re.fullmatch(r"# commit: (unknown|.*[0-9a-f]{7,}(-dirty)?)", lines[1])
    assert lines[2].startswith("# machine: ") and f"jax {jax.__version__}" in lines[2]
    assert len(lines) == 3
    monkeypatch.setenv("XLA_FLAGS", "--xla_x=1")
    assert provenance.comment(provenance.provenance("x")).endswith("\n# XLA_FLAGS: --xla_x=1\n")


def test_without_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "experiments" / "provenance.py"))
    (tmp_path / "experiments").mkdir()
    assert provenance.commit() == "unknown"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "file").write_text("1")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    subprocess.run(["git", *author, "commit", "-q", "-m", "one"], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{7,}", provenance.commit())
    (tmp_path / "file").write_text("2")
    assert provenance.commit().endswith("-dirty")
