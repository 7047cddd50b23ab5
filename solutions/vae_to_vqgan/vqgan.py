# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # VQGAN
#
# The chapter balanced two losses, read rows of codes from left to right, and asked one discriminator for one number a batch. Four tasks go a step further: what each image's patches still teach, any number of losses, rows longer than the model can see, and a code missing in the middle.

# %%
import math

import torch
import torch.nn.functional as F
from torch import nn

from course import check

# %% [markdown]
# ## 1 · Which patches still teach?
#
# A patch on the right side of its margin has loss zero and sends no gradient. When nearly all patches are there, the discriminator has won and learns nothing more; when none are, it has hardly begun. So watch the share. For logits $D$ of real patches and $\hat D$ of reconstructed ones and margins $m_+ > m_-$, the loss of image $b$ is
#
# $$\ell_b = \tfrac12\Big(\operatorname*{mean}_{\text{patches}}\max(0,\; m_+ - D_b) + \operatorname*{mean}_{\text{patches}}\max(0,\; \hat D_b - m_-)\Big).$$
#
# The chapter's discriminator has $m_\pm = \pm1$ and takes the mean over images as well; here each image keeps its own number.
#
# <details><summary>Hint 1</summary>The means run over the patches of one image: every axis but the first. Real and fake may have different numbers of patches, and each has its own mean.</details>
# <details><summary>Hint 2</summary>A real patch is idle where D ≥ high, a fake one where D ≤ low. The share counts patches, so it is not the mean of two shares unless both sides have equally many.</details>


# %% solution="judge_patches" difficulty=2 minutes=10
def judge_patches(real, fake, high=1.0, low=-1.0):
    """Hinge loss of the discriminator for each image, and the share of idle patches.

    real: (B, 1, h, w), the logits of the patches of B images. fake: (B, 1, H, W), those
    of B reconstructions. high, low: the margins m+ and m-.
    Returns (loss, idle), both (B,) in the dtype of real: the loss above, and of all
    h·w + H·W patches of an image the share whose loss is zero.
    """
    ### BEGIN SOLUTION
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    loss = (short.relu().mean(1) + over.relu().mean(1)) / 2
    idle = (torch.cat([short, over], 1) <= 0).to(real.dtype).mean(1)
    return loss, idle
    ### END SOLUTION


# %% test="judge_patches" points=1
real = torch.tensor([[2.0, 0.5], [3.0, 1.5]]).view(2, 1, 1, 2)
fake = torch.tensor([[-2.0], [0.0]]).view(2, 1, 1, 1)
check.close(
    judge_patches(real, fake),
    (torch.tensor([0.125, 0.5]), torch.tensor([2 / 3, 2 / 3])),
    "image 0: one real patch is 0.5 short of its margin, so ½ · (0.5 / 2 + 0); image "
    "1: the fake patch is 1 over; two of three patches are idle in both",
)
check.close(
    judge_patches(real, fake, high=3.0, low=0.5)[0],
    torch.tensor([0.875, 0.375]),
    "margins 3 and 0.5: the real patches of image 0 are 1 and 2.5 short",
)
### BEGIN HIDDEN TESTS
from lib.vae_to_vqgan import vqgan as reference

draw = check.generator("judge_patches")


@check.probe
def arguments_after(real, fake):
    judge_patches(real, fake, 0.5, -2.0)
    return real, fake


def normal(*shape):
    return 2 * torch.randn(*shape, dtype=torch.float64, generator=draw)


