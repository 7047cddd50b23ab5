"""VQ-VAE: an autoencoder whose latent vectors come from a finite codebook.

Everything here has channels last: `z` is (..., D), a codebook (K, D), codes are indices
(...). Losses are means over all elements, as in Sonnet.

Source: van den Oord et al. 2017, *Neural Discrete Representation Learning*,
arXiv:1711.00937. Moving averages as in DeepMind's Sonnet 2, `nets/vqvae.py`. FSQ:
Mentzer et al. 2023, *Finite Scalar Quantization*, arXiv:2309.15505.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lib.training import fit
from lib.vae_to_vqgan.autoencoder import Autoencoder, Size


def nearest_code(
    z: Float[Tensor, "*grid d"], codebook: Float[Tensor, "k d"]
) -> tuple[Int64[Tensor, "*grid"], Float[Tensor, "*grid d"]]:
    """Index of the nearest code in Euclidean distance, and that code.

    By |z - e|² = |z|² - 2 z·e + |e|², whose first term no comparison needs. The lower
    index wins a tie. The indices carry no gradient; the codes pass theirs to
    `codebook`, and nothing to `z`.

    Raises:
        ValueError: the last axes differ in width.
    """
    if z.shape[-1] != codebook.shape[-1]:
        raise ValueError(
            f"z must have {codebook.shape[-1]} channels in its last axis, as the codes"
            f" have, got shape {tuple(z.shape)}"
        )
    with torch.no_grad():
        idx = (codebook.square().sum(-1) - 2 * z @ codebook.T).argmin(-1)
    return idx, codebook[idx]


def vq_losses(
    z: Float[Tensor, "*grid d"], z_q: Float[Tensor, "*grid d"], beta: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Codebook term |sg[z] - e|² and commitment term beta |z - sg[e]|², both means.

    The first moves codes to encodings, the second encodings to codes. `beta` belongs to
    the second; a popular implementation multiplies the first instead.

    Source: van den Oord et al. 2017, equation 3.
    """
    codebook = F.mse_loss(z_q, z.detach())
    commitment = F.mse_loss(z, z_q.detach())
    return codebook, beta * commitment


def straight_through(
    z: Float[Tensor, "*grid d"], z_q: Float[Tensor, "*grid d"]
) -> Float[Tensor, "*grid d"]:
    """The values of `z_q` with the gradient of `z`: z + sg[z_q - z]."""
    return z + (z_q - z).detach()


class VectorQuantizer(nn.Module):
    """A codebook learnt by gradients.

    Called with `z` it returns the codes with straight-through gradients, their indices,
    and what to add to the loss: codebook term and commitment term.
    """

    def __init__(self, codebook: Float[Tensor, "k d"], beta: float = 0.25):
        super().__init__()
        self.codebook, self.beta = nn.Parameter(codebook.clone()), beta

    def forward(
        self, z: Float[Tensor, "*grid d"]
    ) -> tuple[Float[Tensor, "*grid d"], Int64[Tensor, "*grid"], Float[Tensor, ""]]:
        """Codes, indices, loss."""
        idx, z_q = nearest_code(z, self.codebook)
        codebook, commitment = vq_losses(z, z_q, self.beta)
        return straight_through(z, z_q), idx, codebook + commitment


class VectorQuantizerEMA(nn.Module):
    """A codebook that follows the data by moving averages; it needs no gradient.

    As in Sonnet 2: the averages start at zero and are debiased by 1 - decay**t, so the
    initial codebook counts in the first step only, and a code that was never used moves
    to the origin. Some ports start the sums at the codebook instead. In training mode
    every call updates the codebook, after the codes were looked up.
    """

    def __init__(
        self,
        codebook: Float[Tensor, "k d"],
        beta: float = 0.25,
        decay: float = 0.99,
        eps: float = 1e-5,
    ):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        self.beta, self.decay, self.eps = beta, decay, eps
        self.register_buffer("codebook", codebook.clone())
        self.register_buffer("counts", torch.zeros_like(codebook[:, 0]))
        self.register_buffer("sums", torch.zeros_like(codebook))
        self.register_buffer("steps", torch.tensor(0))

    def forward(
        self, z: Float[Tensor, "*grid d"]
    ) -> tuple[Float[Tensor, "*grid d"], Int64[Tensor, "*grid"], Float[Tensor, ""]]:
        """Codes, indices, and the commitment term alone."""
        idx, z_q = nearest_code(z, self.codebook)
        _, commitment = vq_losses(z, z_q, self.beta)
        if self.training:
            self.update(z.detach().flatten(0, -2), idx.flatten())
        return straight_through(z, z_q), idx, commitment

    @torch.no_grad()
    def update(self, z: Float[Tensor, "n d"], idx: Int64[Tensor, " n"]) -> None:
        """One step of the moving averages with the vectors of one batch."""
        chosen = F.one_hot(idx, len(self.codebook)).to(z.dtype)
        self.steps += 1
        self.counts.lerp_(chosen.sum(0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ z, 1 - self.decay)
        debias = 1 - self.decay ** int(self.steps)
        counts = self.counts / debias
        n, k = counts.sum(), len(counts)
        smoothed = (counts + self.eps) / (n + k * self.eps) * n
        self.codebook.copy_(self.sums / debias / smoothed[:, None])

    @torch.no_grad()
    def revive(
        self, z: Float[Tensor, "n d"], threshold: float, generator: torch.Generator
    ) -> Bool[Tensor, " k"]:
        """Move codes used less than `threshold` times a step to vectors of the batch.

        Their averages start again as if each had its fair share of uses, or the next
        update would pull them back. Returns which codes were moved.
        """
        debias = 1 - self.decay ** int(self.steps)
        fair = self.counts.mean()
        codebook, dead = reset_dead_codes(
            self.codebook, self.counts / debias, z, threshold, generator
        )
        self.codebook.copy_(codebook)
        self.counts[dead] = fair
        self.sums[dead] = fair * codebook[dead]
        return dead


def reset_dead_codes(
    codebook: Float[Tensor, "k d"],
    counts: Float[Tensor, " k"],
    z: Float[Tensor, "n d"],
    threshold: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "k d"], Bool[Tensor, " k"]]:
    """Codes with `counts` below `threshold` become rows of `z`, drawn with replacement.

    Returns the new codebook and which codes were replaced. Draws from `generator` on
    the CPU, the same number whatever is dead.
    """
    rows = torch.randint(len(z), (len(codebook),), generator=generator)
    dead = counts < threshold
    drawn = z[rows.to(z.device)]
    return torch.where(dead[:, None], drawn, codebook), dead


