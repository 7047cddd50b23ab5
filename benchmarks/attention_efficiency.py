"""Time and memory of each form of attention, beside PyTorch's own, in one run.

    python -m benchmarks.attention_efficiency [--lengths 512 4096] [--repeat 5]

prints two tables and writes `_build/benchmarks/attention_efficiency.json`: for each
and length its seconds and peak bytes, and both as a ratio to those of PyTorch's
`scaled_dot_product_attention` at the same length. One head of width 64, float32,
on one thread of the CPU. Time is the median of calls that take turns with PyTorch's, so
that a busy machine slows both. Memory is the peak of what the CPU allocator hands out
during one call, scratch memory inside an operation included, as torch's profiler
records it; q, k and v themselves do not count, the output does.

A further form is one more line of `FORMS`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lib.attention_efficiency.flash_attention import (
    FlashAttention,
    flash_attention,
    sdpa,
)
from lib.attention_efficiency.linear_attention import linear_attention
from lib.attention_efficiency.performer import orthogonal_gaussian, performer_attention

OUT = Path(__file__).resolve().parent.parent / "_build/benchmarks"
WIDTH = 64
YARDSTICK = "PyTorch"
DIRECTIONS = orthogonal_gaussian(256, WIDTH, torch.Generator().manual_seed(0)).float()

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def backwards(form: Form) -> Form:
    """The form and its gradients, from ones."""

    def both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        form(*leaves).sum().backward()
        return leaves[0].grad

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


def seconds(forms: list[Form], given: list[Tensor], repeat: int) -> list[float]:
    """The median seconds of each form; they take turns, the first does not count."""
    taken: list[list[float]] = [[] for _ in forms]
    for turn in range(repeat + 1):
        for form, own in zip(forms, taken):
            start = time.perf_counter()
            form(*given)
            if turn:
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in taken]


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
            times = seconds(list(named.values()), given, repeat)
            peaks = [peak_bytes(form, given) for form in named.values()]
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


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096]
    )
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(chosen.lengths, chosen.repeat)
    print(shown(rows))
    OUT.mkdir(parents=True, exist_ok=True)
    kept = {"torch": torch.__version__, "width": WIDTH, "rows": rows}
    path = OUT / "attention_efficiency.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