for (batch, h, w), (H, W), high, low in [
    ((3, 2, 4), (2, 4), 1.0, -1.0),
    ((4, 3, 2), (1, 5), 0.75, -2.5),
    ((1, 1, 1), (3, 3), 2.0, 0.25),
    ((5, 4, 4), (2, 2), -0.5, -0.75),
]:
    real, fake = normal(batch, 1, h, w), normal(batch, 1, H, W)
    words = f"{batch} images, {h} by {w} real and {H} by {W} fake patches"
    loss, idle = [], []
    for one, other in zip(real, fake):
        over = [max(0.0, high - float(x)) for x in one.flatten()]
        under = [max(0.0, float(x) - low) for x in other.flatten()]
        loss.append((sum(over) / len(over) + sum(under) / len(under)) / 2)
        zero = sum(x == 0 for x in over + under)
        idle.append(zero / len(over + under))
    want = torch.tensor(loss).double(), torch.tensor(idle).double()
    got = judge_patches(real, fake, high, low)
    check.close(got[0], want[0], f"loss of each image: {words}", atol=1e-6)
    check.close(got[1], want[1], f"share of idle patches: {words}", atol=1e-6)

real, fake = normal(6, 1, 3, 3), normal(6, 1, 3, 3)
check.close(
    judge_patches(real, fake)[0].mean(),
    reference.hinge_d_loss(real, fake),
    "with margins of 1 the mean over images must be the chapter's loss, ½ included",
)
far = real.abs() + 3.0, -fake.abs() - 3.0
check.close(
    judge_patches(*far, 2.0, -2.5),
    (torch.zeros(6).double(), torch.ones(6).double()),
    "where every patch keeps its margin the loss is 0 and all are idle",
)
check.close(
    judge_patches(real.float(), fake.float(), 0.5, -1.5),
    tuple(x.float() for x in judge_patches(real, fake, 0.5, -1.5)),
    "float32 in must give float32 out",
    rtol=1e-4,
    atol=1e-5,
)
strided = normal(3, 4, 1, 6).permute(3, 2, 1, 0)
check.close(
    judge_patches(strided, strided),
    judge_patches(strided.contiguous(), strided.contiguous()),
    "non-contiguous logits give another answer",
)
check.close(
    arguments_after(real.clone(), fake.clone()),
    (real, fake),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="judge_patches" aspect="gradient" points=1
@check.probe
def gradients(real, fake, high, low, upstream):
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    loss, _ = judge_patches(real, fake, high, low)
    loss.backward(upstream)
    return real.grad, fake.grad


check.close(
    gradients(
        torch.tensor([0.0, 5.0]).view(1, 1, 1, 2),
        torch.tensor([0.0, -5.0]).view(1, 1, 1, 2),
        1.0,
        -1.0,
        torch.ones(1),
    ),
    (
        torch.tensor([-0.25, 0.0]).view(1, 1, 1, 2),
        torch.tensor([0.25, 0.0]).view(1, 1, 1, 2),
    ),
    "a patch inside its margin pulls with ½ over the number of patches, others not",
)
### BEGIN HIDDEN TESTS
draw = check.generator("judge_patches_gradient")
for high, low in [(1.0, -1.0), (0.25, -1.75)]:
    real = 2 * torch.randn(3, 1, 2, 3, dtype=torch.float64, generator=draw)
    fake = 2 * torch.randn(3, 1, 4, 1, dtype=torch.float64, generator=draw)
    upstream = torch.randn(3, dtype=torch.float64, generator=draw)
    weight = upstream.view(3, 1, 1, 1) / 2
    check.close(
        gradients(real, fake, high, low, upstream),
        (-weight * (real < high) / 6, weight * (fake > low) / 4),
        "the gradient is a constant inside the margin and zero outside it",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Balance any number of losses
#
# The chapter brought one adversarial loss to the strength of the reconstruction at the decoder's last layer. Real first stages add more: a second discriminator, an edge loss, a loss on frequencies. Find the weights that give every loss the same pull as the first,
#
# $$w_0 = 1, \qquad w_i = \min\!\Big(\text{most},\; \frac{\|\nabla_{W} L_0\|}{\|\nabla_{W} L_i\| + \delta}\Big),$$
#
# with Frobenius norms and $W$ the *weight* of the decoder's last layer: not its bias, and no other layer.
#
# <details><summary>Hint 1</summary><code>torch.autograd.grad(loss, weight)</code> returns a gradient without writing it anywhere; <code>loss.backward()</code> adds to <code>.grad</code> of every parameter, where the optimiser will find it.</details>
# <details><summary>Hint 2</summary>The losses share a graph and will be needed again. PyTorch frees a graph after use unless told to retain it.</details>
# <details><summary>Hint 3</summary>The weights are numbers for this step, not functions of the parameters: detach them.</details>


# %% solution="balance" difficulty=3 minutes=15
def balance(losses, decoder, delta=1e-6, most=1e4):
    """Weights under which all losses pull equally at the decoder's last layer.

    losses: a list of scalar tensors, each with a graph that reaches the decoder.
    decoder: an nn.Sequential; its last layer has a weight and a bias.
    Returns a tensor (len(losses),) in the dtype of the losses, without a graph. The
    losses can still be backpropagated afterwards, and no .grad has changed.
    """
    ### BEGIN SOLUTION
    pulls = [
        torch.autograd.grad(loss, decoder[-1].weight, retain_graph=True)[0].norm()
        for loss in losses
    ]
    weights = [(pulls[0] / (pull + delta)).clamp(max=most) for pull in pulls[1:]]
    return torch.stack([torch.ones_like(pulls[0]), *weights]).detach()
    ### END SOLUTION


# %% test="balance" points=2
@check.probe
def two_losses(scale, delta, most):
    decoder = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.fill_(2.0)
    out = decoder(torch.ones(1, 1)).sum()
    return balance([3 * out, scale * out, 0 * out], decoder, delta, most)


check.close(
    two_losses(0.5, 1e-6, 1e4),
    torch.tensor([1.0, 6.0, 1e4]),
    "3·out pulls six times as hard as ½·out, so ½·out gets weight 6; a loss without "
    "any gradient gets the largest weight, not infinity",
    rtol=1e-4,
)
check.close(
    two_losses(0.5, 1e-6, 2.5),
    torch.tensor([1.0, 2.5, 2.5]),
    "no weight may exceed `most`",
)
### BEGIN HIDDEN TESTS
draw = check.generator("balance")


@check.probe
def pull_of_each(z, x, tensors, scales, delta, most):
    """Weights, then of each weighted loss the gradient at both layers."""
    decoder = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for parameter, value in zip(decoder.parameters(), tensors):
            parameter.copy_(value)
    out = decoder(z)
    losses = [
        scales[0] * (out - x).abs().mean(),
        scales[1] * -out.sin().mean(),
        scales[2] * (out.diff(dim=1) - x.diff(dim=1)).square().mean(),
    ]
    weights = balance(losses, decoder, delta, most)
    found = []
    for weight, loss in zip(weights, losses):
        decoder.zero_grad()
        (weight * loss).backward(retain_graph=True)
        found.append((decoder[0].weight.grad, decoder[2].weight.grad))
    return weights, [one for one, _ in found], [other for _, other in found]


@check.probe
def untouched(z):
    """What stands in .grad before and after, and whether the weights carry a graph."""
    decoder = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2)).double()
    out = decoder(z)
    out.mean().backward(retain_graph=True)
    before = [p.grad.clone() for p in decoder.parameters()]
    weights = balance([out.square().mean(), out.exp().mean()], decoder)
    after = [p.grad.clone() for p in decoder.parameters()]
    return before, after, int(weights.requires_grad)


