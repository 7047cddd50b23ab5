"""`lib.vae_to_vqgan.vae` and `.linear` against independent implementations.

Oracles: torch.distributions, scikit-learn's PCA, integration on a grid, and a loop that
trains one model at a time.
"""

import dataclasses
import itertools
import math

import pytest
import torch
from sklearn.decomposition import PCA
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from lib import images
from lib.vae_to_vqgan import vae
from lib.vae_to_vqgan.linear import (
    LinearVAE,
    bernoulli_spectrum,
    ppca_log_likelihood,
)
from lib.vae_to_vqgan.vae import (
    active_units,
    bernoulli_log_likelihood,
    conv_vae,
    decoder_of_averages,
    elbo,
    fit_together,
    fit_vae,
    gaussian_kl,
    iwae_bound,
    log_weights,
    mlp_vae,
)
from tests.draws import normal, seeded


def standard_normal():
    return Normal(torch.zeros(()).double(), 1.0)


# The charge


def test_the_kl_is_that_of_torch():
    mu, logvar = normal(2, 5, 3), normal(2, 5, 3, seed=1)
    want = kl_divergence(Normal(mu, (logvar / 2).exp()), standard_normal()).sum(-1)
    torch.testing.assert_close(gaussian_kl(mu, logvar), want)


def test_the_kl_is_zero_at_the_prior_and_positive_elsewhere():
    zero = torch.zeros(1, 4).double()
    assert gaussian_kl(zero, zero).item() == 0
    assert (gaussian_kl(0.1 * normal(50, 4), 0.1 * normal(50, 4, seed=1)) > 0).all()


def test_the_kl_adds_over_dimensions_and_stays_finite():
    mu, logvar = normal(3, 4), normal(3, 4, seed=1)
    parts = sum(gaussian_kl(mu[:, i : i + 1], logvar[:, i : i + 1]) for i in range(4))
    torch.testing.assert_close(gaussian_kl(mu, logvar), parts)
    for level in (-20.0, 20.0):
        assert gaussian_kl(mu.float(), torch.full((3, 4), level)).isfinite().all()


