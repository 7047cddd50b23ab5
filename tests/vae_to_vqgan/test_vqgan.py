"""`lib.vae_to_vqgan.vqgan` and `.critics` against closed forms, loops, enumeration."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.vae_to_vqgan import vqgan
from lib.vae_to_vqgan.autoencoder import Autoencoder
from lib.vae_to_vqgan.critics import (
    FeatureLoss,
    FeatureNet,
    PatchDiscriminator,
    train_classifier,
)
from lib.vae_to_vqgan.vqgan import (
    CPU,
    GPU,
    CodePrior,
    adaptive_weight,
    code_nll,
    hinge_d_loss,
    hinge_g_loss,
    sample_codes,
)
from lib.vae_to_vqgan.vqvae import VQVAE, VectorQuantizerEMA
from tests.draws import normal, seeded

same = torch.testing.assert_close


# Hinge losses


def test_the_hinge_loss_is_half_the_mean_shortfall_on_either_side():
    real, fake = normal(3, 1, 2, 4), normal(3, 1, 5, 1, seed=1)
    short = [max(0.0, 1 - x) for x in real.flatten().tolist()]
    over = [max(0.0, 1 + x) for x in fake.flatten().tolist()]
    want = (sum(short) / len(short) + sum(over) / len(over)) / 2
    assert float(hinge_d_loss(real, fake)) == pytest.approx(want)
    assert float(hinge_g_loss(fake)) == pytest.approx(-float(fake.mean()))


def test_beyond_the_margin_a_patch_has_no_loss_and_no_gradient():
    real = torch.tensor([2.0, 0.5], requires_grad=True)
    fake = torch.tensor([-2.0, 0.5], requires_grad=True)
    hinge_d_loss(real, fake).backward()
    assert real.grad.tolist() == [0, -0.25]
    assert fake.grad.tolist() == [0, 0.25]
    assert hinge_d_loss(torch.tensor(1.5), torch.tensor(-1.5)) == 0


def test_the_best_critic_scores_one_minus_the_total_variation():
    """Over two atoms: of all pairs of logits on a grid the best reaches it."""
    p, q = torch.tensor([0.7, 0.3]), torch.tensor([0.2, 0.8])
    grid = torch.linspace(-2, 2, 41)
    losses = [
        float((p * F.relu(1 - d) + q * F.relu(1 + d)).sum() / 2)
        for d in torch.cartesian_prod(grid, grid)
    ]
    assert min(losses) == pytest.approx(1 - 0.5, abs=1e-6)


# The adaptive weight


def two_losses():
    decoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    for index, parameter in enumerate(decoder.parameters()):
        parameter.data = normal(*parameter.shape, seed=index)
    out = decoder(normal(5, 4, seed=9))
    return decoder, out.square().mean(), -3 * out.sin().mean()


def pull(loss, weight):
    return torch.autograd.grad(loss, weight, retain_graph=True)[0].norm()


def test_weighted_losses_pull_equally_at_the_last_layer_and_only_there():
    decoder, rec, g = two_losses()
    weight = adaptive_weight(rec, g, decoder[-1].weight, delta=0.0)
    same(pull(weight * g, decoder[-1].weight), pull(rec, decoder[-1].weight))
    ratio = pull(weight * g, decoder[0].weight) / pull(rec, decoder[0].weight)
    assert abs(ratio - 1) > 1e-3


def test_scaling_the_adversarial_loss_changes_nothing():
    decoder, rec, g = two_losses()
    last = decoder[-1].weight
    plain = adaptive_weight(rec, g, last, delta=1e-12)
    same(adaptive_weight(rec, 100 * g, last, delta=1e-12) * 100, plain)


def test_the_weight_is_a_bounded_constant_and_leaves_the_graph():
    decoder, rec, g = two_losses()
    weight = adaptive_weight(rec, 0 * g, decoder[-1].weight)
    assert weight == 1e4
    assert not weight.requires_grad
    assert all(p.grad is None for p in decoder.parameters())
    (rec + weight * g).backward()


def test_delta_is_added_to_the_second_norm():
    decoder, rec, g = two_losses()
    last = decoder[-1].weight
    want = pull(rec, last) / (pull(g, last) + 0.5)
    same(adaptive_weight(rec, g, last, delta=0.5), want)


# Critics


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_logit_sees_its_patch_and_nothing_else(layers):
    critic = PatchDiscriminator(4, layers, seeded())
    image = torch.rand(1, 1, 64, 64, generator=seeded()).requires_grad_()
    logits = critic(image)
    assert logits.shape == (1, 1, 64 >> layers, 64 >> layers)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows, columns = (image.grad[0, 0].abs().sum(axis) > 0 for axis in (0, 1))
    assert int(rows.sum()) == int(columns.sum()) == 3 * 2**layers - 2


def test_a_critic_doubles_its_channels_at_every_halving():
    critic = PatchDiscriminator(4, 3, seeded())
    convolutions = [each for each in critic.net if isinstance(each, nn.Conv2d)]
    assert [each.out_channels for each in convolutions] == [4, 8, 16, 16, 1]


def test_a_logit_is_what_the_last_convolution_says():
    critic = PatchDiscriminator(4, 2, seeded())
    torch.nn.init.zeros_(critic.net[-1].weight)
    torch.nn.init.constant_(critic.net[-1].bias, 3)
    image = torch.rand(1, 1, 8, 8, generator=seeded())
    assert torch.equal(critic(image), torch.full((1, 1, 2, 2), 3.0))


def test_only_the_first_stage_of_a_feature_network_keeps_the_size():
    net = FeatureNet(3, 3, 5, seeded())
    x = torch.rand(2, 1, 8, 8, generator=seeded())
    features = net.features(x)
    shapes = [tuple(each.shape[1:]) for each in features]
    assert shapes == [(3, 8, 8), (6, 4, 4), (12, 2, 2)]
    said = torch.stack([net.head(place) for place in features[-1].flatten(2).unbind(2)])
    same(net(x), said.mean(0))


def test_weights_start_as_he_et_al_draw_them_and_biases_at_zero():
    net = FeatureNet(32, 3, 100, seeded())
    for layer in (*net.stages[1:], net.head):
        fan_in = layer.weight[0].numel()
        want = (2 / (1 + 0.2**2) / fan_in) ** 0.5
        assert layer.weight.std().item() == pytest.approx(want, rel=0.05)
        assert not layer.bias.any()
    same(FeatureNet(32, 3, 100, seeded()).state_dict(), net.state_dict())
    one, other = (PatchDiscriminator(4, 2, seeded()) for _ in range(2))
    same(one.state_dict(), other.state_dict())


def test_the_classifier_learns_to_tell_bright_from_dark():
    labels = torch.arange(40) % 2
    images = (0.2 + 0.6 * labels)[:, None, None, None].expand(-1, 1, 8, 8)
    net = FeatureNet(4, 2, 2, seeded())
    losses = train_classifier(net, images, labels, 60, seeded(1), 16, 0.05)
    assert 0.3 < losses[:3].mean() < 3
    assert 0 < losses[-3:].mean() < 0.1 * losses[:3].mean()
    assert torch.equal(net(images).argmax(1), labels)


def test_a_critic_judges_each_image_alone():
    critic, x = PatchDiscriminator(4, 2, seeded()), normal(3, 1, 8, 8).float()
    same(critic(x)[1:2], critic(x[1:2]))


def test_feature_distance_is_a_loop_over_layers_and_places():
    net = FeatureNet(3, 2, 4, seeded()).double()
    x, y = normal(2, 1, 6, 6).abs(), normal(2, 1, 6, 6, seed=1).abs()
    want = torch.zeros(2).double()
    for one, other in zip(net.features(x), net.features(y)):
        _, _, height, width = one.shape
        for b, i, j in itertools.product(range(2), range(height), range(width)):
            u, v = one[b, :, i, j], other[b, :, i, j]
            u, v = u / max(u.norm(), 1e-12), v / max(v.norm(), 1e-12)
            want[b] += (u - v).square().sum() / (height * width)
    loss = FeatureLoss(net)
    same(loss(x, y), want)
    same(loss(x, x), torch.zeros(2).double())
    same(loss(x, y), loss(y, x))


def test_the_feature_network_is_frozen_and_passes_gradients_on():
    net = FeatureNet(3, 3, 4, seeded())
    loss = FeatureLoss(net)
    x = torch.rand(1, 1, 8, 8, generator=seeded()).requires_grad_()
    loss(x, torch.rand(1, 1, 8, 8, generator=seeded(1))).sum().backward()
    assert x.grad.abs().max() > 0
    assert not any(p.requires_grad for p in net.parameters())


# The prior


def prior(codes=3, length=4):
    size = dataclasses.replace(CPU.prior, length=length, width=8)
    return CodePrior(codes, size, seeded()).double().requires_grad_(False)


def test_probabilities_of_all_rows_sum_to_one():
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    same((-code_nll(prior(), every)).exp().sum(), torch.tensor(1.0).double())


def test_no_code_sees_itself_or_what_follows():
    rows = torch.randint(3, (1, 3), generator=seeded())
    changed = rows.clone()
    changed[0, 1] = (changed[0, 1] + 1) % 3
    before, after = prior()(rows), prior()(changed)
    same(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_a_uniform_prior_costs_log_k_a_code():
    rows = torch.randint(5, (3, 7), generator=seeded())

    def uniform(idx):
        return torch.zeros(len(idx), idx.shape[1] + 1, 5)

    same(code_nll(uniform, rows), torch.full((3,), 7 * torch.tensor(5.0).log().item()))


def frequencies(temperature, top_k, n=40_000):
    drawn = sample_codes(prior(3, 2), n, 2, seeded(1), temperature, top_k)
    return (drawn[:, 0] * 3 + drawn[:, 1]).bincount(minlength=9) / n


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.4, None), (2.0, 2)])
def test_samples_follow_the_tempered_and_cut_distribution(temperature, top_k):
    def conditional(*prefix):
        idx = torch.tensor([prefix], dtype=torch.int64).view(1, len(prefix))
        logits = prior(3, 2)(idx)[0, -1] / temperature
        p = logits.exp()
        if top_k:
            p[p.argsort()[: 3 - top_k]] = 0
        return p / p.sum()

    want = torch.cat([conditional()[i] * conditional(i) for i in range(3)]).float()
    error = (want * (1 - want) / 40_000).sqrt()
    gap = (frequencies(temperature, top_k) - want).abs()
    assert (gap <= 5 * error + 1e-9).all()


def test_a_single_row_is_drawn_from_as_many_codes_as_many_rows():
    def uniform(idx):
        return torch.zeros(len(idx), idx.shape[1] + 1, 3)

    drawn = {int(sample_codes(uniform, 1, 1, seeded(s), 1.0, 2)) for s in range(30)}
    assert drawn == {0, 1, 2}, "equally likely ones all count"

    def sloping(idx):
        return torch.tensor([0.2, 0.1, 0.0]).expand(len(idx), idx.shape[1] + 1, 3)

    drawn = {int(sample_codes(sloping, 1, 1, seeded(s), 1.0, 2)) for s in range(30)}
    assert drawn == {0, 1}


def test_the_prior_is_a_language_model_with_one_token_more():
    own, rows = prior(), torch.tensor([[2, 0, 1]])
    assert own.model.head.out_features == 3 + 1
    same(own(rows), own.model(torch.tensor([[3, 2, 0, 1]]))[..., :3])


def test_a_prior_learns_what_always_follows():
    size = dataclasses.replace(
        CPU.prior, length=4, width=16, batch=8, steps=60, learning_rate=0.02
    )
    own, rows = CodePrior(3, size, seeded()), torch.tensor([[0, 1, 2, 0]] * 5)
    before = code_nll(own, rows[:1]).item() / 4
    losses = vqgan.train_prior(own, rows, size, seeded(1))
    assert losses[0].item() == pytest.approx(before, rel=1e-4), "nats a code"
    assert 0 <= losses[-1] < 0.1
    assert code_nll(own, rows[:1]) < 0.4


def test_what_cannot_be_sampled_is_refused(plain_errors):
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        sample_codes(prior(), 1, 4, seeded(), 0)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        sample_codes(prior(), 1, 4, seeded(), 1.0, 0)
    with pytest.raises(ValueError, match="positions must be below 4"):
        prior()(torch.zeros(1, 4, dtype=torch.int64))


# Both stages


def autoencoder(size):
    codebook = torch.randn(size.codes, size.code, generator=seeded())
    return VQVAE(Autoencoder(size, seeded()), VectorQuantizerEMA(codebook))


@pytest.mark.parametrize("size", [CPU, GPU], ids=["cpu", "gpu"])
def test_both_sizes_take_a_step_of_every_training(size):
    first = dataclasses.replace(size.first, train=12, test=3, batch=2, steps=1)
    small = dataclasses.replace(size, first=first)
    train, digits, test, _ = vqgan.data(small, seeded())
    assert train.shape == (12, 1, first.pixels, first.pixels)
    assert len(test) == 3
    net = FeatureNet(*size.watch[:2], classes=10, generator=seeded())
    train_classifier(net, train, digits, 1, seeded(), batch=2)
    critic = PatchDiscriminator(*size.patches, seeded())
    model = autoencoder(first)
    curves = vqgan.train_first_stage(
        model, train, first, seeded(), FeatureLoss(net), critic, start=0.0
    )
    assert curves.shape == (1, 3)
    assert (curves > 0).all()
    idx = model(test)[1].flatten(1)
    assert idx.shape == (3, first.tokens) == (3, size.prior.length)
    second = CodePrior(first.codes, size.prior, seeded())
    plan = dataclasses.replace(size.prior, steps=1, batch=2)
    assert vqgan.train_prior(second, idx, plan, seeded()).isfinite().all()
    assert sample_codes(second.eval(), 1, 2, seeded()).shape == (1, 2)


def test_training_lowers_the_error_and_the_critic_enters_when_it_is_told():
    size = dataclasses.replace(CPU.first, steps=200, batch=32)
    train, _, _, _ = vqgan.data(CPU, seeded())
    critic = PatchDiscriminator(4, 1, seeded())
    curves = vqgan.train_first_stage(
        autoencoder(size), train, size, seeded(), critic=critic, start=0.5
    )
    error, weight, judged = curves.T
    # Afterwards the critic may raise it: it asks for more than a small error.
    assert error[90:100].mean() < 0.6 * error[:10].mean()
    assert (weight[:100] == 0).all()
    assert (weight[100:] > 0).all()
    assert (judged[:100] == 0).all()
    assert (judged[100:] > 0).all()


def test_betas_stay_those_of_the_released_code(monkeypatch):
    made, adam = [], torch.optim.Adam

    def spy(*args, **settings):
        made.append(adam(*args, **settings))
        return made[-1]

    monkeypatch.setattr(torch.optim, "Adam", spy)
    size = dataclasses.replace(CPU.first, steps=20, batch=4)
    train, _, _, _ = vqgan.data(CPU, seeded())
    critic = PatchDiscriminator(2, 1, seeded())
    model = autoencoder(size)
    vqgan.train_first_stage(model, train, size, seeded(), critic=critic, start=0.0)
    assert [each.param_groups[0]["betas"] for each in made] == [(0.5, 0.9)] * 2
    rates = [each.param_groups[0]["lr"] for each in made]
    assert rates[0] < size.learning_rate / 100
    assert rates[1] == size.learning_rate


def test_the_same_seeds_train_the_same_model():
    size = dataclasses.replace(CPU.first, steps=3)
    train, _, _, _ = vqgan.data(CPU, seeded())
    models = [autoencoder(size) for _ in range(2)]
    for model in models:
        vqgan.train_first_stage(model, train, size, seeded(4))
    same(models[0].state_dict(), models[1].state_dict())