def by_hand(z, x, tensors, scales):
    """Gradients of the three losses at the last weight, from the chain rule."""
    first, bias, last, shift = tensors
    hidden = torch.tanh(z @ first.T + bias)
    out = hidden @ last.T + shift
    gap = out.diff(dim=1) - x.diff(dim=1)
    edge = torch.zeros_like(out)
    edge[:, 1:] += 2 * gap / gap.numel()
    edge[:, :-1] -= 2 * gap / gap.numel()
    upstream = (
        scales[0] * (out - x).sign() / out.numel(),
        -scales[1] * out.cos() / out.numel(),
        scales[2] * edge,
    )
    return [g.T @ hidden for g in upstream]


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


tensors = [normal(5, 4), normal(5), normal(3, 5), normal(3)]
for batch, scales, delta, most in [
    (7, (1.0, 1.0, 1.0), 1e-6, 1e4),
    (1, (2.0, 0.01, 30.0), 1e-6, 1e4),
    (4, (1.0, 1e-9, 1.0), 1e-6, 50.0),
    (6, (0.5, 2.0, 3.0), 0.25, 1e4),
]:
    z, x = normal(batch, 4), normal(batch, 3)
    got, first, last = pull_of_each(z, x, tensors, scales, delta, most)
    raw = by_hand(z, x, tensors, scales)
    norms = torch.stack([g.norm() for g in raw])
    want = (norms[0] / (norms + delta)).clamp(max=most)
    want[0] = 1.0
    words = f"batch of {batch}, delta {delta:g}, most {most:g}"
    check.close(got, want, f"weights from the chain rule: {words}", rtol=1e-6)
    check.close(
        torch.stack([g.norm() for g in last]),
        want * norms,
        f"after weighting, the norms at the last weight: {words}",
        rtol=1e-6,
    )
