"""One small vision transformer, one task to move it to, one way to train on it.

Pre-trained to read upright digits, it is to read them turned by a quarter. Each lesson
of the part brings its own way to change it, and all are compared on equal terms.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lib import images, runtime
from lib.training import draw_linear, fit

KeysValues = tuple[Float[Tensor, "heads m d"], Float[Tensor, "heads m d"]]


@dataclass(frozen=True)
class Size:
    """The size of the model and of its two trainings."""

    layers: int
    heads: int
    width: int
    pretrain_steps: int
    tune_steps: int
    batch: int
    seeds: int


# Two sizes for `lib.runtime.pick`; the first has 58,186 parameters.
CPU = Size(
    layers=2, heads=4, width=48, pretrain_steps=400, tune_steps=200, batch=50, seeds=5
)
GPU = Size(
    layers=6, heads=8, width=256, pretrain_steps=2000, tune_steps=500, batch=50, seeds=5
)

PATCH = 2  # pixels a side: sixteen patches of an image of 8 x 8
TRAIN, TUNE = 1000, 200  # images to pre-train on, and of these to tune with


class Attention(nn.Module):
    """Every token attends to all, and to a prefix of keys and values if there is one.

    The product is written out, since PyTorch's fused one has no rule for `vmap`.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch n width"], prefix: KeysValues | None = None
    ) -> Float[Tensor, "batch n width"]:
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q, self.k, self.v)
        )
        if prefix is not None:
            k, v = (
                torch.cat([before.expand(len(x), -1, -1, -1), own], dim=2)
                for before, own in zip(prefix, (k, v))
            )
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """width -> 4 width -> width, GELU between."""

    def __init__(self, width: int):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(
        self, x: Float[Tensor, "batch n width"]
    ) -> Float[Tensor, "batch n width"]:
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(
        self, x: Float[Tensor, "batch n width"], prefix: KeysValues | None = None
    ) -> Float[Tensor, "batch n width"]:
        x = x + self.attention(self.norm_attention(x), prefix)
        return x + self.mlp(self.norm_mlp(x))


class ViT(nn.Module):
    """Logits of ten classes from an image of 8 x 8, read off a class token.

    Weights are drawn from `generator`, as PyTorch would draw them but for that.
    """

    def __init__(self, size: Size, generator: torch.Generator):
        super().__init__()
        self.patch = nn.Linear(PATCH**2, size.width)
        self.positions = nn.Parameter(torch.empty((8 // PATCH) ** 2, size.width))
        self.cls = nn.Parameter(torch.empty(size.width))
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads) for _ in range(size.layers)
        )
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, 10)
        draw_linear(self, generator, 3)
        for table in (self.positions, self.cls):
            nn.init.normal_(table, std=0.02, generator=generator)

    def embed(
        self, x: Float[Tensor, "batch 1 8 8"]
    ) -> Float[Tensor, "batch tokens width"]:
        """What enters the first block: the class token, then a token a patch."""
        patches = F.unfold(x, PATCH, stride=PATCH).mT
        tokens = self.patch(patches) + self.positions
        cls = self.cls.expand(len(x), 1, -1)
        return torch.cat([cls, tokens], dim=1)

    def read(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch 10"]:
        """Logits from what leaves the last block, of its first token."""
        return self.head(self.norm(x[:, 0]))

    def forward(
        self,
        x: Float[Tensor, "batch 1 8 8"],
        prefixes: list[KeysValues] | None = None,
    ) -> Float[Tensor, "batch 10"]:
        """prefixes: keys and values before each layer's own, one pair a layer."""
        x = self.embed(x)
        for block, prefix in zip(self.blocks, prefixes or [None] * len(self.blocks)):
            x = block(x, prefix)
        return self.read(x)


@dataclass(frozen=True)
class Task:
    """Images and labels to learn from and to be tested on, which never meet."""

    train: Float[Tensor, "train 1 8 8"]
    train_labels: Int64[Tensor, " train"]
    test: Float[Tensor, "test 1 8 8"]
    test_labels: Int64[Tensor, " test"]


def upright() -> Task:
    """The digits as they are; the first thousand to train on, the rest to test."""
    pictures, labels = images.digits()
    return Task(pictures[:TRAIN], labels[:TRAIN], pictures[TRAIN:], labels[TRAIN:])


def turned() -> Task:
    """The same digits, turned by a quarter to the left, the same ones to test."""
    task = upright()
    return Task(
        task.train.rot90(1, (2, 3)),
        task.train_labels,
        task.test.rot90(1, (2, 3)),
        task.test_labels,
    )


@torch.no_grad()
def accuracy(model: nn.Module, task: Task) -> float:
    """The share of the test images that get their label."""
    return float((model(task.test).argmax(-1) == task.test_labels).float().mean())


def pretrain(size: Size) -> dict[str, Tensor]:
    """A ViT trained on upright digits, for `lib.runtime.trained`.

    Returns:
        its parameters by name, and the losses of all steps as `losses`.
    """
    generator, device = torch.Generator().manual_seed(0), runtime.device()
    model, task = ViT(size, generator).to(device), upright()
    train, labels = task.train.to(device), task.train_labels.to(device)

    def loss() -> Float[Tensor, ""]:
        rows = torch.randint(TRAIN, (128,), generator=generator).to(device)
        return F.cross_entropy(model(train[rows]), labels[rows])

    losses = fit(model.parameters(), loss, size.pretrain_steps, 3e-3)
    return {"losses": losses, **model.state_dict()}


def restored(size: Size, state: dict[str, Tensor]) -> ViT:
    """The model whose parameters these are; `losses` is no parameter."""
    model = ViT(size, torch.Generator())
    model.load_state_dict({name: p for name, p in state.items() if name != "losses"})
    return model


# Learning rates to choose from. Each method's is the best of these, by its accuracy on
# turned digits over seeds 5 to 9, which no table uses: see `benchmarks.peft_rates`.
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)


