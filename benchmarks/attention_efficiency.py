"""Time and memory of each form of attention, beside PyTorch's own, in one run.

    python -m benchmarks.attention_efficiency [--lengths 512 4096] [--repeat 5]

prints two tables and writes `_build/benchmarks/attention_efficiency.json`: for each
form and length its seconds and peak bytes, and both as a ratio to those of PyTorch's
`scaled_dot_product_attention` at the same length. One head of width 64, float32,
on one thread of the CPU. Time is the median of calls that take turns. Memory is the
peak of what the CPU allocator hands out during one call, scratch memory inside an
operation included, as torch's profiler records it; q, k and v themselves do not count,
the output does.

A further form is one more line of `FORMS`. Those of `EXACT` are the same function as
PyTorch's, which is asserted; the others are another function, and not in the table of
all measurements.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.side_by_side import Row, keep, turns
from lib.attention_efficiency.flash_attention import (
    FlashAttention,
    flash_attention,
    sdpa,
)
from lib.attention_efficiency.linear_attention import linear_attention
from lib.attention_efficiency.performer import orthogonal_gaussian, performer_attention

WIDTH = 64
YARDSTICK = "PyTorch"
EXACT = ("table of scores", "tiles of 128", "tiles of 256")
SHOWN = "tiles of 256"
DIRECTIONS = orthogonal_gaussian(256, WIDTH, torch.Generator().manual_seed(0)).float()

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def backwards(form: Form) -> Form:
    """The form and its gradients, from ones."""

    def both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        form(*leaves).sum().backward()
        return torch.stack([x.grad for x in leaves])

    return both


# Each with the table's name in front: those of a table are compared with each other.
FORMS: list[tuple[str, str, Form]] = [
    ("forward", YARDSTICK, F.scaled_dot_product_attention),
    ("forward", "table of scores", sdpa),
    ("forward", "tiles of 128", lambda q, k, v: flash_attention(q, k, v)[0]),
    ("forward", "tiles of 256", lambda q, k, v: flash_attention(q, k, v, 256, 256)[0]),
    ("forward", "linear", linear_attention),
    ("forward", "Performer", lambda q, k, v: performer_attention(q, k, v, DIRECTIONS)),
    ("forward and backward", YARDSTICK, backwards(F.scaled_dot_product_attention)),
    ("forward and backward", "table of scores", backwards(sdpa)),
    (
        "forward and backward",
        "tiles of 256",
        backwards(lambda q, k, v: FlashAttention.apply(q, k, v, 256)),
    ),
    ("forward and backward", "linear", backwards(linear_attention)),
    (
        "forward and backward",
        "Performer",
        backwards(lambda q, k, v: performer_attention(q, k, v, DIRECTIONS)),
    ),
]


def peak_bytes(form: Form, given: list[Tensor]) -> int:
    """The most that was allocated at once during a call, beyond what was there."""
    form(*given)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        form(*given)
    events = recorded.profiler.kineto_results.events()
    changes = sorted(
        ((event.start_ns(), event.nbytes()) for event in events if event.nbytes()),
        key=lambda change: change[0],
    )
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    return peak


def measure(lengths: list[int], repeat: int) -> list[dict]:
    """A row for each form and length."""
    rows = []
    for n in lengths:
        draw = torch.Generator().manual_seed(n)
        given = [torch.randn(1, 1, n, WIDTH, generator=draw) for _ in range(3)]
        for table in dict.fromkeys(table for table, _, _ in FORMS):
            named = {name: form for where, name, form in FORMS if where == table}
            want = named[YARDSTICK](*given)
            for name in named.keys() & EXACT:
                got = named[name](*given)
                torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
            peaks = [peak_bytes(form, given) for form in named.values()]
            times = turns([partial(form, *given) for form in named.values()], repeat)
            whose = list(named).index(YARDSTICK)
            rows += [
                {
                    "table": table,
                    "form": name,
                    "n": n,
                    "seconds": took,
                    "bytes": peak,
                    "time ratio": took / times[whose],
                    "memory ratio": peak / peaks[whose],
                }
                for name, took, peak in zip(named, times, peaks)
            ]
    return rows


def shown(rows: list[dict]) -> str:
    """The tables as text: a line a form, for each length time and memory as ratios."""
    lengths = list(dict.fromkeys(row["n"] for row in rows))
    lines = []
    for table in dict.fromkeys(row["table"] for row in rows):
        lines += ["", f"{table}: time · memory, as multiples of {YARDSTICK}'s"]
        lines.append(" " * 18 + "".join(f"{f'N = {n}':>18}" for n in lengths))
        own = [row for row in rows if row["table"] == table]
        for name in dict.fromkeys(row["form"] for row in own):
            cells = [
                f"{row['time ratio']:.2f} · {row['memory ratio']:.2f}"
                for row in own
                if row["form"] == name
            ]
            lines.append(f"{name:<18}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def chosen(forms: list[dict]) -> list[Row]:
    """What goes into the table of all measurements: time and memory of `SHOWN` with
    gradients, at the greatest length."""
    found = {row["form"]: row for row in forms if row["table"] == FORMS[-1][0]}
    mine, peer, against = found[SHOWN], found[YARDSTICK], "PyTorch’s SDPA"
    what = f"attention over {mine['n']:,} positions in {SHOWN}, with gradients"
    times = 1000 * mine["seconds"], 1000 * peer["seconds"]
    peaks = mine["bytes"] / 1e6, peer["bytes"] / 1e6
    return [Row(what, against, *times, "ms"), Row("its memory", against, *peaks, "MB")]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096]
    )
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    forms = measure(options.lengths, options.repeat)
    print(shown(forms))
    details = {"torch": torch.__version__, "width": WIDTH, "forms": forms}
    keep("attention_efficiency", chosen(forms), **details)


if __name__ == "__main__":
    main()