z, x = normal(5, 4), normal(5, 3)
plain = pull_of_each(z, x, tensors, (1.0, 1.0, 1.0), 1e-12, 1e9)
scaled = pull_of_each(z, x, tensors, (1.0, 40.0, 0.1), 1e-12, 1e9)
check.close(
    [scaled[0][1] * 40.0, scaled[0][2] * 0.1],
    [plain[0][1], plain[0][2]],
    "scaling a loss must leave weight times loss as it was",
    rtol=1e-6,
)
check.close(scaled[1], plain[1], "nor may it change what the first layer feels")
before, after, graph = untouched(normal(3, 4))
check.close(after, before, "a .grad was changed: use torch.autograd.grad")
check.close(graph, 0, "the weights carry a graph: detach them")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A row longer than the model can see
#
# A Transformer of 256 places cannot read the 1024 codes of an image twice as wide and twice as high. VQGAN lets the window slide: every code is predicted from the last few tokens only. With the start token $\circ$ before the first code, the row $\circ, s_0, \dots, s_{T-1}$ has the log-likelihood
#
# $$\log p(s) = \sum_{t=0}^{T-1}\log p\big(s_t \mid \text{the last } w \text{ of } \circ, s_0, \dots, s_{t-1}\big).$$
#
# The start token counts as one of the $w$ and falls out of sight like any other.
#
# <details><summary>Hint 1</summary>Put the start in front of the row. Then code t is token t + 1, and its context ends with token t.</details>
# <details><summary>Hint 2</summary>The context of code t is <code>tokens[:, max(0, t + 1 - window) : t + 1]</code>. Of the logits only the last place is about code t.</details>
# <details><summary>Hint 3</summary>Logits are not log-probabilities: <code>log_softmax</code> first, then pick the code that came.</details>


# %% solution="sliding_log_likelihood" difficulty=3 minutes=20
def sliding_log_likelihood(prior, idx, start, window):
    """log p of each row of codes under a model that sees `window` tokens at most.

    prior: maps (N, n) integer tokens, 1 <= n <= window, to (N, n, K) logits; those at
    place i are for the token that follows tokens 0 ... i. idx: (B, T), codes below K.
    start: the number of the start token, which stands before the first code.
    Returns (B,), in nats: a sum over the T codes, in the dtype of the logits.
    """
    ### BEGIN SOLUTION
    tokens = torch.cat([idx.new_full((len(idx), 1), start), idx], 1)
    total = 0
    for t in range(idx.shape[1]):
        context = tokens[:, max(0, t + 1 - window) : t + 1]
        log_p = F.log_softmax(prior(context)[:, -1], -1)
        total = total + log_p.gather(1, idx[:, t : t + 1])[:, 0]
    return total
    ### END SOLUTION


# %% test="sliding_log_likelihood" points=2
def uniform(tokens):
    return torch.zeros(*tokens.shape, 5)


