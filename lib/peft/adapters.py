"""The bill of a training step, and adapters: small modules in a frozen model.

Bytes are counted twice, by formula and on a real step. Every method of this lesson
leaves the model as it was at the start, and freezes what it does not train.

Sources: Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2021, arXiv:2005.00247;
He et al. 2022, arXiv:2110.04366; Ben Zaken et al. 2022, arXiv:2106.10199; Liu et al.
2022, arXiv:2205.05638; Korthikanti et al. 2022, arXiv:2205.05198.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from lib import runtime
from lib.peft import vit
from lib.peft.activations import saving

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """Bytes a parameter. All are paid for what is trained, the weight for the rest."""

    weight: int
    gradient: int
    master: int
    moments: int


# Weights and gradients of 16 bits, a copy of the weights and Adam's m and v of 32.
MIXED_ADAM = Recipe(weight=2, gradient=2, master=4, moments=8)
FP32_ADAM = Recipe(weight=4, gradient=4, master=0, moments=8)
FP32_SGD = Recipe(weight=4, gradient=4, master=0, moments=0)


def training_memory_bytes(
    n_params: int, n_train: int, recipe: Recipe = MIXED_ADAM
) -> dict[str, int]:
    """Bytes of weights, gradients, master copy and moments; no activations.

    `n_params` counts all parameters, the `n_train` trained ones among them. A frozen
    parameter has a weight and nothing else. A framework that keeps the gradients of
    mixed precision in 32 bits pays 2 bytes more than MIXED_ADAM.

    Raises:
        ValueError: `n_train` is negative or above `n_params`.
    """
    if not 0 <= n_train <= n_params:
        raise ValueError(f"n_train must be between 0 and {n_params}, got {n_train}")
    return {
        "weights": n_params * recipe.weight,
        "gradients": n_train * recipe.gradient,
        "master copy": n_train * recipe.master,
        "moments": n_train * recipe.moments,
    }


def activation_bytes(
    layers: int, batch: int, tokens: int, width: int, heads: int, number: int = 2
) -> int:
    """What the layers of a transformer keep for the backward pass, all trained.

    For a layer of `lib.peft.vit`, numbers of `number` bytes, no dropout: a token keeps
    16 vectors of its width (the inputs of two norms, of the three projections, of the
    output, of the two of the MLP and of its GELU, and q, k, v), a row of attention
    weights for each head, and four statistics of its norms. Embedding and head are
    left out, as is what a fused attention saves.

    Source: Korthikanti et al. 2022, section 4.1: 34 bytes in place of 32, and 5 in
    place of 2 for an attention weight, since dropout keeps its masks.
    """
    a_token = 16 * width + heads * tokens + 4
    return layers * batch * tokens * a_token * number


def measured_bytes(
    model: nn.Module,
    loss: Callable[[], Float[Tensor, ""]],
    optimiser: torch.optim.Optimizer,
) -> dict[str, int]:
    """Take one step, and count what is held in it: the bill as it is.

    activations is whatever autograd keeps between forward and backward except the
    parameters; a storage counts once and as a whole, whoever shares it. gradients are
    those that the step leaves, moments all tensors of the optimiser's state.
    """
    parameters = list(model.parameters())
    optimiser.zero_grad()
    with saving(parameters) as count:
        value = loss()
    kept = count()
    value.backward()
    optimiser.step()
    state = (t for own in optimiser.state.values() for t in own.values())
    return {
        "weights": sum(p.nbytes for p in parameters),
        "gradients": sum(p.grad.nbytes for p in parameters if p.grad is not None),
        "moments": sum(t.nbytes for t in state),
        "activations": kept,
    }


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers are trained; a tensor used in two places counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def freeze(model: nn.Module, but: str = "") -> nn.Module:
    """Train the parameters whose whole name matches the expression `but`, no others.

    Changes the model, and returns it.
    """
    for name, p in model.named_parameters():
        p.requires_grad_(re.fullmatch(but, name) is not None)
    return model


class Adapter(nn.Module):
    """h + up(act(down(h))): width d, to m < d and back, 2 m d + d + m parameters.

    `up` is zero at the start, so that the adapter is the identity, exactly. Then the
    first gradient of `up` is not zero and that of `down` is; from the second step on
    neither is. Houlsby et al. draw both from N(0, 0.01²), cut at two deviations, and
    are near the identity only.
    """

    def __init__(
        self, d: int, m: int, act: Activation, generator: torch.Generator | None = None
    ):
        super().__init__()
        self.down, self.up, self.act = nn.Linear(d, m), nn.Linear(m, d), act
        nn.init.normal_(self.down.weight, std=d**-0.5, generator=generator)
        for rest in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(rest)

    def change(self, h: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        return self.up(self.act(self.down(h)))

    def forward(self, h: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        return h + self.change(h)


class Rescale(nn.Module):
    """h * l, entry by entry; l is one at the start."""

    def __init__(self, d: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d))

    def forward(self, h: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        return h * self.scale


def _after(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    return module.adapter(output)


def _beside(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    return output + module.adapter.change(inputs[0])


def _before(module: nn.Module, inputs: tuple) -> Tensor:
    return module.adapter(inputs[0])


def _targets(model: nn.Module, pattern: str) -> list[nn.Module]:
    """The modules whose whole name matches, less those that have an adapter."""
    named = [m for n, m in model.named_modules() if re.fullmatch(pattern, n)]
    if not named:
        raise ValueError(f"pattern must match the name of a module, got {pattern!r}")
    return [module for module in named if not hasattr(module, "adapter")]


# Where adapters go in `lib.peft.vit`. A name must match as a whole.
AFTER_BOTH = r"blocks\.\d+\.(attention\.out|mlp\.down)"  # Houlsby: two a layer
AFTER_MLP = r"blocks\.\d+\.mlp\.down"  # Pfeiffer: one a layer
WHOLE_MLP = r"blocks\.\d+\.mlp"


def inject_adapters(
    model: nn.Module,
    pattern: str,
    m: int,
    style: str = "after",
    act: Activation = F.gelu,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Freeze a model and give the modules named by `pattern` an adapter each.

    style "after": the adapter works on the module's output, one thing after another.
    "beside": it reads the module's input, and what it adds joins the output (He et
    al. 2022, the parallel adapter). It is a submodule `adapter` of its module and is
    called from a forward hook, so that every parameter of the base keeps its name and
    a state dict fits as before. The width is that of the module's last linear layer.
    A module that has an adapter keeps it. Changes the model, and returns it.

    Raises:
        ValueError: `pattern` matches no module, or `style` is neither of the two.
    """
    hooks = {"after": _after, "beside": _beside}
    if style not in hooks:
        raise ValueError(f"style must be 'after' or 'beside', got {style!r}")
    freeze(model, r"(.*\.)?adapter\..*")
    for module in _targets(model, pattern):
        *_, last = (x for x in module.modules() if isinstance(x, nn.Linear))
        module.adapter = Adapter(last.out_features, m, act, generator)
        module.register_forward_hook(hooks[style])
    return model


