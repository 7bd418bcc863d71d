"""Wrong arguments of public functions are refused in one line that names them."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from segjax.annotations import omission
from segjax.arguments import checked
from segjax.evaluation import counts
from segjax.types import InputError


def test_a_wrong_argument_is_named_in_one_line():
    run = [sys.executable, "-m", "tests.wrong_arguments"]
    ended = subprocess.run(run, check=True, capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    said = json.loads(ended.stdout)
    wrong = {pattern: one for pattern, one in said.items() if one is None or not re.search(pattern, one)}
    assert len(said) > 20 and wrong == {}, ended.stderr
    assert not any("\n" in one for one in said.values())


def test_shapes_are_compared_between_arguments():
    with pytest.raises(InputError, match=re.escape("not bool [1, 8]; sizes with one letter are equal")):
        counts(np.ones((8, 8), bool), np.ones((1, 8), bool))


def test_python_says_what_is_missing():
    with pytest.raises(TypeError, match="rate"):
        omission(0, np.ones((8, 8), np.int32))


def test_arguments_of_other_kinds_are_left_to_the_function():
    @checked
    def twice(number, text: str = "", *more: int):
        return 2 * number

    assert twice("a", 3, "b") == "aa"
