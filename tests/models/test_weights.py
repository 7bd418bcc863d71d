"""Weights on disk: they come back bit for bit, other programs can read them, and what is damaged is refused."""

import hashlib
import json
import os
import pickle
import random
import struct

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from segjax.files import Damaged
from segjax.models import create, load_weights, save_weights
from segjax.types import InputError

DTYPES = [
    np.dtype(name)
    for name in (
        *("float64", "float32", "float16", ml_dtypes.bfloat16, "complex64", "bool", "int64", "int32", "int16", "int8"),
        *("uint64", "uint32", "uint16", "uint8", ">f4", ">i8"),
    )
]
NAMES = st.text(min_size=1, max_size=6).filter(lambda name: name.isprintable() and "/" not in name)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def arrays(draw):
    """Any bits, NaN of every kind included, of any shape; some are not contiguous."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    if dtype.kind == "b":
        return draw(hnp.arrays(bool, shape)).T
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    bits = draw(st.binary(min_size=count, max_size=count))
    return np.frombuffer(bits, dtype).reshape(shape).T


TREES = st.dictionaries(
    NAMES,
    st.recursive(arrays(), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6),
    max_size=4,
)


def same(one, two) -> bool:
    """Equal structure, types, shapes and bits."""
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    native = np.asarray(one, one.dtype.newbyteorder("="))
    return (native.dtype, native.shape, native.tobytes()) == (two.dtype, two.shape, two.tobytes())


@settings(max_examples=150, deadline=None)
@given(tree=TREES, facts=st.dictionaries(st.text(), JSON, max_size=3))
def test_what_is_written_comes_back_bit_for_bit(tmp_path_factory, tree, facts):
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save_weights(path, tree, facts)
    loaded = load_weights(path)
    assert same(tree, loaded.variables)
    assert loaded.facts == facts


def test_a_network_comes_back_and_answers_the_same(tmp_path):
    network, image = create("unet", width=2, levels=1, norm="running"), jnp.ones((1, 8, 8, 1))
    variables = network.init(jax.random.key(0), image)
    save_weights(tmp_path / "new" / "folder" / "a.safetensors", variables, {"losses": (1.5, float("inf"))})
    loaded = load_weights(tmp_path / "new" / "folder" / "a.safetensors")
    assert jax.tree.structure(loaded.variables) == jax.tree.structure(variables)
    np.testing.assert_array_equal(network.apply(loaded.variables, image), network.apply(variables, image))
    assert loaded.facts == {"losses": [1.5, float("inf")]}


def test_other_programs_read_the_file(tmp_path):
    tree = {"params": {"conv": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T}}, "step": np.int64(7)}
    save_weights(tmp_path / "a.safetensors", tree)
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == {"params/conv/kernel", "step"}
    np.testing.assert_array_equal(found["params/conv/kernel"], tree["params"]["conv"]["kernel"])
    assert found["step"].shape == () and found["step"] == 7


def test_files_of_other_programs_are_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"fc.bias": np.ones(2, np.float16), "b/c": np.arange(3)}, path, {"format": "pt", "facts": "no JSON"})
    loaded = load_weights(path)
    assert same({"fc.bias": np.ones(2, np.float16), "b": {"c": np.arange(3)}}, loaded.variables) and loaded.facts == {}
    # the format in its own words: the length of the header, the header, the numbers
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f\x00\xc0")
    np.testing.assert_array_equal(load_weights(path).variables["x"].astype(np.float32), [1.0, -2.0])


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(path, {"a": {"b": np.arange(2, dtype=np.int16)}, "c": {}}, {"x": 1})
    return path


def test_a_file_that_is_cut_off_anywhere_is_refused(small):
    content = small.read_bytes()
    for length in range(len(content)):
        small.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.safetensors cannot be read as safetensors .*; copy it again"):
            load_weights(small)


def test_a_bit_that_is_flipped_anywhere_is_seen(small):
    content = small.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            small.write_bytes(flipped)
            with pytest.raises(InputError, match="cannot be read as safetensors"):
                load_weights(small)


def test_two_hundred_files_changed_in_many_ways_are_all_seen(tmp_path):
    path, tree = tmp_path / "a.safetensors", {"params": {"kernel": np.arange(60, dtype=np.float32).reshape(3, 4, 5)}}
    save_weights(path, tree, {"network": "unet"})
    content, draw = path.read_bytes(), random.Random(0)
    for _ in range(200):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 2, 5, 20))):
            place = draw.randrange(len(changed))
            way = draw.randrange(4)
            if way == 0:
                changed[place] = draw.randrange(256)
            elif way == 1:
                del changed[place : place + draw.randrange(1, 9)]
            elif way == 2:
                changed[place:place] = changed[: draw.randrange(1, 9)]
            else:
                end = place + draw.randrange(9)
                changed[place:end] = reversed(changed[place:end])
        path.write_bytes(changed)
        if changed != content:
            with pytest.raises(Damaged, match=r"a\.safetensors cannot be read"):
                load_weights(path, is_ours=True)


def test_a_file_of_ours_must_have_its_hash(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "a.safetensors")
    assert load_weights(tmp_path / "a.safetensors").variables["a"].tolist() == [1, 1]
    with pytest.raises(Damaged, match="its content hash does not hold"):
        load_weights(tmp_path / "a.safetensors", is_ours=True)


def written(path, header, data=b""):
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


@pytest.mark.parametrize("where", ["header", "facts"])
def test_deep_nesting_is_refused_by_name(where, tmp_path):
    path, deep = tmp_path / "a.safetensors", "[" * 200_000 + "]" * 200_000
    if where == "header":
        written(path, f'{{"x": {deep}}}'.encode())
    else:
        metadata = {"segjax.facts": deep, "segjax.empty": "[]"}
        metadata["segjax.sha256"] = hashlib.sha256(json.dumps(sorted(metadata.items())).encode()).hexdigest()
        written(path, json.dumps({"__metadata__": metadata}).encode())
    with pytest.raises(Damaged, match=r"a\.safetensors cannot be read as safetensors .*recursion"):
        load_weights(path)


def test_a_pipe_is_refused_and_nobody_waits(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors: is not a regular file"):
        load_weights(tmp_path / "a.safetensors")


class Dangerous:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["a.npz", "a.pkl", "a.pth", "missing.bin", "a.safetensors", "missing.safetensors"])
def test_other_kinds_of_files_are_refused_and_never_unpickled(name, tmp_path):
    path, trap = tmp_path / name, tmp_path / "trap"
    if name == "a.npz":
        np.savez(path, x=np.array([Dangerous(trap)], object))
    elif "missing" not in name:
        path.write_bytes(pickle.dumps(Dangerous(trap)))
    remedy = "copy it again or make it anew" if path.suffix == ".safetensors" else "give a .safetensors file"
    with pytest.raises(InputError, match=f"{name} cannot be read as safetensors .*; {remedy}"):
        load_weights(path)
    assert not trap.exists()


def test_names_that_clash_are_refused(tmp_path):
    for names in (("a", "a/b"), ("a", "a/b/c"), ("a", "a/b/c/d")):
        save_file({name: np.zeros(1) for name in names}, tmp_path / "a.safetensors")
        with pytest.raises(InputError, match="cannot be read as safetensors"):
            load_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("tree", "facts", "message"),
    [
        ({"a/b": np.zeros(1)}, {}, "'a/b' cannot be the name of an array"),
        ({"a": {"": np.zeros(1)}}, {}, "'a/' cannot be the name"),
        ({"a": {1: np.zeros(1)}}, {}, "'a/1' cannot be the name"),
        ({"\ud800": np.zeros(1)}, {}, "cannot be the name"),
        ({"__metadata__": np.zeros(1)}, {}, "'__metadata__' cannot be the name"),
        ({"a": {"b": 1.0}}, {}, "a/b is a float; give arrays"),
        ({"a": [np.zeros(1)]}, {}, "a is a list; give arrays"),
        ({"a": None}, {}, "a is a NoneType; give arrays"),
        ({"a": np.array([{}], object)}, {}, "a is of object; convert it to one of float64"),
        ({"a": np.zeros(1, complex)}, {}, "a is of complex128"),
        ({"a": np.array("x")}, {}, "a is of str32"),
        ({"a": jax.random.key(0)}, {}, "a is of key"),
        ({}, {"x": np.float32(1)}, "the facts are not JSON values"),
        ({}, {"x": {1, 2}}, "the facts are not JSON values"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_is_written(tree, facts, message, tmp_path):
    with pytest.raises(InputError, match=rf"a\.safetensors: .*{message}"):
        save_weights(tmp_path / "a.safetensors", tree, facts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_is_stopped_leaves_the_old_file(step, small, monkeypatch):
    before = small.read_bytes()

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (type(small), "replace")), stopped)
    with pytest.raises(KeyboardInterrupt):
        save_weights(small, {"a": np.ones(1000)})
    assert small.read_bytes() == before and [path.name for path in small.parent.iterdir()] == [small.name]


def test_equal_content_has_equal_bytes_from_any_process(tmp_path):
    for seed in range(8):  # where order depends on a hash, it would be another in one of eight files
        save_weights(tmp_path / f"{seed}", {"b": {"é": np.ones(3, np.float16)}, "a": np.zeros(2)}, {"x": "ü"})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
