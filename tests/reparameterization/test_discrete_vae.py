"""`lib.reparameterization.discrete_vae`: its data, its terms, its two sizes."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from lib.reparameterization import discrete_vae
from lib.reparameterization.gumbel_softmax import gumbel_softmax
from tests.draws import seed_torch, seeded

TINY = discrete_vae.Size(places=2, categories=3, width=5, batch=4, steps=3)


def relaxed_loss(model, x):
    logits = model.encode(x)
    code = gumbel_softmax(logits, 0.5, generator=seeded(4))
    return model.distortion(code, x) + discrete_vae.rate(logits)


def test_the_digits_are_black_and_white_and_split_without_overlap():
    train, test = discrete_vae.binary_digits()
    assert train.shape == (1500, 64)
    assert test.shape == (297, 64)
    assert set(train.unique().tolist()) == {0.0, 1.0}
    again, _ = discrete_vae.binary_digits()
    torch.testing.assert_close(again, train, rtol=0, atol=0)


def test_half_a_pixel_of_ink_counts_as_ink():
    train, test = discrete_vae.binary_digits()
    counts = np.bincount(load_digits().data.astype(int).ravel(), minlength=17)
    assert train.sum() + test.sum() == counts[8:].sum()


def test_logits_come_in_rows_of_categories():
    model = discrete_vae.DiscreteVAE(TINY, seeded(1))
    x = torch.rand(4, 64, generator=seeded(2))
    flat, logits = model.encoder(x), model.encode(x)
    for place in range(2):
        for category in range(3):
            want = flat[:, 3 * place + category]
            torch.testing.assert_close(logits[:, place, category], want)


def test_the_distortion_is_the_code_length_of_independent_pixels():
    model = discrete_vae.DiscreteVAE(TINY, seeded(1))
    x = torch.randint(2, (4, 64), generator=seeded(2)).float()
    z = torch.rand(4, 2, 3, generator=seeded(3))
    pixels = torch.distributions.Bernoulli(logits=model.decoder(z.flatten(1)))
    want = -pixels.log_prob(x).sum(-1)
    torch.testing.assert_close(model.distortion(z, x), want)


def test_the_rate_is_the_divergence_that_torch_computes():
    logits = torch.randn(5, 3, 4, generator=seeded(1))
    prior = torch.distributions.Categorical(logits=torch.zeros(4))
    law = torch.distributions.Categorical(logits=logits)
    want = torch.distributions.kl_divergence(law, prior).sum(-1)
    torch.testing.assert_close(discrete_vae.rate(logits), want)
    certain = torch.tensor([[[200.0, 0.0, 0.0]]])
    assert discrete_vae.rate(certain).item() == pytest.approx(math.log(3))


def test_the_bound_is_above_the_exact_likelihood_and_the_posterior_reaches_it():
    """All 9 codes of a tiny model enumerated: log p(x) = log Σ p(z) p(x | z)."""
    model = discrete_vae.DiscreteVAE(TINY, seeded(2))
    x = torch.randint(2, (6, 64), generator=seeded(3)).float()
    codes = torch.stack(
        [
            F.one_hot(torch.tensor(code), 3).float()
            for code in itertools.product(range(3), repeat=2)
        ]
    )
    joint = torch.stack(
        [
            -model.distortion(code.expand(6, 2, 3), x) - math.log(len(codes))
            for code in codes
        ]
    )
    log_p = joint.logsumexp(0)
    log_q = model.encode(x).log_softmax(-1)
    log_codes = torch.einsum("bnk,cnk->cb", log_q, codes)
    exact = (log_codes.exp() * (log_codes - joint)).sum(0)
    assert (exact > -log_p).all()

    def draw(logits):
        picked = torch.distributions.Categorical(logits=logits).sample()
        return F.one_hot(picked, 3).float()

    seed_torch()
    sampled = discrete_vae.bound(model, x, draw, times=1_000)
    assert sampled == pytest.approx(exact.mean().item(), rel=0.02)


def test_the_bound_is_the_mean_over_its_draws_and_the_rate():
    """Each draw is one of the three codes given, so that nothing is left to chance."""
    model = discrete_vae.DiscreteVAE(TINY, seeded(2))
    with torch.no_grad():
        model.encoder[-1].bias.mul_(0).add_(torch.tensor([9.0, 0, 0, 0, 9, 0]))
    x = torch.randint(2, (6, 64), generator=seeded(3)).float()
    codes = [F.one_hot(torch.full((6, 2), k), 3).float() for k in range(3)]
    drawn = iter(codes)
    got = discrete_vae.bound(model, x, lambda logits: next(drawn), times=3)
    distortion = torch.stack([model.distortion(code, x) for code in codes]).mean()
    rate = discrete_vae.rate(model.encode(x)).mean()
    assert rate > 1
    assert got == pytest.approx((distortion + rate).item(), rel=1e-5)


def test_the_losses_are_those_before_each_step_and_carry_no_graph():
    model = discrete_vae.DiscreteVAE(TINY, seeded(5))
    same = discrete_vae.binary_digits()[0][:1].expand(10, -1)
    first = relaxed_loss(model, same[:4]).mean().detach()
    losses = discrete_vae.train(model, same, TINY, relaxed_loss, seeded(6))
    torch.testing.assert_close(losses[0], first)
    assert not losses.requires_grad


@pytest.mark.parametrize("size", [discrete_vae.CPU, discrete_vae.GPU, TINY])
def test_every_size_takes_a_step_on_the_cpu(size):
    size = dataclasses.replace(size, batch=2, steps=2)
    model = discrete_vae.DiscreteVAE(size, seeded(5))
    before = [parameter.clone() for parameter in model.parameters()]
    data, _ = discrete_vae.binary_digits()
    losses = discrete_vae.train(model, data, size, relaxed_loss, seeded(6))
    assert losses.shape == (2,)
    assert losses.isfinite().all()
    for old, new in zip(before, model.parameters()):
        assert not torch.equal(old, new)


def test_the_same_seeds_give_the_same_model():
    data, _ = discrete_vae.binary_digits()
    losses = [
        discrete_vae.train(
            discrete_vae.DiscreteVAE(TINY, seeded(7)),
            data,
            TINY,
            relaxed_loss,
            seeded(8),
        )
        for _ in range(2)
    ]
    torch.testing.assert_close(*losses, rtol=0, atol=0)