def test_the_gradient_of_the_kl():
    leaves = normal(3, 2).requires_grad_(), normal(3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(gaussian_kl, leaves)


# The likelihood


def test_the_bernoulli_likelihood_is_that_of_torch_summed_over_pixels():
    logits = normal(2, 3, 1, 4, 5)
    x = (normal(3, 1, 4, 5, seed=1) > 0).double()
    want = Bernoulli(logits=logits).log_prob(x.expand_as(logits)).sum((2, 3, 4))
    torch.testing.assert_close(bernoulli_log_likelihood(logits, x), want)


def test_a_grey_pixel_is_the_mean_over_black_and_white_ones():
    logits, grey = normal(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.3).double()
    white, black = torch.ones_like(grey), torch.zeros_like(grey)
    mixed = 0.3 * bernoulli_log_likelihood(logits, white)
    mixed = mixed + 0.7 * bernoulli_log_likelihood(logits, black)
    torch.testing.assert_close(bernoulli_log_likelihood(logits, grey), mixed)


# Bounds, on a linear-Gaussian model that can be solved


class Solved:
    """Orthogonal columns: the posterior is diagonal, and the encoder knows it."""

    def __init__(self, d=5, k=2, sigma2=0.4):
        basis = torch.linalg.qr(normal(d, k)).Q
        self.W = basis * torch.tensor([1.5, 0.6]).double()
        self.sigma2, self.k = sigma2, k
        self.precision = self.W.square().sum(0) / sigma2 + 1

    def __call__(self, x, noise):
        mu = x.flatten(1) @ self.W / self.sigma2 / self.precision
        logvar = -self.precision.log().expand_as(mu)
        z = mu + (logvar / 2).exp() * noise
        return (z @ self.W.T).unflatten(-1, x.shape[1:]), mu, logvar

    def log_likelihood(self, out, x):
        return Normal(out, self.sigma2**0.5).log_prob(x).sum((-1, -2, -3))

    def evidence(self, x):
        d = len(self.W)
        cov = self.W @ self.W.T + self.sigma2 * torch.eye(d).double()
        return MultivariateNormal(torch.zeros(d).double(), cov).log_prob(x.flatten(1))


class Shifted(Solved):
    """The same model with an encoder that is wrong."""

    def __call__(self, x, noise):
        _, mu, logvar = super().__call__(x, noise)
        mu, logvar = mu + 0.5, logvar + 0.7
        z = mu + (logvar / 2).exp() * noise
        return (z @ self.W.T).unflatten(-1, x.shape[1:]), mu, logvar


def test_with_the_exact_posterior_every_weight_is_the_evidence():
    model, x = Solved(), normal(4, 1, 1, 5, seed=3)
    log_w = log_weights(model, x, normal(6, 4, 2), model.log_likelihood)
    torch.testing.assert_close(log_w, model.evidence(x).expand(6, 4))
    torch.testing.assert_close(iwae_bound(log_w), model.evidence(x))


def test_with_the_exact_posterior_the_elbo_is_the_evidence():
    """A standard error of the Monte Carlo mean, times five."""
    model, x = Solved(), normal(3, 1, 1, 5, seed=3)
    noise = normal(4000, 3, 2)
    parts = elbo(model, x, noise, 1.0, model.log_likelihood)
    out, *_ = model(x, noise)
    error = model.log_likelihood(out, x).std(0) / 4000**0.5
    assert ((parts["elbo"] - model.evidence(x)).abs() < 5 * error).all()


def test_a_wrong_encoder_stays_below_and_more_samples_rise():
    model, x = Shifted(), normal(3, 1, 1, 5, seed=3)
    log_w = log_weights(model, x, normal(8000, 3, 2), model.log_likelihood)
    bounds = [
        torch.stack([iwae_bound(group) for group in log_w.split(K)]).mean(0)
        for K in (1, 4, 16, 8000)
    ]
    for fewer, more in itertools.pairwise(bounds):
        assert (fewer < more).all()
    torch.testing.assert_close(bounds[-1], model.evidence(x), atol=0.05, rtol=0)


def test_one_sample_of_the_iwae_bound_is_the_elbo_in_the_mean():
    model, x = Shifted(), normal(3, 1, 1, 5, seed=3)
    noise = normal(4000, 3, 2)
    log_w = log_weights(model, x, noise, model.log_likelihood)
    parts = elbo(model, x, noise, 1.0, model.log_likelihood)
    error = 5 * log_w.std(0) / 4000**0.5
    assert ((log_w.mean(0) - parts["elbo"]).abs() < error).all()


def test_beta_weighs_the_kl_and_nothing_else():
    model, x = mlp_vae(8, 5, 3, seeded()), images.digits()[0][:4]
    noise = torch.randn(2, 4, 3, generator=seeded(1))
    for beta in (0.0, 0.3, 4.0):
        parts = elbo(model, x, noise, beta)
        assert all(part.shape == (4,) for part in parts.values())
        torch.testing.assert_close(parts["elbo"], parts["rec"] - beta * parts["kl"])


def test_the_iwae_bound_stands_weights_beyond_any_float():
    log_w = normal(7, 3)
    for level in (-1e4, 1e4):
        torch.testing.assert_close(iwae_bound(log_w + level), iwae_bound(log_w) + level)


# The model


def test_the_decoder_is_asked_for_each_code_by_itself():
    model = conv_vae(8, 2, 3, seeded())
    z = torch.randn(4, 2, 3, generator=seeded(1))
    want = torch.stack([model.decoder(row) for row in z])
    torch.testing.assert_close(model.decode(z), want)


def test_noise_of_zero_gives_the_mean():
    model, x = mlp_vae(8, 6, 3, seeded()), images.digits()[0][:2]
    out, mu, _ = model(x, torch.zeros(1, 2, 3))
    torch.testing.assert_close(out[0], model.decode(mu))
    assert out.shape == (1, 2, 1, 8, 8)


def test_the_noise_is_scaled_by_sigma_not_by_the_variance():
    model, x = mlp_vae(8, 6, 3, seeded()), images.digits()[0][:2]
    noise = torch.randn(4, 2, 3, generator=seeded(1))
    out, mu, logvar = model(x, noise)
    spread = logvar.exp().sqrt()
    torch.testing.assert_close(out, model.decode(mu + spread * noise))


def test_active_units_are_counted_by_the_variance_of_their_means():
    mu = torch.zeros(100, 4)
    mu[::2, 0] = 2.0
    mu[::2, 1] = 0.18  # variance 0.0081
    mu[::2, 2] = 0.22  # variance 0.0121
    mu[:, 3] = 5.0  # constant, however large
    assert active_units(mu) == 2
    assert active_units(mu, threshold=0.5) == 1


def test_a_unit_at_the_threshold_is_not_above_it():
    mu = torch.tensor([[0.0], [2.0]])  # of variance 1 over the data
    assert active_units(mu, 1.0) == 0
    assert active_units(mu, 0.999) == 1


def test_no_decoder_beats_the_averages_on_its_own_images():
    x = images.digits()[0][:30]
    model = mlp_vae(8, 16, 2, seeded())
    fit_vae(model, x, 60, 30, 1e-2, seeded(1))
    mu, logvar = model.encode(x)
    z = mu + (logvar / 2).exp() * torch.randn(40, 30, 2, generator=seeded(2))
    best = decoder_of_averages(model, z.flatten(0, 1), x).unflatten(0, (40, 30))
    loss = torch.nn.functional.binary_cross_entropy(
        best, x.expand_as(best), reduction="none"
    )
    ours = bernoulli_log_likelihood(model.decode(z), x).mean()
    assert -loss.sum((2, 3, 4)).mean() > ours


def test_averages_far_from_all_but_one_image_are_that_image():
    x = images.digits()[0][:5]
    model = mlp_vae(8, 16, 2, seeded())
    with torch.no_grad():
        model.encoder[-1].bias[2:] = -12.0  # clouds so small that none overlap
        mu, _ = model.encode(x)
        got = decoder_of_averages(model, mu, x)
    torch.testing.assert_close(got, x, atol=1e-4, rtol=0)


# The linear model


def flat_digits():
    return images.digits()[0].flatten(1).double()


@pytest.mark.parametrize("k", [1, 8, 30])
def test_the_likelihood_is_that_of_scikit_learn(k):
    """Which divides variances by n - 1: a difference of second order in 1 / n."""
    x = flat_digits()
    want = PCA(k).fit(x.numpy()).score(x.numpy())
    assert ppca_log_likelihood(x, k).item() == pytest.approx(want, abs=2e-4)


def test_the_likelihood_is_a_normal_density_at_its_own_covariance():
    x, k = normal(40, 6) * torch.arange(1, 7), 2
    values, vectors = torch.linalg.eigh(x.T.cov(correction=0))
    noise = values[:4].mean()
    w = vectors[:, 4:] * (values[4:] - noise).sqrt()
    cov = w @ w.T + noise * torch.eye(6).double()
    want = MultivariateNormal(x.mean(0), cov).log_prob(x).mean()
    torch.testing.assert_close(ppca_log_likelihood(x, k), want)


def test_a_linear_vae_starts_with_weights_of_the_size_asked_for():
    model = LinearVAE(60, 30, seeded(), scale=0.02)
    for weight in (model.W, model.A):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_the_exact_elbo_of_a_linear_vae_is_its_monte_carlo_mean():
    x, d, k = normal(20, 4) @ normal(4, 4, seed=1), 4, 2
    model = LinearVAE(d, k, seeded(), scale=0.7).requires_grad_(False)
    model.logvar.copy_(normal(k))
    model.log_sigma2.fill_(0.3)
    centred = x - x.mean(0)
    exact = model.elbo(x.T.cov(correction=0), beta=0.6)
    mu, sigma = centred @ model.A.T, (model.logvar / 2).exp()
    z = mu + sigma * normal(20_000, 20, k, seed=4)
    log_p = Normal(z @ model.W.T, math.exp(0.15)).log_prob(centred).sum(-1).mean(1)
    kl = kl_divergence(Normal(mu, sigma), standard_normal()).sum(1).mean()
    error = 5 * log_p.std() / 20_000**0.5
    assert abs(log_p.mean() - 0.6 * kl - exact) < error


def test_a_dimension_dies_where_its_eigenvalue_is_below_beta():
    """`bernoulli_spectrum`: a decoder of logits b + W z, trained from small weights."""
    x = (normal(400, 6) @ normal(6, 6, seed=5) > 0).double()
    spectrum = bernoulli_spectrum(x)
    p = x.mean(0)
    centred = (x - p) / (p * (1 - p)).sqrt()
    want = torch.linalg.svdvals(centred).square() / len(x)
    torch.testing.assert_close(spectrum, want)
    direction = torch.linalg.svd(centred).Vh[0]
    w = 0.1 * direction / (p * (1 - p)).sqrt()
    for beta, sign in ((0.9 * spectrum[0], 1), (1.1 * spectrum[0], -1)):
        # The bound with the best encoder for a small w, less that of w = 0.
        step = (p * (1 - p) * w.square()).sum()
        precision = 1 + step / beta
        mu = (x - p) @ w / beta / precision
        z = mu + normal(500, len(x), seed=6) / precision.sqrt()
        logits = p.logit() + z[..., None] * w
        rec = Bernoulli(logits=logits).log_prob(x.expand_as(logits)).sum(-1).mean()
        rec = rec - Bernoulli(probs=p).log_prob(x).sum(-1).mean()
        kl = 0.5 * (mu**2 + 1 / precision + precision.log() - 1).mean()
        assert sign * (rec - beta * kl) > 0


def test_constant_pixels_are_left_out_of_the_spectrum():
    x = (normal(50, 4) > 0).double()
    padded = torch.cat((torch.zeros(50, 1), x, torch.ones(50, 2)), 1).double()
    torch.testing.assert_close(bernoulli_spectrum(padded), bernoulli_spectrum(x))


# Training


def test_models_trained_together_are_those_trained_alone():
    x = images.digits()[0][:100]
    together = [mlp_vae(8, 6, 2, seeded(seed)) for seed in (0, 1)]
    alone = [mlp_vae(8, 6, 2, seeded(seed)) for seed in (0, 1)]
    settings = {"steps": 3, "batch": 16, "learning_rate": 1e-2}
    losses = fit_together(together, [1.0, 1.0], x, **settings, generator=seeded(2))
    each = [fit_vae(model, x, **settings, generator=seeded(2)) for model in alone]
    torch.testing.assert_close(losses, torch.stack(each).mean(0))
    assert 0.5 < losses[0] < 2, "a new model guesses, which costs some log 2 a pixel"
    for one, other in zip(together, alone):
        for a, b in zip(one.parameters(), other.parameters()):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)


