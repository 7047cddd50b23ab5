"""The VAE whose two networks are matrices: everything about it can be computed.

Sources: Lucas et al. 2019, *Don't Blame the ELBO!*, arXiv:1911.02469; Tipping & Bishop
1999, *Probabilistic Principal Component Analysis*.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def bernoulli_spectrum(x: Float[Tensor, "n d"]) -> Float[Tensor, " m"]:
    """Eigenvalues, largest first, of the covariance of x / sqrt(p (1 - p)).

    p is the mean of each column, x is in [0, 1]; columns whose p is 0 or 1 are left
    out. A small latent dimension of a Bernoulli decoder gains from growing where its
    eigenvalue is above beta.
    """
    p = x.mean(0)
    x, p = x[:, (p > 0) & (p < 1)], p[(p > 0) & (p < 1)]
    covariance = (x / (p * (1 - p)).sqrt()).T.cov(correction=0)
    return torch.linalg.eigvalsh(covariance).flip(0)


def ppca_log_likelihood(x: Float[Tensor, "n d"], k: int) -> Float[Tensor, ""]:
    """Mean log-density of the rows of `x` under the likeliest probabilistic PCA.

    In nats a row. Source: Tipping & Bishop 1999, with variances
    divided by n; scikit-learn divides by n - 1.

    Raises:
        ValueError: `k` is not below the number of columns.
    """
    d = x.shape[1]
    if not 0 < k < d:
        raise ValueError(f"k must be between 1 and {d - 1}, got {k}")
    eigenvalues = torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)
    noise = eigenvalues[k:].mean()
    logdet = eigenvalues[:k].log().sum() + (d - k) * noise.log()
    return -0.5 * (d * math.log(2 * math.pi) + logdet + d)


class LinearVAE(nn.Module):
    """Encoder mu = A (x - m), one logvar for all x; decoder N(m + W z, sigma**2 I).

    m is the mean of the data, which is where it belongs. Weights start as normal
    numbers of size `scale`.
    """

    def __init__(self, d: int, k: int, generator: torch.Generator, scale: float = 0.1):
        super().__init__()
        draw = {"generator": generator, "dtype": torch.float64}
        self.W = nn.Parameter(scale * torch.randn(d, k, **draw))
        self.A = nn.Parameter(scale * torch.randn(k, d, **draw))
        self.logvar = nn.Parameter(torch.zeros(k, dtype=torch.float64))
        self.log_sigma2 = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def elbo(
        self, covariance: Float[Tensor, "d d"], beta: float = 1.0
    ) -> Float[Tensor, ""]:
        """Mean over the data of the ELBO, exact: no sample of z is needed.

        Data enter through their covariance alone, divided by n, since the expected
        squared error is that of (I - W A)(x - m) plus the noise that W lets through.
        """
        d = len(covariance)
        variance, sigma2 = self.logvar.exp(), self.log_sigma2.exp()
        left = torch.eye(d, dtype=self.W.dtype) - self.W @ self.A
        error = (left @ covariance * left).sum() + (self.W**2 * variance).sum()
        log_p = -0.5 * (error / sigma2 + d * (self.log_sigma2 + math.log(2 * math.pi)))
        spread = (self.A @ covariance * self.A).sum(1)
        kl = 0.5 * (spread + variance - self.logvar - 1).sum()
        return log_p - beta * kl
