"""VQGAN: compress with a codebook, a perceptual and an adversarial loss; then generate.

The first stage is an autoencoder with a few tokens, trained against distances that see
what people see; the second an autoregressive prior over those tokens.

Source: Esser, Rombach and Ommer 2021, *Taming Transformers for High-Resolution Image
Synthesis*, arXiv:2012.09841, and its code, CompVis/taming-transformers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lib import language_model
from lib.images import digits, glyphs
from lib.language_model import LanguageModel, Learned
from lib.training import fit
from lib.vae_to_vqgan import autoencoder
from lib.vae_to_vqgan.critics import FeatureLoss, PatchDiscriminator
from lib.vae_to_vqgan.vqvae import VQVAE


@dataclass(frozen=True)
class Size:
    """One experiment: first stage, the networks that judge it, and the prior.

    `watch` is the width and the stages of a `FeatureNet` with its training steps,
    `patches` the width and the layers of a `PatchDiscriminator`; the adversarial loss
    begins after the share `start` of the steps.
    """

    first: autoencoder.Size
    watch: tuple[int, int, int]
    patches: tuple[int, int]
    start: float
    prior: language_model.Size


# The CPU size trains three first stages in half a minute. At the GPU size an image of
# 64 x 64 becomes 8 x 8 codes: f = 8.
CPU = Size(
    first=replace(autoencoder.CPU, batch=64, steps=500, learning_rate=3e-3),
    watch=(16, 3, 250),
    patches=(16, 2),
    start=0.25,
    prior=language_model.Size(
        layers=2, heads=2, width=32, length=4, batch=128, steps=300, learning_rate=5e-3
    ),
)
GPU = Size(
    first=autoencoder.GPU,
    watch=(32, 4, 2000),
    patches=(64, 3),
    start=0.25,
    prior=language_model.Size(
        layers=6,
        heads=8,
        width=256,
        length=64,
        batch=128,
        steps=5000,
        learning_rate=1e-3,
    ),
)


def data(
    size: Size, generator: torch.Generator
) -> tuple[
    Float[Tensor, "n 1 h w"], Int64[Tensor, " n"], Float[Tensor, "m 1 h w"], Tensor
]:
    """Images and digits to train on, then images and digits to judge by.

    8 x 8: scikit-learn's, always the same. Else glyphs drawn from `generator`.
    """
    first = size.first
    n, m = first.train, first.test
    if first.pixels == 8:
        images, labels = digits()
    else:
        images, labels = glyphs(n + m, first.pixels, generator)
    return images[:n], labels[:n], images[n : n + m], labels[n : n + m]


def hinge_d_loss(
    real: Float[Tensor, "*real"], fake: Float[Tensor, "*fake"]
) -> Float[Tensor, ""]:
    """What the discriminator lowers: half the mean shortfall on either side.

    ½ (E max(0, 1 - real) + E max(0, 1 + fake)), means over all images and patches.
    Logits, not probabilities; real is to exceed 1 and fake to be below -1. The ½ is
    that of the code; Lim and Ye have none, which doubles the learning rate.

    Source: Lim and Ye 2017, arXiv:1705.02894, section 3.
    """
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def hinge_g_loss(fake: Float[Tensor, "*fake"]) -> Float[Tensor, ""]:
    """What the generator lowers: minus the mean logit of what it made, no hinge."""
    return -fake.mean()


def adaptive_weight(
    nll: Float[Tensor, ""],
    g: Float[Tensor, ""],
    last_layer_weight: Float[Tensor, "..."],
    delta: float = 1e-6,
    most: float = 1e4,
) -> Float[Tensor, ""]:
    """λ = |∇ nll| / (|∇ g| + delta), gradients at the decoder's last layer only.

    λ·g then pulls at that layer as hard as nll does. At most `most`, and a constant:
    no gradient flows through λ. Both graphs are kept for the step that follows. The
    paper has delta 1e-6 and no bound, its code 1e-4 and 1e4.

    Source: Esser et al. 2021, equation 7; `calculate_adaptive_weight` in the code.
    """
    pulls = [
        torch.autograd.grad(loss, last_layer_weight, retain_graph=True)[0].norm()
        for loss in (nll, g)
    ]
    return (pulls[0] / (pulls[1] + delta)).clamp(max=most).detach()


def train_first_stage(
    model: VQVAE,
    images: Float[Tensor, "n channels h w"],
    size: autoencoder.Size,
    generator: torch.Generator,
    features: FeatureLoss | None = None,
    critic: PatchDiscriminator | None = None,
    start: float = 0.25,
) -> Float[Tensor, "steps 3"]:
    """Train `model` in place: |x - x̂| + features + codes + λ · adversarial loss.

    Without `features` or `critic` their terms are absent. The critic has its own
    optimiser and takes one step for each of the generator's, from the step at the share
    `start` of all steps; λ is 0 before. Adam with betas 0.5 and 0.9, as in the code;
    the model's learning rate follows a cosine, the critic's stays. Codes in little use
    are revived.

    Returns the curves (reconstruction, λ, critic's loss), of each step.
    """
    device = next(model.parameters()).device
    steps, rate = size.steps, size.learning_rate
    adam = torch.optim.Adam(model.parameters(), rate, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, rate, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    if critic is not None:
        rival = torch.optim.Adam(critic.parameters(), rate, betas=(0.5, 0.9))
    last = model.autoencoder.last.weight
    curves = torch.zeros(steps, 3)
    model.train()
    for step in range(steps):
        rows = torch.randint(len(images), (size.batch,), generator=generator)
        x = images[rows].to(device)
        z = model.autoencoder.encode(x)
        z_q, _, commitment = model.quantiser(z)
        model.quantiser.revive(z.detach().flatten(0, -2), 0.1, generator)
        fake = model.autoencoder.decode(z_q)
        reconstruction = (x - fake).abs().mean()
        if features is not None:
            reconstruction = reconstruction + features(x, fake).mean()
        loss = reconstruction + commitment
        curves[step, 0] = reconstruction.detach()
        judged = critic is not None and step >= start * steps
        if judged:
            g = hinge_g_loss(critic(fake))
            weight = adaptive_weight(reconstruction, g, last)
            loss = loss + weight * g
            curves[step, 1] = weight
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        if judged:
            d = hinge_d_loss(critic(x), critic(fake.detach()))
            rival.zero_grad()
            d.backward()
            rival.step()
            curves[step, 2] = d.detach()
    model.eval()
    return curves


class CodePrior(nn.Module):
    """A Transformer that predicts each code from those before it, in raster order.

    `lib.language_model` with a learned vector for each place and one token more than
    there are codes: the start, which stands before the first. Never predicted.
    """

    def __init__(
        self, codes: int, size: language_model.Size, generator: torch.Generator
    ):
        super().__init__()
        self.codes = codes
        places = Learned(size.length, size.width, generator)
        self.model = LanguageModel(codes + 1, size, places, generator)

    def forward(
        self, idx: Int64[Tensor, "batch n"]
    ) -> Float[Tensor, "batch places codes"]:
        """Logits of the next code after each prefix: n + 1 places, the empty first.

        Raises:
            ValueError: `idx` leaves no place to predict: n is the length or more.
        """
        idx = idx.to(self.model.head.weight.device)
        start = idx.new_full((len(idx), 1), self.codes)
        return self.model(torch.cat([start, idx], 1))[..., : self.codes]


def train_prior(
    prior: CodePrior,
    idx: Int64[Tensor, "n length"],
    size: language_model.Size,
    generator: torch.Generator,
) -> Float[Tensor, " steps"]:
    """Fit `prior` to rows of codes; the losses of all steps, in nats a code."""

    def loss() -> Tensor:
        rows = torch.randint(len(idx), (size.batch,), generator=generator)
        return code_nll(prior, idx[rows]).mean() / idx.shape[1]

    return fit(prior.parameters(), loss, size.steps, size.learning_rate)


def code_nll(
    prior: Callable[[Tensor], Tensor], idx: Int64[Tensor, "batch n"]
) -> Float[Tensor, " batch"]:
    """-log p of each row of codes, in nats: a sum over its places.

    `prior` gives the logits of the next code after each prefix, the empty one first.
    """
    logits = prior(idx[:, :-1])
    return F.cross_entropy(logits.mT, idx.to(logits.device), reduction="none").sum(1)


@torch.no_grad()
def sample_codes(
    prior: Callable[[Tensor], Tensor],
    n: int,
    length: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Int64[Tensor, "n length"]:
    """Draw `n` rows of codes, one code after the other.

    The temperature divides the logits; `top_k` keeps only the k likeliest codes at each
    place (more where several are equally likely as the k-th).

    Raises:
        ValueError: `temperature` is not positive, or `top_k` below 1.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    idx = torch.empty(n, 0, dtype=torch.int64)
    for _ in range(length):
        logits = prior(idx)[:, -1].cpu() / temperature
        if top_k is not None:
            least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        idx = torch.cat([idx, drawn], 1)
    return idx