def codebook_perplexity(idx: Int64[Tensor, "*grid"], k: int) -> float:
    """exp of the entropy of the code frequencies: how many codes are in effective use.

    1 if one code answers for everything, `k` if all are equally frequent.

    Raises:
        ValueError: `idx` is empty or has an index outside 0 ... k - 1.
    """
    if not idx.numel() or idx.min() < 0 or idx.max() >= k:
        raise ValueError(f"idx must hold indices from 0 to {k - 1}")
    p = idx.flatten().bincount(minlength=k).double() / idx.numel()
    return float(torch.special.entr(p).sum().exp())


def fsq(z: Float[Tensor, "*grid d"], levels: Sequence[int]) -> Float[Tensor, "*grid d"]:
    """Finite scalar quantisation: channel i is rounded to one of `levels[i]` values.

    tanh bounds, rounding decides, with straight-through gradients; the values are then
    divided by levels // 2. Odd L: -1 to 1 in steps of 2/(L-1). Even L: L values from -1
    to 1 - 2/L. The codebook is the product grid, and nothing in it is learnt.

    Source: Mentzer et al. 2023, appendix A.1. Its shift for even L is a tangent; some
    ports take artanh, which puts z = 0 exactly on a level and is undefined for L = 2.

    Raises:
        ValueError: not one level count per channel, or one below 2.
    """
    if len(levels) != z.shape[-1] or min(levels) < 2:
        raise ValueError(
            f"levels must be {z.shape[-1]} numbers of at least 2, got {tuple(levels)}"
        )
    n = torch.tensor(levels, device=z.device)
    half = (n - 1).to(z.dtype) * (1 - 1e-3) / 2
    offset = (1 - n % 2).to(z.dtype) / 2
    bounded = (z + (offset / half).tan()).tanh() * half - offset
    return straight_through(bounded, bounded.round()) / (n // 2)


def fsq_index(
    codes: Float[Tensor, "*grid d"], levels: Sequence[int]
) -> Int64[Tensor, "*grid"]:
    """The number of an FSQ code, from 0 to prod(levels) - 1; channel 0 counts fastest.

    Source: Mentzer et al. 2023, appendix A.1.
    """
    digits = [
        (codes[..., i] * (n // 2)).round().long() + n // 2 for i, n in enumerate(levels)
    ]
    weights = [math.prod(levels[:i]) for i in range(len(levels))]
    return sum(digit * weight for digit, weight in zip(digits, weights))


class FSQ(nn.Module):
    """`fsq` in the place of a quantiser: nothing to learn, no loss of its own."""

    def __init__(self, levels: Sequence[int]):
        super().__init__()
        self.levels = tuple(levels)

    def forward(
        self, z: Float[Tensor, "*grid d"]
    ) -> tuple[Float[Tensor, "*grid d"], Int64[Tensor, "*grid"], Float[Tensor, ""]]:
        """Codes, indices, zero."""
        codes = fsq(z, self.levels)
        return codes, fsq_index(codes.detach(), self.levels), z.new_zeros(())


class VQVAE(nn.Module):
    """An autoencoder with a quantiser in the middle."""

    def __init__(self, autoencoder: Autoencoder, quantiser: nn.Module):
        super().__init__()
        self.autoencoder, self.quantiser = autoencoder, quantiser

    def forward(
        self, x: Float[Tensor, "b 1 h w"]
    ) -> tuple[Float[Tensor, "b 1 h w"], Int64[Tensor, "b gh gw"], Float[Tensor, ""]]:
        """Reconstruction, code indices, and the quantiser's part of the loss."""
        z_q, idx, loss = self.quantiser(self.autoencoder.encode(x))
        return self.autoencoder.decode(z_q), idx, loss


def train(
    model: VQVAE,
    images: Float[Tensor, "n 1 h w"],
    size: Size,
    generator: torch.Generator,
    revive_below: float | None = None,
) -> Float[Tensor, " steps"]:
    """Lower mean squared error + the quantiser's loss; the losses of all steps.

    With `revive_below`, codes used less often than so many times a step are moved after
    every step (`VectorQuantizerEMA.revive`). Batches come from `generator`.
    """
    images = images.to(next(model.parameters()).device)

    def loss() -> Tensor:
        rows = torch.randint(len(images), (size.batch,), generator=generator)
        x = images[rows.to(images.device)]
        z = model.autoencoder.encode(x)
        z_q, _, quantisation = model.quantiser(z)
        if revive_below is not None:
            vectors = z.detach().flatten(0, -2)
            model.quantiser.revive(vectors, revive_below, generator)
        return F.mse_loss(model.autoencoder.decode(z_q), x) + quantisation

    model.train()
    return fit(model.parameters(), loss, size.steps, size.learning_rate)
