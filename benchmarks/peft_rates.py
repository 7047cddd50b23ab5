"""Which learning rate each method of parameter-efficient fine-tuning should have.

    python -m benchmarks.peft_rates [method ...]

Every method of the part's table learns the part's task at every rate of
`lib.peft.vit.RATES`, on seeds that the table does not use. One line a method: mean
accuracy at each rate, and a mark at the rate that `lib` has. About 40 seconds of one
processor a method.
"""

import sys
from functools import partial
from unittest import mock

import torch

from lib import runtime
from lib.peft import vit
from lib.peft.ladder_side_tuning import METHODS

tune = vit.tune
SEEDS = 5  # the first; the table has those before it


def accuracy(name: str, state: dict[str, torch.Tensor], rate: float) -> float:
    """Mean over five seeds, of one method at one rate."""
    turned, *others = METHODS[name]

    def tuned(models, task, size, _):
        return tune(models, task, size, rate, first_seed=SEEDS)

    with (
        mock.patch.object(runtime, "trained", return_value=state),
        mock.patch.object(vit, "tune", tuned),
    ):
        return float(turned(vit.CPU, *others)["accuracy"].mean())


def chosen(name: str, state: dict[str, torch.Tensor]) -> float:
    """The rate that `lib` has for a method."""
    turned, *others = METHODS[name]
    with (
        mock.patch.object(runtime, "trained", return_value=state),
        mock.patch.object(vit, "tune", lambda models, task, size, rate: rate),
    ):
        return turned(vit.CPU, *others)


def main(names: list[str]) -> None:
    """Print the table; a rate of `lib` that is not the best is told at the end."""
    unknown = set(names) - METHODS.keys()
    if unknown:
        sys.exit(
            f"no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}"
        )
    torch.set_num_threads(1)
    state = vit.pretrain(vit.CPU)
    print("method      " + "".join(f"{rate:>9g} " for rate in vit.RATES))
    other = []
    for name in names or METHODS:
        found = list(map(partial(accuracy, name, state), vit.RATES))
        own = chosen(name, state)
        cells = (
            f"{value:>9.3f}{'*' if rate == own else ' '}"
            for rate, value in zip(vit.RATES, found)
        )
        print(f"{name:<12}" + "".join(cells), flush=True)
        if own != vit.RATES[found.index(max(found))]:
            other.append(name)
    if other:
        sys.exit(f"lib has another rate than the best for {', '.join(other)}")


if __name__ == "__main__":
    main(sys.argv[1:])