def repeats(tokens):
    """The same token again with odds of 9 to 1 against each other one; K = 2."""
    return math.log(9.0) * F.one_hot(tokens % 2, 2).float()


row = torch.tensor([[4, 0, 2]])
check.close(
    sliding_log_likelihood(uniform, row, 5, 2),
    torch.tensor([-3 * math.log(5.0)]),
    "a uniform prior over 5 codes: each of 3 codes costs log 5, the first one too",
)
check.close(
    sliding_log_likelihood(repeats, torch.tensor([[0, 0], [1, 1], [1, 0]]), 2, 1),
    torch.tensor([0.81, 0.09, 0.01]).log(),
    "start 2 is read as 0 here: p(0, 0) = 0.9 · 0.9, p(1, 1) = 0.1 · 0.9, "
    "p(1, 0) = 0.1 · 0.1. A code is predicted from what stands before it",
)
### BEGIN HIDDEN TESTS
import itertools

from lib.vae_to_vqgan import vqgan as reference

draw = check.generator("sliding_log_likelihood")
K, START = 3, 3


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


embed, mix, read, place = normal(K + 1, 6), normal(6, 6), 2 * normal(6, K), normal(9, 6)


def recurrent(window):
    """A causal model that knows its place in the window; NaN beyond the window."""

    def prior(tokens):
        if tokens.shape[1] > window:
            return torch.full((*tokens.shape, K), torch.nan).double()
        state, out = torch.zeros(len(tokens), 6).double(), []
        for i in range(tokens.shape[1]):
            state = torch.tanh(state @ mix / 2 + embed[tokens[:, i]] + place[i])
            out.append(state @ read + 7.0)
        return torch.stack(out, 1)

    return prior


def one_row(prior, codes, window):
    tokens = [START, *codes]
    total = 0.0
    for t, code in enumerate(codes):
        seen = tokens[: t + 1][-window:]
        logits = prior(torch.tensor([seen]))[0, -1]
        total += float(logits[code] - logits.logsumexp(0))
    return total


every = torch.tensor(list(itertools.product(range(K), repeat=4)))
for window in (1, 2, 3, 4, 7):
    got = sliding_log_likelihood(recurrent(window), every, START, window)
    check.close(
        got.exp().sum() if torch.is_tensor(got) else got,
        torch.tensor(1.0).double(),
        f"the probabilities of all 81 rows of 4 codes must sum to 1, window {window}",
        atol=1e-6,
    )
    want = [one_row(recurrent(window), row, window) for row in every.tolist()[::7]]
    check.close(
        got[::7],
        torch.tensor(want).double(),
        f"every code from the last {window} tokens, the start being one of them",
        atol=1e-6,
    )

rows = torch.randint(K, (5, 6), generator=draw)
wide = recurrent(8)
start = torch.full((5, 1), START)


def after_every_prefix(codes):
    return wide(torch.cat([start, codes], 1))


check.close(
    sliding_log_likelihood(wide, rows, START, 8),
    -reference.code_nll(after_every_prefix, rows),
    "a window that holds the whole row must give the chapter's likelihood",
    atol=1e-6,
)
check.close(
    sliding_log_likelihood(recurrent(3), rows[:1, :1], START, 3),
    torch.tensor([one_row(recurrent(3), rows[0, :1].tolist(), 3)]).double(),
    "a single row of a single code",
    atol=1e-6,
)
strided = rows.T.contiguous().T
check.close(
    sliding_log_likelihood(recurrent(2), strided, START, 2),
    sliding_log_likelihood(recurrent(2), rows, START, 2),
    "a non-contiguous idx gives another answer",
)


@check.probe
def idx_after(idx):
    sliding_log_likelihood(lambda tokens: torch.zeros(*tokens.shape, 3), idx, 3, 2)
    return idx


