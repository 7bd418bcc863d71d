import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.annotations.ids import choose, count_of, look_up, present_ids

count_all = jax.jit(jax.vmap(count_of))
choose_exactly = jax.jit(lambda key, present, rate: choose(key, present, rate, False))


def test_a_rate_of_k_in_n_counts_k_for_all_k_and_n():
    k, n = np.array([(k, n) for n in range(1, 401) for k in range(n + 1)]).T
    counted = count_all((k / n).astype(np.float32), jnp.asarray(n))
    np.testing.assert_array_equal(counted, k)


def test_decimal_rates_are_truncated_as_exact_numbers():
    percent, n = np.array([(p, n) for p in range(101) for n in range(1, 1024)]).T
    counted = count_all((percent / 100).astype(np.float32), jnp.asarray(n))
    np.testing.assert_array_equal(counted, percent * n // 100)


def test_rates_are_rounded_as_exact_fractions_in_every_way():
    for n in range(40):
        for percent in (0, 1, 10, 20, 30, 50, 70, 99, 100):
            down, up = percent * n // 100, -(-percent * n // 100)
            kept = n - max(1, (100 - percent) * n // 100) if percent and n else 0  # the authors discard objects
            expected = {"down": down, "up": up, "leave_one": kept, "at_least_one": max(1, down) if percent and n else 0}
            assert {how: int(count_of(percent / 100, n, how)) for how in expected} == expected, (percent, n)


def test_counts_of_foreign_nuclei_as_the_second_paper_has_them():
    counts = [[int(count_of(rate, n, "up")) for rate in (0.1, 0.2, 0.3, 0.5, 0.7)] for n in (8, 10)]
    assert counts == [[1, 2, 3, 4, 6], [1, 2, 3, 5, 7]]


def test_published_granulocyte_counts():
    counted = count_all(np.float32([0.1, 0.2, 0.3, 0.5, 0.7]), jnp.full(5, 15))
    np.testing.assert_array_equal(counted, [1, 3, 4, 7, 10])


@pytest.mark.parametrize("rate", [0.0, 0.35, 0.5, 1.0])
def test_choice_is_exact_and_among_the_present(rate):
    present = np.arange(65) % 2 == 1
    for seed in range(5):
        chosen = np.asarray(choose_exactly(jax.random.key(seed), present, rate))
        assert chosen.sum() == int(rate * 32 + 1e-9)
        assert not (chosen & ~present).any()


def test_every_id_is_chosen_equally_often():
    present = jnp.arange(22) < 20
    keys = jax.random.split(jax.random.key(0), 2000)
    chosen = np.asarray(jax.jit(jax.vmap(lambda key: choose(key, present, 0.3, False)))(keys))[:, :20]
    assert (chosen.sum(axis=1) == 6).all()
    # Six standard deviations of a binomial share.
    np.testing.assert_allclose(chosen.mean(axis=0), 0.3, atol=6 * np.sqrt(0.21 / 2000))


def test_independent_choice_varies_in_number():
    present = jnp.arange(102) < 100
    keys = jax.random.split(jax.random.key(0), 300)
    numbers = np.asarray(jax.jit(jax.vmap(lambda key: choose(key, present, 0.3, True)))(keys)).sum(axis=1)
    assert abs(numbers.mean() - 30) < 6 * np.sqrt(21 / 300)
    assert 12 < numbers.var() < 33


def test_presence_counts_neither_background_nor_ids_beyond_the_table():
    labels = jnp.array([[0, 3, 3], [9, 12, 0]])
    assert np.flatnonzero(present_ids(labels, 9)).tolist() == [3, 9]
    assert np.flatnonzero(present_ids(labels, 8)).tolist() == [3]


def test_presence_under_nested_vmap_equals_loop():
    labels = np.random.default_rng(0).integers(0, 12, (2, 3, 2, 2), np.int32)
    mapped = jax.jit(jax.vmap(jax.vmap(lambda one: present_ids(one, 9))))(labels)
    for index in np.ndindex(2, 3):
        assert set(np.flatnonzero(mapped[index])) == set(labels[index].ravel().tolist()) - {0, 10, 11}


def test_look_up_uses_the_last_entry_beyond_the_table():
    table = jnp.array([5, 6, 7, 99])
    np.testing.assert_array_equal(look_up(table, jnp.array([[0, 2, 3, 400]])), [[5, 7, 99, 99]])
