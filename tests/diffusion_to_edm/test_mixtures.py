"""Mixtures of Gaussians against autograd, quadrature and scipy."""

import pytest
import torch
from scipy.stats import multivariate_normal

from lib.diffusion_to_edm import mixtures
from lib.diffusion_to_edm.mixtures import Mixture
from tests.draws import seeded


def mixture(std=0.4, d=2):
    means = torch.randn(3, d, generator=seeded(1), dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    return Mixture(weights, 2 * means, std)


POINTS = 3 * torch.randn(7, 2, generator=seeded(2), dtype=torch.float64)
LEVELS = torch.linspace(0.1, 3, 7, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 5.0])
def test_density_is_scipys_with_widened_components(sigma):
    these = mixture()
    want = sum(
        weight
        * multivariate_normal(mean.numpy(), these.std**2 + sigma**2).pdf(POINTS.numpy())
        for weight, mean in zip(these.weights.numpy(), these.means)
    )
    got = mixtures.log_density(these, POINTS, sigma).exp()
    torch.testing.assert_close(got, torch.as_tensor(want))


@pytest.mark.parametrize("sigma", [0.0, 0.7, LEVELS])
def test_score_is_the_gradient_of_the_log_density(sigma):
    x = POINTS.clone().requires_grad_()
    (want,) = torch.autograd.grad(mixtures.log_density(mixture(), x, sigma).sum(), x)
    torch.testing.assert_close(mixtures.score(mixture(), POINTS, sigma), want)


@pytest.mark.parametrize("sigma", [0.3, 2.0, LEVELS])
def test_denoiser_is_tweedies(sigma):
    square = torch.as_tensor(sigma, dtype=torch.float64)[..., None] ** 2
    want = POINTS + square * mixtures.score(mixture(), POINTS, sigma)
    torch.testing.assert_close(mixtures.denoise(mixture(), POINTS, sigma), want)


def test_denoiser_is_the_posterior_mean_by_quadrature():
    these, sigma = mixture(d=1), 0.8
    grid = torch.linspace(-12, 12, 20001, dtype=torch.float64)[:, None]
    prior = mixtures.log_density(these, grid)
    for x in (-2.0, 0.3, 4.0):
        posterior = (prior - (x - grid[:, 0]) ** 2 / (2 * sigma**2)).softmax(0)
        got = mixtures.denoise(these, torch.tensor([[x]], dtype=torch.float64), sigma)
        torch.testing.assert_close(got[0, 0], posterior @ grid[:, 0])


def test_points_alone_are_a_mixture_once_there_is_noise():
    points = mixture(std=0.0)
    assert mixtures.score(points, POINTS, 0.5).isfinite().all()
    near = mixtures.denoise(points, points.means + 1e-3, 1e-2)
    torch.testing.assert_close(near, points.means)


def test_far_out_and_in_little_noise_all_is_finite():
    far = torch.tensor([[1e4, -1e4], [0.0, 0.0]], dtype=torch.float64)
    for sigma in (1e-6, 1e4):
        assert mixtures.log_density(mixture(), far, sigma).isfinite().all()
        assert mixtures.denoise(mixture(), far, sigma).isfinite().all()
        assert mixtures.score(mixture(), far, sigma).isfinite().all()


def test_samples_have_the_mixtures_moments():
    these, n = mixture(), 40_000
    x = mixtures.sample(these, n, seeded(3))
    mean = these.weights @ these.means
    spread = these.means - mean
    cov = spread.T @ (these.weights[:, None] * spread)
    cov = cov + these.std**2 * torch.eye(2, dtype=torch.float64)
    error = (cov.diagonal() / n).sqrt()
    assert ((x.mean(0) - mean).abs() < 5 * error).all()
    torch.testing.assert_close(x.T.cov(), cov, rtol=0.05, atol=0.05)
    assert x.dtype == torch.float64
    assert torch.equal(x, mixtures.sample(these, n, seeded(3)))


@pytest.mark.usefixtures("plain_errors")
def test_what_is_no_mixture_is_named():
    with pytest.raises(ValueError, match=r"weights must .* \[0.5, 0.25\]"):
        Mixture(torch.tensor([0.5, 0.25]), torch.zeros(2, 1), 1.0)
    with pytest.raises(ValueError, match="std must not be negative, got -1"):
        Mixture(torch.tensor([1.0]), torch.zeros(1, 1), -1.0)
