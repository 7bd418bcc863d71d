"""What a budget buys: pictures in an order drawn by lot, until the next does not fit any more."""

import math
import numbers
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Integer, PRNGKeyArray

from segjax.arguments import checked
from segjax.types import InputError

Numbers = Float[np.ndarray, " P"] | Integer[np.ndarray, " P"]


class Purchase(NamedTuple):
    """What was bought.

    Attributes:
        pictures: positions of the pictures, in the order in which they were bought.
        seconds: price of each.
        budget: seconds there were.
    """

    pictures: tuple[int, ...]
    seconds: tuple[float, ...]
    budget: float

    @property
    def spent(self) -> float:
        """Seconds paid, at most the budget."""
        return math.fsum(self.seconds)


@checked
def buy(key: PRNGKeyArray, budget: int | float, costs: Numbers, foreground: Numbers | None = None) -> Purchase:
    """Buy the annotation of whole pictures, in an order drawn by lot, until the next one does not fit.

    The picture that does not fit ends the purchase: to go on with cheaper ones would prefer pictures with few objects.
    What is left is not spent. Only pictures that cost more than the whole budget are passed over, as nobody could
    begin with them. With one key, the order is the same for every budget and every price.

    Args:
        budget: seconds, above 0.
        costs: seconds of each picture, 0 or more, as of `Prices.of`.
        foreground: share of foreground in each picture by a cheap guess, in [0, 1]. With it, the lot is weighted: each
            next picture is drawn with a probability in proportion to its share, those without any last, by lot.
            None: every picture is as likely.

    Source of the weighted order: Efraimidis and Spirakis, Information Processing Letters 97 (2006).

    Raises:
        InputError: a budget below the price of the cheapest picture, no pictures, a price or share out of range, or
            shares of which none is above 0.

    >>> bought = buy(jax.random.key(0), 50.0, np.array([20.0, 20.0, 20.0]))
    >>> len(bought.pictures), bought.spent
    (2, 40.0)
    """
    is_number = isinstance(budget, numbers.Real) and not isinstance(budget, bool)
    if not is_number or not 0 < budget < math.inf:
        raise InputError(f"budget: {budget!r} is not a budget; give seconds, above 0")
    if not len(costs):
        raise InputError("costs: there are no pictures; give at least one")
    if not ((costs >= 0) & (costs < np.inf)).all():
        raise InputError("costs: a picture has a negative price or none; correct the prices")
    if budget < costs.min():
        raise InputError(
            f"budget: {budget:g} s buys nothing, as the cheapest picture costs {costs.min():g} s; give more, or lower "
            "the prices"
        )
    pictures: list[int] = []
    seconds: list[float] = []
    for picture in _order(key, len(costs), foreground):
        cost = float(costs[picture])
        if cost > budget:
            continue
        if math.fsum([*seconds, cost]) > budget:
            break
        pictures.append(picture)
        seconds.append(cost)
    return Purchase(tuple(pictures), tuple(seconds), float(budget))


def _order(key: PRNGKeyArray, count: int, foreground: np.ndarray | None) -> list[int]:
    # One time of arrival per picture, exponential with its weight as rate: whoever arrives first is drawn first.
    arrivals = np.asarray(jax.random.exponential(key, (count,)), np.float64)
    if foreground is None:
        return np.argsort(arrivals, kind="stable").tolist()
    if not ((foreground >= 0) & (foreground <= 1)).all():
        raise InputError("foreground: shares of pictures lie between 0 and 1; correct them")
    if not foreground.any():
        raise InputError("foreground: no picture has any, so none can be preferred; take pictures by lot")
    weights = np.where(foreground > 0, foreground, 1)
    return np.lexsort((arrivals / weights, foreground == 0)).tolist()
