"""`lib.vae_to_vqgan.vqvae` and the autoencoder of the part, against independent ones.

Oracles: `cdist`, SciPy's and scikit-learn's k-means, autograd, Sonnet's published
formulas rewritten in numpy, and three steps of them by hand.
"""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2, vq
from sklearn.cluster import KMeans

from lib.vae_to_vqgan import autoencoder
from lib.vae_to_vqgan.autoencoder import Autoencoder
from lib.vae_to_vqgan.vqvae import (
    FSQ,
    VQVAE,
    VectorQuantizer,
    VectorQuantizerEMA,
    codebook_perplexity,
    fsq,
    fsq_index,
    nearest_code,
    reset_dead_codes,
    straight_through,
    train,
    vq_losses,
)
from tests.draws import normal, seeded

close = torch.testing.assert_close


# The quantiser


@pytest.mark.parametrize("shape", [(9, 3), (2, 5, 3), (2, 4, 5, 3), (1, 3)])
def test_the_nearest_code_is_the_one_that_cdist_finds(shape):
    z, codebook = normal(*shape), 2 * normal(7, 3, seed=1)
    idx, z_q = nearest_code(z, codebook)
    close(idx, torch.cdist(z, codebook).argmin(-1))
    close(z_q, codebook[idx])


def test_scipy_assigns_the_same_codes():
    z, codebook = normal(200, 4), normal(11, 4, seed=1)
    theirs, distance = vq(z.numpy(), codebook.numpy())
    idx, z_q = nearest_code(z, codebook)
    assert idx.tolist() == theirs.tolist()
    close((z - z_q).norm(dim=-1), torch.tensor(distance))


def test_a_code_is_its_own_nearest_and_a_tie_goes_to_the_first():
    codebook = normal(6, 3)
    close(nearest_code(codebook, codebook)[0], torch.arange(6))
    two = torch.tensor([[-1.0], [1.0]])
    close(nearest_code(torch.zeros(3, 1), two)[0], torch.zeros(3, dtype=torch.long))


def test_the_codebook_that_was_given_is_not_the_one_that_learns():
    codebook = normal(6, 3)
    for kind in (VectorQuantizer, VectorQuantizerEMA):
        quantiser = kind(codebook)
        quantiser.codebook.data += 1
        close(codebook, normal(6, 3))