def test_each_model_of_a_stack_has_its_own_beta():
    x = images.digits()[0][:200]
    models = [mlp_vae(8, 16, 2, seeded()) for _ in range(2)]
    fit_together(models, [0.1, 20.0], x, 150, 32, 1e-2, seeded(1))
    with torch.no_grad():
        low, high = (gaussian_kl(*model.encode(x)).mean() for model in models)
    assert low > 3
    assert high < 0.3


@pytest.mark.parametrize("size", [vae.CPU, vae.GPU])
def test_both_sizes_take_a_step(size):
    size = dataclasses.replace(size, images=6, batch=4, steps=1)
    glyphs, _ = images.glyphs(size.images, size.size, seeded())
    model = conv_vae(size.size, size.width, size.k, seeded(1))
    before = [parameter.clone() for parameter in model.parameters()]
    losses = fit_vae(
        model, glyphs, size.steps, size.batch, size.learning_rate, seeded(2)
    )
    assert losses.isfinite().all()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
    assert model.decode(torch.zeros(3, 2, size.k)).shape[2:] == glyphs.shape[1:]


def test_models_from_equal_generators_start_equal():
    for make in (mlp_vae, conv_vae):
        one, other = make(8, 4, 2, seeded(3)), make(8, 4, 2, seeded(3))
        for a, b in zip(one.parameters(), other.parameters()):
            assert torch.equal(a, b)


# Errors


def test_wrong_arguments_are_named(plain_errors):
    with pytest.raises(ValueError, match="k must be between 1 and 3, got 4"):
        ppca_log_likelihood(normal(9, 4), 4)
    with pytest.raises(ValueError, match="size must be a multiple of 4, got 10"):
        conv_vae(10, 2, 2, seeded())
    x, models = images.digits()[0][:4], [mlp_vae(8, 2, 2, seeded())]
    with pytest.raises(ValueError, match="betas must be 1 numbers, got 2"):
        fit_together(models, [1, 2], x, 1, 2, 0.1, seeded())
