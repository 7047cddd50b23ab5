"""Prefixes and prompts: a frozen model is steered by what it attends to.

A prefix is a few trained keys and values before each layer's own; a soft prompt is a
few trained tokens at the input, whose keys and values the frozen layers compute.

Sources: Li and Liang 2021, *Prefix-Tuning*, arXiv:2101.00190; Lester et al. 2021,
arXiv:2104.08691; Liu et al. 2021, *GPT Understands, Too* (P-tuning), arXiv:2103.10385.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lib import runtime
from lib.peft import vit

Prefixes = list[vit.KeysValues]


def _scores(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


def prefix_attention(
    q: Float[Tensor, "*batch heads n d"],
    k: Float[Tensor, "*batch heads keys d"],
    v: Float[Tensor, "*batch heads keys d_v"],
    pk: Float[Tensor, "heads m d"],
    pv: Float[Tensor, "heads m d_v"],
    mask: Bool[Tensor, "#n keys"] | None = None,
) -> Float[Tensor, "*batch heads n d_v"]:
    """Attention of the queries to a prefix and to the content, one softmax for both.

    `mask` is the content's, true where a query may look. The prefix has none: every
    query sees all of it, under a causal mask too. It comes without positions: under
    RoPE hand over q and k rotated at the content's own 0, 1, ..., and pk as it is.

    Source: Li and Liang 2021, section 4.2.
    """
    m = pk.shape[-2]
    k = torch.cat([pk.expand(*k.shape[:-2], *pk.shape[-2:]), k], -2)
    v = torch.cat([pv.expand(*v.shape[:-2], *pv.shape[-2:]), v], -2)
    if mask is not None:
        mask = torch.cat([mask.new_ones(len(mask), m), mask], -1)
    return _scores(q, k, mask).softmax(-1) @ v


def gate(
    q: Float[Tensor, "*batch heads n d"],
    k: Float[Tensor, "*batch heads keys d"],
    pk: Float[Tensor, "heads m d"],
    mask: Bool[Tensor, "#n keys"] | None = None,
) -> Float[Tensor, "*batch heads n 1"]:
    """λ, the share of each query's attention that goes to the prefix.

    sigmoid(lse(q pk' / √d) - lse(q k' / √d)), lse over the keys that the query sees.
    """
    prefix = _scores(q, pk).logsumexp(-1, keepdim=True)
    own = _scores(q, k, mask).logsumexp(-1, keepdim=True)
    return (prefix - own).sigmoid()


def gated_attention(
    q: Float[Tensor, "*batch heads n d"],
    k: Float[Tensor, "*batch heads keys d"],
    v: Float[Tensor, "*batch heads keys d_v"],
    pk: Float[Tensor, "heads m d"],
    pv: Float[Tensor, "heads m d_v"],
    mask: Bool[Tensor, "#n keys"] | None = None,
) -> Float[Tensor, "*batch heads n d_v"]:
    """`prefix_attention` as a mixture: (1 - λ) content + λ prefix, each by itself.

    The second term asks nothing of the content but its query.

    Source: He et al. 2022, arXiv:2110.04366, section 3.1.
    """
    content = _scores(q, k, mask).softmax(-1) @ v
    prefix = _scores(q, pk).softmax(-1) @ pv
    return torch.lerp(content, prefix, gate(q, k, pk, mask))


def split_prefix(
    flat: Float[Tensor, "m stored"], n_layers: int, n_heads: int
) -> Prefixes:
    """Keys and values (heads, m, d) of each layer from one row of numbers a token.

    A row holds layer by layer the keys, then the values of its heads, as in peft.

    Raises:
        ValueError: a row cannot be shared out so.
    """
    if flat.shape[1] % (2 * n_layers * n_heads):
        raise ValueError(
            f"flat must have a multiple of 2 * {n_layers} * {n_heads} columns, "
            f"got {flat.shape[1]}"
        )
    layers = flat.unflatten(1, (n_layers, 2, n_heads, -1)).permute(1, 2, 3, 0, 4)
    return [(k, v) for k, v in layers]


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """As PyTorch draws it, but from `generator`."""
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, generator=generator)
        elif isinstance(part, nn.Linear | nn.LSTM):
            rows = part.in_features if isinstance(part, nn.Linear) else part.hidden_size
            for weights in part.parameters():
                nn.init.uniform_(weights, -(rows**-0.5), rows**-0.5, generator)


class Prefix(nn.Module):
    """The prefix itself: a row a token, 2 · layers · heads · d numbers, all trained.

    This is what is stored in the end, and the whole of P-tuning v2. Initially N(0, 1),
    as in peft.
    """

    def __init__(
        self,
        n_layers: int,
        n_tokens: int,
        n_heads: int,
        d_head: int,
        generator: torch.Generator,
    ):
        super().__init__()
        self.n_layers, self.n_heads = n_layers, n_heads
        self.embedding = nn.Embedding(n_tokens, 2 * n_layers * n_heads * d_head)
        _draw(self, generator)

    def forward(self) -> Prefixes:
        return split_prefix(self.embedding.weight, self.n_layers, self.n_heads)


class PrefixEncoder(nn.Module):
    """A prefix made by a network from a smaller table: Linear, tanh, Linear.

    No tanh after the second: keys and values of any size. Only for training, see
    `materialised`. The table is as wide as the model, initially N(0, 1), as in peft.

    Source: Li and Liang 2021, section 4.3; hidden width 512 as there.
    """

    def __init__(
        self,
        n_layers: int,
        n_tokens: int,
        n_heads: int,
        d_head: int,
        generator: torch.Generator,
        mid: int = 512,
    ):
        super().__init__()
        self.n_layers, self.n_heads, width = n_layers, n_heads, n_heads * d_head
        self.embedding = nn.Embedding(n_tokens, width)
        self.transform = nn.Sequential(
            nn.Linear(width, mid), nn.Tanh(), nn.Linear(mid, n_layers * 2 * width)
        )
        _draw(self, generator)

    def forward(self) -> Prefixes:
        flat = self.transform(self.embedding.weight)
        return split_prefix(flat, self.n_layers, self.n_heads)


@torch.no_grad()
def materialised(encoder: PrefixEncoder) -> Prefix:
    """The prefix that the encoder has come to, without the encoder."""
    flat = encoder.transform(encoder.embedding.weight)
    d_head = encoder.embedding.embedding_dim // encoder.n_heads
    shape = encoder.n_layers, len(flat), encoder.n_heads, d_head
    prefix = Prefix(*shape, torch.Generator())
    prefix.embedding.weight.copy_(flat)
    return prefix


class SoftPrompt(nn.Module):
    """Trained tokens for the input, initially the rows `init_ids` of a vocabulary.

    Source: Lester et al. 2021, section 2.1.
    """

    def __init__(
        self, vocabulary: Float[Tensor, "words width"], init_ids: Int64[Tensor, " m"]
    ):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(
            vocabulary[init_ids].detach().clone(), freeze=False
        )

    def forward(self) -> Float[Tensor, "m width"]:
        return self.embedding.weight


class PromptEncoder(nn.Module):
    """P-tuning (v1): a soft prompt made by a network, so that its tokens meet.

    A bidirectional LSTM of two layers runs over the table, then Linear, ReLU, Linear.
    Like `PrefixEncoder` it is dropped after training: its output is the prompt.

    Source: Liu et al. 2021; widths as in peft.
    """

    def __init__(self, n_tokens: int, width: int, mid: int, generator: torch.Generator):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, width)
        self.lstm_head = nn.LSTM(
            width, mid, num_layers=2, bidirectional=True, batch_first=True
        )
        self.mlp_head = nn.Sequential(
            nn.Linear(2 * mid, 2 * mid), nn.ReLU(), nn.Linear(2 * mid, width)
        )
        _draw(self, generator)

    def forward(self) -> Float[Tensor, "m width"]:
        return self.mlp_head(self.lstm_head(self.embedding.weight[None])[0])[0]


class Prefixed(nn.Module):
    """A frozen ViT with a trained prefix in each layer, and a trained head."""

    def __init__(self, model: vit.ViT, prefix: Prefix | PrefixEncoder):
        super().__init__()
        self.model, self.prefix = model.requires_grad_(False), prefix
        model.head.requires_grad_(True)

    def forward(self, x: Float[Tensor, "batch 1 8 8"]) -> Float[Tensor, "batch 10"]:
        return self.model(x, self.prefix())


class Prompted(nn.Module):
    """A frozen ViT with trained tokens beside the image's, and a trained head.

    They come last, so that the class token stays first; attention does not care.
    """

    def __init__(self, model: vit.ViT, prompt: SoftPrompt | PromptEncoder):
        super().__init__()
        self.model, self.prompt = model.requires_grad_(False), prompt
        model.head.requires_grad_(True)

    def forward(self, x: Float[Tensor, "batch 1 8 8"]) -> Float[Tensor, "batch 10"]:
        tokens = self.model.embed(x)
        prompt = self.prompt()
        tokens = torch.cat([tokens, prompt.expand(len(x), *prompt.shape)], 1)
        for block in self.model.blocks:
            tokens = block(tokens)
        return self.model.read(tokens)


# Tokens that fit into the part's budget, and the network's hidden width: with 512 its
# copies run away.
PREFIX, PROMPT, MID = 8, 32, 64

# The best of `vit.RATES`.
RATES = {"prefix": 3e-1, "prefix_mlp": 3e-2, "prompt": 3e-1}

Change = Callable[[vit.ViT, torch.Generator], nn.Module]


def _turned(size: vit.Size, method: str, change: Change) -> dict[str, Tensor]:
    state = runtime.trained("peft/vit", vit.pretrain, size)
    copies = [
        change(vit.restored(size, state), torch.Generator().manual_seed(seed))
        for seed in range(size.seeds)
    ]
    return vit.tune(copies, vit.turned(), size, RATES[method])


def turned_prefix(size: vit.Size) -> dict[str, Tensor]:
    """A prefix of eight tokens in each layer, trained directly, and the head."""
    shape = size.layers, PREFIX, size.heads, size.width // size.heads
    return _turned(size, "prefix", lambda model, g: Prefixed(model, Prefix(*shape, g)))


def turned_prefix_mlp(size: vit.Size) -> dict[str, Tensor]:
    """The same made by a network, which is trained in its place, and the head.

    `trained` counts the network; what is stored is as much as without.
    """
    shape = size.layers, PREFIX, size.heads, size.width // size.heads
    return _turned(
        size,
        "prefix_mlp",
        lambda model, g: Prefixed(model, PrefixEncoder(*shape, g, MID)),
    )


def turned_prompt(size: vit.Size) -> dict[str, Tensor]:
    """A soft prompt of 32 tokens, initially patches of turned digits, and the head."""
    pictures = vit.turned().train

    @torch.no_grad()
    def prompted(model: vit.ViT, generator: torch.Generator) -> Prompted:
        words = model.embed(pictures)[:, 1:].flatten(0, 1)
        chosen = torch.randint(len(words), (PROMPT,), generator=generator)
        return Prompted(model, SoftPrompt(words, chosen))

    return _turned(size, "prompt", prompted)