def test_codes_pass_their_gradient_to_the_codebook_only():
    z, codebook = normal(5, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    idx, z_q = nearest_code(z, codebook)
    z_q.sum().backward()
    assert z.grad is None
    uses = idx.bincount(minlength=4).double()
    close(codebook.grad, uses[:, None].expand(4, 3))


def test_straight_through_is_the_code_forward_and_the_identity_backward():
    z, z_q = normal(5, 3).requires_grad_(), normal(5, 3, seed=1).requires_grad_()
    upstream = normal(5, 3, seed=2)
    out = straight_through(z, z_q)
    close(out.detach(), z_q.detach())
    out.backward(upstream)
    close(z.grad, upstream)
    assert z_q.grad is None


def test_beta_weighs_the_commitment_and_not_the_codebook_term():
    """The legacy form of a popular implementation has it the other way round."""
    z, z_q = normal(4, 2, 3).requires_grad_(), normal(4, 2, 3, seed=1).requires_grad_()
    codebook, commitment = vq_losses(z, z_q, beta=0.3)
    close(codebook, (z - z_q).square().mean())
    close(commitment, 0.3 * codebook)
    (codebook + commitment).backward()
    close(z.grad, (2 * 0.3 * (z - z_q) / 24).detach())
    close(z_q.grad, (2 * (z_q - z) / 24).detach())


def test_the_module_adds_both_terms_and_returns_straight_codes():
    z, start = normal(2, 3, 4), normal(5, 4, seed=1)
    quantiser = VectorQuantizer(start, beta=0.5)
    z_q, idx, loss = quantiser(z)
    close(idx, torch.cdist(z, start).argmin(-1))
    close(z_q.detach(), start[idx])
    close(loss.detach(), 1.5 * (z - start[idx]).square().mean())
    loss.backward()
    assert quantiser.codebook.grad[idx.unique()].any(1).all()
    unused = sorted(set(range(5)) - set(idx.flatten().tolist()))
    assert not quantiser.codebook.grad[unused].any()


# Moving averages


class Sonnet:
    """Sonnet 2's ExponentialMovingAverage and VectorQuantizerEMA, in numpy.

    Written from nets/vqvae.py and moving_averages.py: a hidden average that starts at
    zero, `hidden -= (hidden - value) * (1 - decay)`, divided by 1 - decay ** counter.
    """

    def __init__(self, codebook, decay, eps):
        self.embeddings, self.decay, self.eps = codebook.T.copy(), decay, eps
        self.counter = 0
        self.size = np.zeros(codebook.shape[0])
        self.dw = np.zeros_like(self.embeddings)

    def __call__(self, flat):
        distances = (
            (flat**2).sum(1, keepdims=True)
            - 2 * flat @ self.embeddings
            + (self.embeddings**2).sum(0, keepdims=True)
        )
        encodings = np.eye(len(self.size))[distances.argmin(1)]
        self.counter += 1
        self.size -= (self.size - encodings.sum(0)) * (1 - self.decay)
        self.dw -= (self.dw - flat.T @ encodings) * (1 - self.decay)
        size = self.size / (1 - self.decay**self.counter)
        dw = self.dw / (1 - self.decay**self.counter)
        n = size.sum()
        size = (size + self.eps) / (n + len(size) * self.eps) * n
        self.embeddings = dw / size[None]


@pytest.mark.parametrize(("decay", "eps"), [(0.99, 1e-5), (0.7, 0.2), (0.0, 1e-3)])
def test_three_steps_are_sonnets(decay, eps):
    start = normal(5, 3)
    ours = VectorQuantizerEMA(start, decay=decay, eps=eps)
    theirs = Sonnet(start.numpy(), decay, eps)
    for step in range(3):
        z = normal(4, 6, 3, seed=10 + step)
        ours(z)
        theirs(z.flatten(0, 1).numpy())
        close(ours.codebook, torch.tensor(theirs.embeddings.T))


def test_three_steps_by_hand():
    """K = 2, one channel, decay 1/2, eps 1/2; every number is a fraction."""
    quantiser = VectorQuantizerEMA(
        torch.tensor([[1.0], [-1.0]]).double(), decay=0.5, eps=0.5
    )
    half = Fraction(1, 2)
    batches = [[1, 3, -1], [2, -2], [4]]
    # Averages of counts and sums, debiased by 1/2, 3/4, 7/8.
    counts = [(2, 1), (Fraction(4, 3), 1), (Fraction(8, 7), Fraction(3, 7))]
    sums = [
        (4, -1),
        (Fraction(8, 3), Fraction(-5, 3)),
        (Fraction(24, 7), Fraction(-5, 7)),
    ]
    for batch, count, total in zip(batches, counts, sums):
        quantiser(torch.tensor(batch).double()[:, None])
        n = sum(count)
        want = [
            float(m / ((c + half) / (n + 2 * half) * n)) for c, m in zip(count, total)
        ]
        assert quantiser.codebook.flatten().tolist() == pytest.approx(want)


def test_without_memory_a_step_is_a_step_of_kmeans():
    z, start = normal(300, 2), normal(5, 2, seed=1)
    quantiser = VectorQuantizerEMA(start, decay=0.0, eps=0.0)
    quantiser(z)
    theirs, _ = kmeans2(z.numpy(), start.numpy(), iter=1, minit="matrix")
    close(quantiser.codebook, torch.tensor(theirs))


def test_on_data_that_stand_still_the_end_is_that_of_kmeans():
    z, start = normal(300, 2), normal(5, 2, seed=1)
    lloyd = KMeans(5, init=start.numpy(), n_init=1, tol=0, max_iter=500).fit(z.numpy())
    without = VectorQuantizerEMA(start, decay=0.0, eps=0.0)
    with_memory = VectorQuantizerEMA(torch.tensor(lloyd.cluster_centers_), decay=0.9)
    for _ in range(100):
        without(z)
        with_memory(z)
    close(without.codebook, torch.tensor(lloyd.cluster_centers_))
    close(with_memory.codebook, without.codebook, atol=1e-4, rtol=0)


def test_counts_add_up_to_what_was_seen():
    quantiser = VectorQuantizerEMA(normal(5, 3), decay=0.9)
    for step in range(4):
        quantiser(normal(7, 3, seed=step))
    close(quantiser.counts.sum().item(), 7 * (1 - 0.9**4))


def test_an_unused_code_goes_to_the_origin_and_stays_finite():
    far = torch.cat([torch.zeros(1, 2), torch.full((1, 2), 50.0)])
    quantiser = VectorQuantizerEMA(far)
    _, idx, _ = quantiser(normal(20, 2).float())
    assert not idx.any()
    close(quantiser.codebook[1], torch.zeros(2), rtol=0, atol=0)
    quantiser(normal(20, 2, seed=1).float())
    assert quantiser.codebook.isfinite().all()


def test_the_averages_need_no_gradient_and_evaluation_moves_nothing():
    quantiser = VectorQuantizerEMA(normal(4, 3))
    assert not list(quantiser.parameters())
    quantiser(normal(9, 3))
    before = {name: value.clone() for name, value in quantiser.state_dict().items()}
    z = normal(9, 3, seed=5).requires_grad_()
    _, idx, loss = quantiser.eval()(z)
    for name, value in quantiser.state_dict().items():
        close(value, before[name], rtol=0, atol=0)
    loss.backward()
    close(loss.detach(), 0.25 * (z - quantiser.codebook[idx]).square().mean().detach())
    close(z.grad, (0.5 * (z - quantiser.codebook[idx]) / z.numel()).detach())


# Dead codes


def test_only_codes_below_the_threshold_are_replaced_and_by_encodings():
    codebook, z = normal(6, 3), normal(20, 3, seed=1)
    counts = torch.tensor([0.0, 3.0, 0.99, 1.0, 7.0, 0.5])
    new, dead = reset_dead_codes(codebook, counts, z, 1.0, seeded())
    assert dead.tolist() == [True, False, True, False, False, True]
    close(new[~dead], codebook[~dead], rtol=0, atol=0)
    assert (torch.cdist(new[dead], z).min(1).values < 1e-6).all()


def test_a_revived_code_survives_the_next_update():
    codebook = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -1.0], [100.0, 0.0]])
    quantiser = VectorQuantizerEMA(codebook.double())
    z = normal(50, 2, seed=1)
    quantiser(z)
    fair = quantiser.counts.mean()
    dead = quantiser.revive(z, 0.5, seeded())
    assert dead.tolist() == [False, False, False, True]
    close(quantiser.counts[dead], fair.expand(int(dead.sum())))
    revived = quantiser.codebook.clone()
    _, idx, _ = quantiser(z)
    assert set(dead.nonzero().flatten().tolist()) <= set(idx.tolist())
    moved = (quantiser.codebook - revived).norm(dim=1)[dead]
    assert (moved < 1).all()
    quantiser.revive(z, 0.0, seeded())
    assert (quantiser.counts > 0).all()