KEYS_VALUES = r"blocks\.\d+\.attention\.[kv]"


def inject_ia3(model: nn.Module, outputs: str, inputs: str) -> nn.Module:
    """Freeze a model, rescale the outputs of some linear layers and inputs of others.

    IA³ rescales keys, values and what enters the last projection of the MLP: patterns
    KEYS_VALUES and AFTER_MLP for `lib.peft.vit`. Changes the model, and returns it.

    Raises:
        ValueError: a pattern matches no module.

    Source: Liu et al. 2022, section 3.3.
    """
    freeze(model, r"(.*\.)?adapter\..*")
    for module in _targets(model, outputs):
        module.adapter = Rescale(module.out_features)
        module.register_forward_hook(_after)
    for module in _targets(model, inputs):
        module.adapter = Rescale(module.in_features)
        module.register_forward_pre_hook(_before)
    return model


def sequential_operations(model: nn.Module, *inputs: Tensor) -> tuple[int, int]:
    """The length of the longest chain of operations, and how many there are in all.

    An operation waits for those whose results it takes; the chain is what would be
    left to wait for with any number of processors. Changes of shape that move no data
    are not operations, and what depends on parameters alone is known beforehand.
    """
    depth, operations = {}, 0
    for node in make_fx(model)(*inputs).graph.nodes:
        before = [depth[argument] for argument in node.all_input_nodes]
        works = node.op == "call_function" and not (
            getattr(node.target, "is_view", True) or "view" in str(node.target)
        )
        known = node.op == "get_attr" or (before and max(before) < 0)
        depth[node] = -1 if known else max(before, default=0) + works
        operations += works and not known
    return max(depth.values()), operations


NORMS = r"(blocks\.\d+\.)?norm.*"
HEAD = r"head\..*"

# The best of `vit.RATES`.
RATES = {
    "full": 1e-2,
    "head": 1.0,
    "bitfit": 3e-2,
    "ia3": 3e-1,
    "adapters": 3e-2,
    "pfeiffer": 1e-1,
}


def _turned(
    size: vit.Size, method: str, trained: str, change: Callable[[vit.ViT, int], object]
) -> dict[str, Tensor]:
    """Change five copies, train what matches `trained`, tune on turned digits."""
    state = runtime.trained("peft/vit", vit.pretrain, size)
    copies = [vit.restored(size, state) for _ in range(size.seeds)]
    for seed, copy in enumerate(copies):
        change(copy, seed)
        freeze(copy, trained)
    return vit.tune(copies, vit.turned(), size, RATES[method])


def turned_full(size: vit.Size) -> dict[str, Tensor]:
    """Everything is trained."""
    return _turned(size, "full", ".*", lambda model, seed: None)


def turned_head(size: vit.Size) -> dict[str, Tensor]:
    """The last layer is trained, on features that stay as they are."""
    return _turned(size, "head", HEAD, lambda model, seed: None)


def turned_bitfit(size: vit.Size) -> dict[str, Tensor]:
    """The biases are trained, those of the norms among them, and the head."""
    return _turned(size, "bitfit", rf"{HEAD}|.*bias", lambda model, seed: None)


def turned_ia3(size: vit.Size) -> dict[str, Tensor]:
    """IA³ and the head."""
    return _turned(
        size,
        "ia3",
        rf"{HEAD}|.*adapter.*",
        lambda model, seed: inject_ia3(model, KEYS_VALUES, AFTER_MLP),
    )


def _with_adapters(
    size: vit.Size, method: str, pattern: str, m: int
) -> dict[str, Tensor]:
    """Adapters, all norms and the head."""

    def change(model: vit.ViT, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        inject_adapters(model, pattern, m, generator=generator)

    return _turned(size, method, rf"{HEAD}|{NORMS}|.*adapter.*", change)


def turned_adapters(size: vit.Size) -> dict[str, Tensor]:
    """Houlsby's: two a layer, of two units each; norms and head are trained too."""
    return _with_adapters(size, "adapters", AFTER_BOTH, 2)


def turned_pfeiffer(size: vit.Size) -> dict[str, Tensor]:
    """Pfeiffer's: one a layer, of five units; norms and head are trained too."""
    return _with_adapters(size, "pfeiffer", AFTER_MLP, 5)