def tune(
    models: list[nn.Module],
    task: Task,
    size: Size,
    learning_rate: float,
    first_seed: int = 0,
) -> dict[str, Tensor]:
    """Train copies of one model that differ by seed, all in one batch.

    What requires a gradient is trained; model i learns from 200 images of the task, in
    an order, that seed `first_seed` + i draws. The copies' parameters are stacked along
    a new first axis and `vmap` runs them side by side; the loss is the sum of theirs,
    so that no copy's gradient knows of another's, and AdamW works entry by entry.
    Gradients are not cut here: one norm for all would tie them together. What is frozen
    must be the same in all copies. It runs on `runtime.device()`; the models stay where
    they are.

    Raises:
        ValueError: nothing is trained, or the copies differ in what is frozen.

    Returns:
        accuracy: on the test images, one a copy. trained: how many numbers were
        trained in a copy. losses: at each step, mean over the copies. And for each
        parameter that was trained `learnt.<its name>`, stacked as above.
    """
    names = [n for n, p in models[0].named_parameters() if p.requires_grad]
    if not names:
        raise ValueError("models must have a parameter that requires a gradient")
    device = runtime.device()
    stacked, buffers = (
        {name: each.to(device) for name, each in state.items()}
        for state in stack_module_state(models)
    )
    train, labels, test, answers = (
        part.to(device)
        for part in (task.train, task.train_labels, task.test, task.test_labels)
    )
    frozen = {name: p[0] for name, p in stacked.items() if name not in names}
    for name, first in frozen.items():
        if not (stacked[name] == first).all():
            raise ValueError(f"models must agree in what is frozen, differ in {name}")
    learnt = {name: nn.Parameter(stacked[name].detach()) for name in names}
    seeds = range(first_seed, first_seed + len(models))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    chosen = [torch.randperm(TRAIN, generator=g)[:TUNE] for g in generators]

    def logits(own: dict[str, Tensor], buffer: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(models[0], {**frozen, **own, **buffer}, (x,))

    def loss() -> Float[Tensor, ""]:
        rows = torch.stack(
            [
                mine[torch.randint(TUNE, (size.batch,), generator=g)]
                for mine, g in zip(chosen, generators)
            ]
        )
        rows = rows.to(device)
        got = vmap(logits)(learnt, buffers, train[rows])
        wanted = labels[rows].flatten()
        return len(models) * F.cross_entropy(got.flatten(0, 1), wanted)

    losses = fit(learnt.values(), loss, size.tune_steps, learning_rate, clip=None)
    with torch.no_grad():
        got = vmap(logits, in_dims=(0, 0, None))(learnt, buffers, test)
    right = (got.argmax(-1) == answers).float().mean(-1)
    count = sum(p[0].numel() for p in learnt.values())
    return {
        "accuracy": right,
        "trained": torch.tensor(count),
        "losses": losses / len(models),
        **{f"learnt.{name}": p.detach() for name, p in learnt.items()},
    }