# Perplexity


def test_perplexity_is_one_for_one_code_and_k_for_all_alike():
    assert codebook_perplexity(torch.full((3, 4), 2), 5) == pytest.approx(1)
    assert codebook_perplexity(torch.arange(5).repeat(3), 5) == pytest.approx(5)
    uneven = torch.tensor([0, 0, 0, 2])
    entropy = torch.distributions.Categorical(torch.tensor([0.75, 0.0, 0.25])).entropy()
    assert codebook_perplexity(uneven, 3) == pytest.approx(entropy.exp().item())


# Finite scalar quantisation


def published(z, levels, eps=1e-3):
    """The quantiser of the FSQ paper's appendix, in numpy."""
    levels = np.asarray(levels)
    half_l = (levels - 1) * (1 - eps) / 2
    offset = np.where(levels % 2 == 1, 0.0, 0.5)
    shift = np.tan(offset / half_l)
    bounded = np.tanh(z + shift) * half_l - offset
    return np.round(bounded) / (levels // 2)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (7, 3), (4,), (2, 6)])
def test_fsq_rounds_as_published_and_reaches_every_code(levels):
    z = 1.5 * normal(20_000, len(levels))
    codes = fsq(z, levels)
    close(codes, torch.tensor(published(z.numpy(), levels)))
    line = torch.linspace(-0.99, 0.99, 16, dtype=z.dtype).atanh()
    grid = torch.stack(torch.meshgrid([line] * len(levels), indexing="ij"), -1)
    reached = fsq_index(fsq(grid, levels), levels).unique()
    close(reached, torch.arange(int(np.prod(levels))))
    numbers = fsq_index(codes, levels)
    weights = np.concatenate([[1], np.cumprod(levels)[:-1]])
    half = np.asarray(levels) // 2
    want = np.rint((codes.numpy() * half + half) @ weights)
    close(numbers, torch.tensor(want).long())


def test_fsq_has_the_gradient_of_the_bounded_value():
    z = normal(50, 2).requires_grad_()
    fsq(z, (5, 5)).sum().backward()
    want = (1 - z.detach().tanh().square()) * 2 * 0.999 / 2
    close(z.grad, want)


def test_the_fsq_module_has_nothing_to_learn():
    z = normal(2, 3, 2).float()
    codes, idx, loss = FSQ((8, 4))(z)
    assert not list(FSQ((8, 4)).parameters())
    assert loss == 0
    close(codes, fsq(z, (8, 4)))
    close(idx, fsq_index(codes, (8, 4)))


# The model


TINY = dataclasses.replace(autoencoder.CPU, steps=3, batch=4, width=8)


def model(size, quantiser=None):
    codebook = torch.randn(size.codes, size.code, generator=seeded(2))
    return VQVAE(Autoencoder(size, seeded(1)), quantiser or VectorQuantizer(codebook))


def test_an_image_becomes_a_grid_of_codes_and_an_image_again():
    x, _ = autoencoder.data(TINY, seeded())
    net = model(TINY)
    rebuilt, idx, loss = net(x[:5])
    close(rebuilt, net.autoencoder.decode(net.quantiser.codebook[idx]))
    assert rebuilt.shape == (5, 1, 8, 8)
    assert idx.shape == (5, 2, 2)
    assert TINY.tokens == idx[0].numel()
    assert loss.ndim == 0


def test_a_vector_belongs_to_its_patch_and_knows_its_neighbours():
    """On a 4 x 4 grid with one 3 x 3 convolution a side: nothing moves beyond them."""
    net = Autoencoder(dataclasses.replace(TINY, pixels=32, patch=8), seeded(1))
    x = torch.zeros(1, 1, 32, 32)
    y = x.clone()
    y[..., 24:, :8] = 1  # lower left
    moved = (net.encode(y) - net.encode(x)).abs().sum(-1)[0] > 0
    want = torch.zeros(4, 4, dtype=torch.bool)
    want[2:, :2] = True
    close(moved, want)
    z = torch.zeros(1, 4, 4, TINY.code)
    nudged = z.clone()
    nudged[0, 3, 0] = 1
    changed = (net.decode(nudged) - net.decode(z))[0, 0].abs() > 0
    assert changed[16:, :16].any()
    assert not changed[:16].any()
    assert not changed[:, 16:].any()


def test_without_convolutions_a_patch_becomes_a_vector_by_one_matrix_and_back():
    size = dataclasses.replace(TINY, pixels=6, patch=2, depth=0, width=4, code=4)
    net = Autoencoder(size, seeded(1)).double()
    x = normal(5, 1, 6, 6)
    patches = x.view(5, 3, 2, 3, 2).transpose(2, 3).flatten(3)
    encode, decode = net.encoder[-1].weight[..., 0, 0], net.last.weight[..., 0, 0]
    close(net.encode(x), patches @ encode.T)
    z = normal(5, 3, 3, 4, seed=2)
    want = (z @ decode.T).view(5, 3, 3, 2, 2).transpose(2, 3).reshape(5, 1, 6, 6)
    close(net.decode(z), want)


def test_two_autoencoders_from_one_seed_are_the_same():
    one, other = Autoencoder(TINY, seeded(1)), Autoencoder(TINY, seeded(1))
    third = Autoencoder(TINY, seeded(2))
    close(one.last.weight, other.last.weight, rtol=0, atol=0)
    assert not torch.equal(one.last.weight, third.last.weight)


def test_train_and_test_images_are_not_the_same():
    train_images, test_images = autoencoder.data(autoencoder.CPU, seeded())
    assert len(train_images) == 1400
    assert len(test_images) == 397
    assert torch.cdist(test_images.flatten(1), train_images.flatten(1)).min() > 0
    for images in (train_images, test_images):
        assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize("below", [None, 0.5])
def test_codes_are_revived_where_it_is_asked_for_and_only_there(below):
    revived = []

    class Spy(VectorQuantizerEMA):
        def revive(self, z, threshold, generator):
            revived.append((tuple(z.shape), threshold))

    codebook = torch.randn(TINY.codes, TINY.code, generator=seeded(2))
    images, _ = autoencoder.data(TINY, seeded())
    train(model(TINY, Spy(codebook)), images, TINY, seeded(3), below)
    each = ((TINY.batch * TINY.tokens, TINY.code), 0.5)
    assert revived == ([] if below is None else [each] * TINY.steps)


def test_training_lowers_the_loss():
    size = dataclasses.replace(TINY, steps=30, batch=16)
    codebook = torch.randn(size.codes, size.code, generator=seeded(2))
    net = model(size, VectorQuantizerEMA(codebook))
    images, _ = autoencoder.data(size, seeded())
    losses = train(net, images, size, seeded(3), 0.5)
    assert losses[-5:].mean() < 0.8 * losses[:5].mean()


def test_the_gpu_size_takes_a_step():
    size = dataclasses.replace(
        autoencoder.GPU, steps=1, batch=2, train=4, test=2, width=32
    )
    images, unseen = autoencoder.data(size, seeded())
    assert images.shape == (4, 1, 64, 64)
    assert unseen.shape == (2, 1, 64, 64)
    assert size.codes == 512
    codebook = torch.randn(size.codes, size.code, generator=seeded(2))
    net = model(size, VectorQuantizerEMA(codebook))
    assert train(net, images, size, seeded(3), 0.5).isfinite().all()
    _, idx, _ = net(images)
    assert idx.shape == (4, 8, 8)


# Errors


def test_widths_that_differ_are_refused(plain_errors):
    with pytest.raises(ValueError, match=r"z must have 4 channels .* \(2, 3\)"):
        nearest_code(normal(2, 3), normal(5, 4))


def test_a_decay_of_one_is_refused(plain_errors):
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1, got 1"):
        VectorQuantizerEMA(normal(4, 2), decay=1.0)


def test_indices_outside_the_codebook_are_refused(plain_errors):
    for idx in (torch.tensor([0, 5]), torch.tensor([-1]), torch.tensor([]).long()):
        with pytest.raises(ValueError, match="idx must hold indices from 0 to 4"):
            codebook_perplexity(idx, 5)


@pytest.mark.parametrize("levels", [(5,), (5, 1), (5, 5, 5)])
def test_levels_that_do_not_fit_are_refused(plain_errors, levels):
    with pytest.raises(ValueError, match="levels must be 2 numbers of at least 2"):
        fsq(normal(3, 2), levels)
