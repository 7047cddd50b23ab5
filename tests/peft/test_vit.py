"""The small vision transformer and the training of several copies at once."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lib.peft import vit
from lib.training import fit
from tests.draws import seeded

SMALL = replace(vit.CPU, layers=1, width=8, heads=2, tune_steps=3, batch=10)


def model(seed=0, size=SMALL):
    return vit.ViT(size, seeded(seed))


def picture(n=3, seed=1):
    return torch.rand(n, 1, 8, 8, generator=seeded(seed))


def test_the_size_of_the_course():
    count = sum(p.numel() for p in model(size=vit.CPU).parameters())
    assert count == 58_186


def test_attention_is_pytorchs():
    ours = vit.Attention(12, 3)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        projections = (ours.q, ours.k, ours.v)
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 5, 12, generator=seeded(2))
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_a_block_is_pytorchs_with_its_norms_in_front():
    ours = vit.Block(12, 3)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.add_(torch.randn(weight.shape, generator=seeded(1)), alpha=0.3)
    theirs = torch.nn.TransformerEncoderLayer(
        12, 3, 48, 0.0, "gelu", batch_first=True, norm_first=True
    )
    own = theirs.state_dict()
    parts = (ours.attention.q, ours.attention.k, ours.attention.v)
    for kind in ("weight", "bias"):
        own[f"self_attn.in_proj_{kind}"] = torch.cat([getattr(p, kind) for p in parts])
        for name, layer in {
            "self_attn.out_proj": ours.attention.out,
            "linear1": ours.mlp.up,
            "linear2": ours.mlp.down,
            "norm1": ours.norm_attention,
            "norm2": ours.norm_mlp,
        }.items():
            own[f"{name}.{kind}"] = getattr(layer, kind)
    theirs.load_state_dict(own)
    x = torch.randn(2, 5, 12, generator=seeded(2))
    torch.testing.assert_close(ours(x), theirs(x))


def test_what_enters_is_the_class_token_and_a_token_for_each_patch():
    ours, x = model(), picture()
    patches = x.view(3, 4, 2, 4, 2).transpose(2, 3).reshape(3, 16, 4)
    want = patches @ ours.patch.weight.T + ours.patch.bias + ours.positions
    got = ours.embed(x)
    torch.testing.assert_close(got[:, 0], ours.cls.expand(3, -1))
    torch.testing.assert_close(got[:, 1:], want)
    logits = F.layer_norm(got[:, 0], (8,)) @ ours.head.weight.T
    torch.testing.assert_close(ours.read(got), logits)


def test_a_prefix_is_seen_by_every_query_and_asks_nothing():
    ours = vit.Attention(12, 3)
    x = torch.randn(2, 5, 12, generator=seeded(2))
    prefix = tuple(torch.randn(3, 7, 4, generator=seeded(s)) for s in (3, 4))
    q, k, v = (
        project(x).unflatten(-1, (3, 4)).transpose(1, 2)
        for project in (ours.q, ours.k, ours.v)
    )
    k = torch.cat([prefix[0].expand(2, 3, 7, 4), k], 2)
    v = torch.cat([prefix[1].expand(2, 3, 7, 4), v], 2)
    want = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(ours(x, prefix), ours.out(want))


def test_a_patch_is_four_neighbouring_pixels():
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 2:4, 4:6] = 1.0  # second row of patches, third column
    ours = model()
    difference = ours.embed(x) - ours.embed(torch.zeros(1, 1, 8, 8))
    touched = difference[0].abs().sum(-1).nonzero().flatten().tolist()
    assert touched == [1 + 4 + 2]


def test_forward_is_embed_then_blocks_then_read():
    ours, x = model(), picture()
    torch.testing.assert_close(ours(x), ours.read(ours.blocks[0](ours.embed(x))))


def test_the_generator_decides_the_weights():
    one, same, other = (model(s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_weights_start_with_the_variance_of_pytorchs_own():
    """Uniform within 1 / sqrt(n) there: a variance of 1 / 3n. Biases are 0 here."""
    ours = model(size=replace(SMALL, width=128))
    for layer in ours.modules():
        if isinstance(layer, torch.nn.Linear):
            std = torch.nn.Linear(layer.in_features, 4096).weight.std().item()
            assert layer.weight.std().item() == pytest.approx(std, rel=0.1)
            assert not layer.bias.any()


def test_what_is_tested_on_is_never_trained_on():
    for task in (vit.upright(), vit.turned()):
        assert len(task.train) == vit.TRAIN
        assert len(task.train) + len(task.test) == 1797
    assert torch.equal(
        vit.turned().test[5, 0, 0], vit.upright().test[5, 0, :, -1]
    )  # to the left: the last column becomes the first row


def alone(seed, task):
    """What one copy learns by an ordinary loop of its own: (model, trained part)."""
    generator = torch.Generator().manual_seed(seed)  # lib's seed
    copy = model()
    chosen = torch.randperm(vit.TRAIN, generator=generator)[: vit.TUNE]

    def loss():
        rows = chosen[torch.randint(vit.TUNE, (SMALL.batch,), generator=generator)]
        return F.cross_entropy(copy(task.train[rows]), task.train_labels[rows])

    learnt = {n: p for n, p in copy.named_parameters() if n.startswith(LEARNT)}
    fit(learnt.values(), loss, SMALL.tune_steps, 1e-2, clip=None)
    return copy, learnt


LEARNT = ("head", "blocks.0.mlp")


def test_side_by_side_each_copy_learns_as_it_would_alone():
    task, copies = vit.turned(), [model() for _ in range(3)]
    for each in copies:
        for name, p in each.named_parameters():
            p.requires_grad_(name.startswith(LEARNT))
    got = vit.tune(copies, task, SMALL, 1e-2)
    for seed in range(3):
        copy, learnt = alone(seed, task)
        for name, p in learnt.items():
            torch.testing.assert_close(
                got[f"learnt.{name}"][seed], p.detach(), rtol=1e-3, atol=1e-4
            )
        # One image at a boundary may fall either way.
        assert abs(vit.accuracy(copy, task) - got["accuracy"][seed]) <= 2 / 797
    assert int(got["trained"]) == sum(p.numel() for p in learnt.values())
    assert not any(value.requires_grad for value in got.values())
    assert {k for k in got if k.startswith("learnt.")} == {
        f"learnt.{n}" for n in learnt
    }
    assert torch.equal(copies[0].head.weight, model().head.weight)  # left as they were


@pytest.mark.usefixtures("plain_errors")
def test_what_cannot_be_tuned_is_named():
    copies = [model(0), model(1)]
    for each in copies:
        each.requires_grad_(False)
    with pytest.raises(ValueError, match="models must have a parameter that"):
        vit.tune(copies, vit.turned(), SMALL, 1e-2)
    for each in copies:
        each.head.requires_grad_(True)
    with pytest.raises(ValueError, match="agree in what is frozen, differ in pos"):
        vit.tune(copies, vit.turned(), SMALL, 1e-2)


def test_pre_training_reads_upright_digits_only():
    size = replace(vit.CPU, pretrain_steps=150)
    learnt = vit.restored(size, vit.pretrain(size))
    assert vit.accuracy(learnt, vit.upright()) > 0.8
    assert vit.accuracy(learnt, vit.turned()) < 0.3


def test_the_size_of_a_gpu_takes_a_step():
    size = replace(vit.GPU, pretrain_steps=1, tune_steps=1, batch=2)
    copies = [vit.ViT(size, seeded()) for _ in range(2)]
    result = vit.tune(copies, vit.turned(), size, 1e-3)
    assert result["losses"].isfinite().all()
