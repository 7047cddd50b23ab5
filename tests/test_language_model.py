"""`lib.language_model`: what is causal, what an encoding changes, how it trains."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from lib import language_model as lm
from lib import text
from tests.draws import seeded

TINY = lm.Size(
    layers=2, heads=2, width=8, length=6, batch=4, steps=60, learning_rate=0.02
)
VOCAB = 5


def model(encoding=None, size=TINY):
    return lm.LanguageModel(VOCAB, size, encoding or lm.Encoding(), seeded())


def tokens(*shape):
    return torch.randint(VOCAB, shape, generator=seeded(1))


def test_no_logit_depends_on_a_later_token():
    rows = tokens(1, 6)
    changed = rows.clone()
    changed[0, 4] = (changed[0, 4] + 1) % VOCAB
    before, after = model()(rows), model()(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_the_encoding_enters_at_both_places():
    """A subclass that records its calls sees the embedding once, each layer once."""
    calls = []

    class Spy(lm.Encoding):
        def embed(self, x, positions):
            calls.append(("embed", tuple(x.shape), positions.tolist()))
            return super().embed(x, positions)

        def attend(self, q, k, v, positions):
            calls.append(("attend", tuple(q.shape), positions.tolist()))
            return super().attend(q, k, v, positions)

    model(Spy())(tokens(3, 4))
    places = [0, 1, 2, 3]
    heads = ("attend", (3, 2, 4, 4), places)
    assert calls == [("embed", (3, 4, 8), places), heads, heads]


def test_scores_can_be_replaced_altogether():
    """What later lessons need: two score matrices, or weights changed after softmax."""

    class ByHand(lm.Encoding):
        def attend(self, q, k, v, positions):
            scores = q @ k.mT / q.shape[-1] ** 0.5
            later = positions[:, None] < positions
            return scores.masked_fill(later, -torch.inf).softmax(-1) @ v

    rows = tokens(2, 6)
    torch.testing.assert_close(model(ByHand())(rows), model()(rows))


def test_attention_is_scaled_dot_product_under_a_causal_mask():
    q, k, v = torch.randn(3, 2, 2, 5, 4, generator=seeded())
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    got = lm.Encoding().attend(q, k, v, torch.arange(5))
    torch.testing.assert_close(got, want)


def test_a_model_is_pytorchs_transformer_with_its_norms_in_front():
    ours = model().eval()
    assert ours.blocks[0].qkv.bias is None
    assert ours.blocks[0].out.bias is None
    with torch.no_grad():
        for weight in ours.parameters():
            weight.add_(torch.randn(weight.shape, generator=seeded(4)), alpha=0.3)
    rows = tokens(3, 6)
    x, later = ours.embedding(rows), torch.ones(6, 6).triu(1).bool()
    for block in ours.blocks:
        layer = torch.nn.TransformerEncoderLayer(
            8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True
        )
        own = layer.state_dict()
        for name, theirs in {
            "self_attn.in_proj_weight": block.qkv.weight,
            "self_attn.out_proj.weight": block.out.weight,
            "linear1.weight": block.up.weight,
            "linear1.bias": block.up.bias,
            "linear2.weight": block.down.weight,
            "linear2.bias": block.down.bias,
            "norm1.weight": block.norm_attention.weight,
            "norm1.bias": block.norm_attention.bias,
            "norm2.weight": block.norm_mlp.weight,
            "norm2.bias": block.norm_mlp.bias,
        }.items():
            own[name] = theirs.detach()
        for name in ("self_attn.in_proj_bias", "self_attn.out_proj.bias"):
            own[name] = torch.zeros_like(own[name])
        layer.load_state_dict(own)
        x = layer(x, src_mask=later)
    torch.testing.assert_close(ours(rows), ours.head(ours.norm(x)))


def test_training_and_evaluation_put_the_model_into_their_mode():
    """An encoding may drop out at random, which is for training only."""
    own = model().eval()
    lm.train(own, tokens(300), dataclasses.replace(TINY, steps=1), seeded())
    assert own.training
    lm.evaluate(own, tokens(40), 6)
    assert not own.training


def test_learned_positions_start_small():
    table = lm.Learned(200, 50, seeded()).table
    assert table.std().item() == pytest.approx(0.02, rel=0.05)


def test_models_differ_in_their_encoding_only():
    plain, learned = model(), model(lm.Learned(6, 8, seeded(2)))
    for name, weight in plain.state_dict().items():
        torch.testing.assert_close(learned.state_dict()[name], weight)
    assert set(learned.state_dict()) - set(plain.state_dict()) == {"encoding.table"}


def test_learned_positions_are_added_and_end_where_the_table_ends(plain_errors):
    learned = lm.Learned(6, 8, seeded())
    x = torch.zeros(2, 3, 8)
    torch.testing.assert_close(
        learned.embed(x, torch.arange(3))[1], learned.table[:3].detach()
    )
    assert model(learned)(tokens(1, 6)).shape == (1, 6, VOCAB)
    with pytest.raises(ValueError, match="positions must be below 6, got 7"):
        model(learned)(tokens(1, 7))


def test_training_learns_an_order_that_can_be_learnt():
    cycle = torch.arange(500) % VOCAB
    trained = model()
    losses = lm.train(trained, cycle, TINY, seeded(3))
    assert losses.shape == (60,)
    assert losses[:3].mean() > 1.2
    assert lm.evaluate(trained, cycle, 6).mean() < 0.1


def test_training_repeats_to_the_last_digit():
    data = tokens(300)
    size = dataclasses.replace(TINY, steps=5)
    first, again = model(), model()
    torch.testing.assert_close(
        lm.train(first, data, size, seeded()),
        lm.train(again, data, size, seeded()),
        rtol=0,
        atol=0,
    )
    for one, other in zip(first.parameters(), again.parameters()):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_evaluation_averages_all_windows_position_by_position():
    data = tokens(40)
    got = lm.evaluate(model(), data, 6, batch=4)
    inputs, targets = data[:36].view(6, 6), data[1:37].view(6, 6)
    logits = model()(inputs).detach()
    want = F.cross_entropy(logits.mT, targets, reduction="none").mean(0)
    torch.testing.assert_close(got, want)


def test_evaluation_may_be_longer_than_training():
    assert lm.evaluate(model(), tokens(100), 8 * 6).shape == (48,)


def test_a_text_without_a_window_is_refused(plain_errors):
    with pytest.raises(ValueError, match="length must be below 6 tokens, got 6"):
        lm.evaluate(model(), tokens(6), 6)


def test_the_gpu_size_takes_a_step():
    """Full width, depth and length, one row instead of a batch of them."""
    size = dataclasses.replace(lm.GPU, batch=1, steps=1)
    data = tokens(size.length + 2)
    losses = lm.train(model(size=size), data, size, seeded())
    assert losses.isfinite().all()


def test_the_text_fits_the_sizes():
    train, validation = text.split(torch.arange(len(text.python_topics())))
    for size in (lm.CPU, lm.GPU):
        assert len(validation) > 8 * size.length
        assert size.width % (2 * size.heads) == 0
        assert len(train) > size.length
