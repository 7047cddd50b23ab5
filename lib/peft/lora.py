"""LoRA: a frozen weight, and beside it an update of low rank that is trained.

With its family: another scaling (rsLoRA), a norm of its own (DoRA), a start from the
weight's largest singular vectors (PiSSA), a base of four bits (QLoRA), and the low rank
found afterwards, by singular values. What is called a weight here is PyTorch's, of
shape (d_out, d_in).

Sources: Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732; Liu et
al. 2024, arXiv:2402.09353; Meng et al. 2024, arXiv:2404.02948.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib import runtime
from lib.peft import vit
from lib.peft.adapters import freeze
from lib.peft.quantisation import NF4Linear


class LoRALinear(nn.Module):
    """W x + bias + s B A x, of which only A (r, d_in) and B (d_out, r) are trained.

    s = alpha / r; rank-stabilised, alpha / sqrt(r). A is uniform within 1 / sqrt(d_in),
    as in the authors' code and in peft (`kaiming_uniform_(a=sqrt(5))`; the paper says
    Gaussian), B is 0, so that nothing changes at the start. Dropout acts on the x that
    enters A, nowhere else. `base` may be an `NF4Linear`; it is frozen.

    Raises:
        ValueError: r is not between 1 and the smaller side of the weight.
    """

    def __init__(
        self,
        base: nn.Module,
        r: int,
        alpha: float,
        generator: torch.Generator | None = None,
        dropout: float = 0.0,
        rank_stabilised: bool = False,
    ):
        super().__init__()
        weight = base.weight.detach()
        if not 1 <= r <= min(weight.shape):
            raise ValueError(f"r must be from 1 to {min(weight.shape)}, got {r}")
        self.base = base.requires_grad_(False)
        self.scale = alpha / (r**0.5 if rank_stabilised else r)
        self.dropout = dropout
        bound = weight.shape[1] ** -0.5
        drawn = weight.new_empty(r, weight.shape[1])
        self.A = nn.Parameter(drawn.uniform_(-bound, bound, generator=generator))
        self.B = nn.Parameter(weight.new_zeros(weight.shape[0], r))
        self.merged = False

    def delta(self) -> Float[Tensor, "d_out d_in"]:
        """What the weight is changed by: s B A."""
        return self.scale * self.B @ self.A

    def branch(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """s B A x, without ever forming B A."""
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        return F.linear(self.scale * F.linear(x, self.A), self.B)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return self.base(x) if self.merged else self.base(x) + self.branch(x)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the update to the weight, for use at no cost; nothing if it is there.

        A weight that two layers share changes for both.

        Raises:
            ValueError: the base is quantised, and its weight cannot take an update.
        """
        if not isinstance(self.base, nn.Linear):
            raise ValueError(
                f"base must be an nn.Linear to merge, got {type(self.base).__name__}"
            )
        if not self.merged:
            self.base.weight += self.delta()
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take it out again. The weight is what it was up to rounding."""
        if self.merged:
            self.base.weight -= self.delta()
        self.merged = False


def dora_weight(
    W0: Float[Tensor, "d_out d_in"],
    A: Float[Tensor, "r d_in"],
    B: Float[Tensor, "d_out r"],
    m: Float[Tensor, " d_out"],
) -> Float[Tensor, "d_out d_in"]:
    """W0 + B A, every row brought to the length m.

    A row is what one output is made of. The paper calls it a column, and its code (and
    peft) takes the norm along the input, as here. In training the norm counts as a
    constant: no gradient flows through it (section 4.3).
    """
    V = W0 + B @ A
    return V * (m / V.norm(dim=1).detach())[:, None]


class DoRALinear(LoRALinear):
    """LoRA changes the direction of each row; its length m is trained by itself."""

    def __init__(self, base: nn.Module, r: int, alpha: float, *args, **options):
        super().__init__(base, r, alpha, *args, **options)
        self.m = nn.Parameter(base.weight.detach().norm(dim=1))

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        if self.merged:
            return self.base(x)
        weight = self.base.weight
        gain = self.m / (weight + self.delta()).norm(dim=1).detach()
        y = gain * (F.linear(x, weight) + self.branch(x))
        return y if self.base.bias is None else y + self.base.bias

    def merge(self) -> None:
        """Replace the weight by `dora_weight`; a copy of it is kept to unmerge."""
        if not self.merged:
            self.kept = self.base.weight.detach().clone()
            new = dora_weight(self.kept, self.A, self.scale * self.B, self.m)
            self.base.weight.data.copy_(new)
        self.merged = True

    def unmerge(self) -> None:
        if self.merged:
            self.base.weight.data.copy_(self.kept)
        self.merged = False


@torch.no_grad()
def pissa_(layer: LoRALinear) -> LoRALinear:
    """Start from the weight's r largest singular values, and freeze what is left of it.

    B = U sqrt(S / s), A = sqrt(S / s) V^T, and the frozen weight becomes W - s B A: the
    layer's output is as before, and both factors get a gradient from the first step.

    Source: Meng et al. 2024 (PiSSA), equations 2 to 4.
    """
    U, S, Vh = torch.linalg.svd(layer.base.weight, full_matrices=False)
    r = len(layer.A)
    root = (S[:r] / layer.scale).sqrt()
    layer.A.copy_(root[:, None] * Vh[:r])
    layer.B.copy_(U[:, :r] * root)
    layer.base.weight -= layer.delta()
    return layer


def svd_extract(
    dW: Float[Tensor, "d_out d_in"], r: int
) -> tuple[Float[Tensor, "d_out r"], Float[Tensor, "r d_in"]]:
    """B and A of rank r whose product is nearest to dW (Eckart and Young).

    The squared distance is the sum of the squares of the singular values left out. They
    are multiplied into B; how they are shared out between the two does not matter.
    """
    U, S, Vh = torch.linalg.svd(dW, full_matrices=False)
    return U[:, :r] * S[:r], Vh[:r]


def lora_param_count(shapes: Sequence[tuple[int, int]], r: int) -> int:
    """How many numbers are trained beside weights of these shapes."""
    return sum(r * (d_out + d_in) for d_out, d_in in shapes)


def is_target(name: str, targets: Sequence[str]) -> bool:
    """Whether a module's name ends in a target, counted in whole steps between dots.

    'layers.1.q' is 'q' and '1.q'. It is neither '.q' nor 's.1.q', and 'freq' is no 'q'.
    """
    return any(f".{name}".endswith(f".{target}") for target in targets)


def replace_linears(
    model: nn.Module, targets: Sequence[str], make: Callable[[nn.Module], nn.Module]
) -> list[str]:
    """Put `make(layer)` in the place of each linear layer of these names; their names.

    A layer that stands in two places is replaced by one and the same in both.

    Raises:
        ValueError: no linear layer has such a name.
    """
    found = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear | NF4Linear) and is_target(name, targets)
    ]
    if not found:
        raise ValueError(f"targets must name a linear layer, got {list(targets)}")
    made = {module: make(module) for module in dict(found).values()}
    for name, module in found:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, made[module])
    return [name for name, _ in found]


def inject_lora(
    model: nn.Module,
    targets: Sequence[str],
    r: int,
    alpha: float,
    generator: torch.Generator | None = None,
    kind: Callable[..., LoRALinear] = LoRALinear,
    **options,
) -> list[str]:
    """Freeze the model and give the linear layers of these names an update to train.

    Raises:
        ValueError: no linear layer has such a name; the model is then as it was.
    """
    names = replace_linears(
        model, targets, lambda base: kind(base, r, alpha, generator, **options)
    )
    freeze(model)
    for name in names:
        for own in model.get_submodule(name).parameters(recurse=False):
            own.requires_grad_(True)
    return names


# Four ways to spend 1,536 numbers on the model of the part: rank, and which weights.
SPENT = {
    1: ("q", "v", "out", "up", "down"),
    2: ("q", "k", "v", "out"),
    4: ("q", "v"),
    8: ("v",),
}
MATRICES = ("q", "k", "v", "out", "up", "down")  # all that a block has
SCALE = 2.0  # alpha / r
RATE = 3e-2  # the best of `vit.RATES` for each rank and relative


def _turned(
    size: vit.Size,
    r: int,
    change: Callable[[nn.Module], object],
    kind: Callable[..., LoRALinear] = LoRALinear,
) -> dict[str, Tensor]:
    """Five copies of the pre-trained model: `change` before, LoRA, the head; tuned."""
    state = runtime.trained("peft/vit", vit.pretrain, size)
    models = []
    for seed in range(size.seeds):
        model = vit.restored(size, state)
        change(model)
        generator = torch.Generator().manual_seed(seed)
        inject_lora(model, SPENT[r], r, SCALE * r, generator, kind)
        model.head.requires_grad_(True)
        models.append(model)
    return vit.tune(models, vit.turned(), size, RATE)


def turned_lora(size: vit.Size, r: int = 8) -> dict[str, Tensor]:
    """The part's task by LoRA; rank and weights from `SPENT`."""
    return _turned(size, r, lambda model: None)


def turned_dora(size: vit.Size) -> dict[str, Tensor]:
    """By DoRA of rank 8, which trains the lengths of the rows besides."""
    return _turned(size, 8, lambda model: None, DoRALinear)


def turned_pissa(size: vit.Size) -> dict[str, Tensor]:
    """By LoRA of rank 8 that starts as PiSSA does."""

    def kind(base: nn.Module, *args) -> LoRALinear:
        return pissa_(LoRALinear(base, *args))

    return _turned(size, 8, lambda model: None, kind)


def turned_nf4(size: vit.Size) -> dict[str, Tensor]:
    """By LoRA of rank 8 on blocks whose matrices are all kept in four bits."""
    return _turned(size, 8, lambda model: replace_linears(model, MATRICES, NF4Linear))