check.close(idx_after(rows.clone()), rows, "idx was changed in place", rtol=0, atol=0)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · A code missing in the middle
#
# Raster order is a choice of training, not of use. One code of a picture is lost; the others are known, before it *and after it*. The prior only ever predicts forward, yet it gives every whole row a probability, and that is enough for the exact answer by Bayes' rule.
#
# <details><summary>Hint 1</summary>p(code | the others) is proportional to p(the row with that code in the gap), as a function of the code.</details>
# <details><summary>Hint 2</summary>Build all rows, one for each candidate, ask for their log-probabilities, and normalise over the candidates. Log-probabilities of long rows are far below what <code>exp</code> can hold.</details>


# %% solution="missing_code" difficulty=2 minutes=15
def missing_code(log_prob, idx, place, codes):
    """Probability of every code at one place, given all other codes of the row.

    log_prob: maps (N, T) integer rows to (N,) log-probabilities. idx: (B, T); what
    stands at `place` is a filler and must not matter. codes: how many codes there are.
    Returns (B, codes), each row summing to 1, in the dtype of the log-probabilities.
    """
    ### BEGIN SOLUTION
    rows = idx.repeat_interleave(codes, 0)
    rows[:, place] = torch.arange(codes).repeat(len(idx))
    return log_prob(rows).view(len(idx), codes).softmax(1)
    ### END SOLUTION


# %% test="missing_code" points=2
def likes_pairs(rows):
    """Equal neighbours are three times as likely as different ones."""
    return math.log(3.0) * (rows[:, 1:] == rows[:, :-1]).float().sum(1)


check.close(
    missing_code(likes_pairs, torch.tensor([[0, 9, 0], [0, 9, 1]]), 1, 2),
    torch.tensor([[0.9, 0.1], [0.5, 0.5]]),
    "between two zeros, 0 fits both neighbours: 9 to 1; between 0 and 1 nobody knows",
)
### BEGIN HIDDEN TESTS
draw = check.generator("missing_code")


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


for codes, length, batch, level in [
    (3, 4, 5, 0.0),
    (4, 3, 1, -5000.0),
    (2, 5, 6, 3000.0),
]:
    table = 2 * normal(*[codes] * length)

    def log_prob(rows, table=table, level=level):
        return table[tuple(rows.T)] + level

    for place in range(length):
        idx = torch.randint(codes, (batch, length), generator=draw)
        want = []
        for row in idx.tolist():
            fits = [
                table[(*row[:place], code, *row[place + 1 :])] for code in range(codes)
            ]
            want.append(torch.stack(fits).softmax(0))
        want = torch.stack(want)
        words = f"{codes} codes, rows of {length}, place {place}"
        got = missing_code(log_prob, idx, place, codes)
        check.close(got, want, f"exact conditional by enumeration: {words}", atol=1e-6)
        other = idx.clone()
        other[:, place] = (other[:, place] + 1) % codes
        check.close(
            missing_code(log_prob, other, place, codes),
            want,
            f"the filler at the gap must not matter: {words}",
            atol=1e-6,
        )


@check.probe
def idx_after(idx):
    missing_code(lambda rows: rows.sum(1).double(), idx, 1, 3)
    return idx


idx = torch.randint(3, (2, 4), generator=draw)
idx[:, 1] = 9
check.close(idx_after(idx.clone()), idx, "idx was changed in place", rtol=0, atol=0)
idx[:, 1] = 0
independent = normal(3)


def no_memory(rows):
    return independent.log_softmax(0)[rows].sum(1)


check.close(
    missing_code(no_memory, idx, 2, 3),
    independent.softmax(0).expand(2, 3),
    "codes that do not know of each other: the others must not matter",
    atol=1e-6,
)
strided = torch.randint(3, (4, 5), generator=draw).T
check.close(
    missing_code(no_memory, strided, 0, 3),
    missing_code(no_memory, strided.contiguous(), 0, 3),
    "a non-contiguous idx gives another answer",
)
single = missing_code(lambda rows: no_memory(rows).float(), idx, 1, 3)
check.close(single, independent.float().softmax(0).expand(2, 3), "float32", atol=1e-5)
### END HIDDEN TESTS
