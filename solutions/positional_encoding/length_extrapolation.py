# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Length extrapolation
#
# Four small pieces of code that stand in real long-context models: slopes for any number of heads, the base for a text of given length, YaRN's frequencies as its paper has them, and ReRoPE where it is cheap, at the moment of decoding.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Slopes for any number of heads
#
# ALiBi's slopes for $H$ heads are $m_h = 2^{-8h/H}$, $h = 1, \dots, H$, when $H$ is a power of two. Published models with another number of heads do this: let $P$ be the largest power of two below $H$. The first $P$ heads get the slopes for $P$; the remaining $H - P$ get every second slope of the list for $2P$, beginning with its first.
#
# <details><summary>Hint 1</summary>For 12 heads: P = 8, so the list for 8, then four slopes taken from the list for 16.</details>
# <details><summary>Hint 2</summary>"Every second, beginning with the first" are h = 1, 3, 5, … of the list for 2P. The others of that list you have already: h = 2 for 2P is h = 1 for P.</details>
# <details><summary>Hint 3</summary>P is <code>2 ** int(math.log2(H))</code>, or <code>2 ** (H.bit_length() - 1)</code>. Nothing has to be cut off when H is a power of two itself: then H − P = 0.</details>


# %% solution="head_slopes" difficulty=1 minutes=10
def head_slopes(n_heads):
    """ALiBi's slope of each head, in the order of published models.

    n_heads: an integer, 1 or more. Returns a float64 tensor of shape (n_heads,); all
    slopes are positive.
    """
    ### BEGIN SOLUTION
    power = 2 ** (n_heads.bit_length() - 1)

    def plain(count):
        return 2.0 ** (-8 * torch.arange(1, count + 1, dtype=torch.float64) / count)

    return torch.cat((plain(power), plain(2 * power)[::2][: n_heads - power]))
    ### END SOLUTION


# %% test="head_slopes" points=2
check.close(
    head_slopes(8),
    torch.tensor([0.5, 0.25, 0.125, 0.0625, 2**-5, 2**-6, 2**-7, 2**-8]).double(),
    "8 heads: a half, a quarter, … 1/256; the exponent is -8h/H",
)
check.close(
    head_slopes(3),
    torch.tensor([2**-4, 2**-8, 2**-2]).double(),
    "3 heads: the slopes for 2, then the first slope for 4",
)
### BEGIN HIDDEN TESTS
for n_heads in range(1, 34):
    power = 1
    while 2 * power <= n_heads:
        power *= 2
    want = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    h = 1
    while len(want) < n_heads:
        want.append(2 ** (-8 * h / (2 * power)))
        h += 2
    check.close(
        head_slopes(n_heads),
        torch.tensor(want, dtype=torch.float64),
        f"{n_heads} heads",
        rtol=1e-6,
        atol=0,
    )
for n_heads in (16, 64):
    slopes = head_slopes(n_heads)
    check.close(
        slopes[1:] / slopes[:-1],
        torch.full((n_heads - 1,), 2 ** (-8 / n_heads)).double(),
        "for a power of two the slopes fall in equal ratios",
        rtol=1e-6,
        atol=0,
    )
check.close(
    head_slopes(40)[:32],
    head_slopes(32),
    "the first heads of 40 have the slopes for 32",
    rtol=1e-6,
    atol=0,
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The base for a text
#
# The chapter divided the frequencies; model files hold a base instead. Write dynamic NTK as a server needs it: given the number of tokens now in view, return the base $b'$ such that **the slowest pair turns over the whole text exactly as far as it turned over a text of the training length**, and the fastest pair turns as ever. A text no longer than those of training keeps its base.
#
# With a base $b$ and $r$ channels that turn, pair $i$ goes $b^{-2i/r}$ radians a token, $i = 0, \dots, r/2-1$. In some models only a part of the head turns.
#
# <details><summary>Hint 1</summary>Write the condition down: n tokens times the new slowest frequency is L tokens times the old one.</details>
# <details><summary>Hint 2</summary>Which index has the slowest pair? Not r/2.</details>
# <details><summary>Hint 3</summary>The slowest frequency is b^(−(r−2)/r). Solve n · b'^(−(r−2)/r) = L · b^(−(r−2)/r) for b'.</details>


# %% solution="base_for" difficulty=2 minutes=15
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    """The RoPE base for a text of n tokens, for a model trained on `length` tokens.

    d: channels of a head. fraction: how much of the head turns; r = fraction * d
    channels do, an even number and at least 4. Returns a Python float.
    """
    ### BEGIN SOLUTION
    r = round(fraction * d)
    stretch = max(n / length, 1.0)
    return float(base * stretch ** (r / (r - 2)))
    ### END SOLUTION


# %% test="base_for" points=2
check.close(
    base_for(512, 512, 16),
    10_000.0,
    "at the training length the base must stay",
)
check.close(
    base_for(1024, 512, 4, base=100.0),
    400.0,
    "r = 4: pairs 0 and 1, the second at b^(-1/2); twice the text, four times the base",
    rtol=1e-6,
)
### BEGIN HIDDEN TESTS
draw = check.rng("base_for")
for d, fraction, base in [
    (16, 1.0, 10_000.0),
    (64, 0.25, 10_000.0),
    (80, 0.4, 500.0),
    (128, 1.0, 1e6),
    (24, 0.25, 50.0),
]:
    r = round(d * fraction)
    length = int(draw.integers(100, 5000))
    for n in (length + 1, 2 * length, int(length * draw.uniform(3, 40))):
        got = base_for(n, length, d, base, fraction)
        words = f"d = {d}, {fraction} of it turning, longer than in training"
        check.close(got, base * (n / length) ** (r / (r - 2)), words, rtol=1e-5)
        check.close(
            n * got ** (-(r - 2) / r),
            length * base ** (-(r - 2) / r),
            f"the slowest pair must turn as far as in training: {words}",
            rtol=1e-5,
        )
    for n in (1, length // 2, length):
        check.close(
            base_for(n, length, d, base, fraction),
            float(base),
            "a text no longer than in training must keep the base",
            rtol=1e-9,
        )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · YaRN as the paper has it
#
# The chapter printed the ramp of YaRN's *code*, which falls in equal steps from pair to pair. The *paper* ramps in the number of turns instead. With $r_i = L\,\theta_i/2\pi$ turns of pair $i$ in a text of the training length $L$, and
#
# $$\gamma(r) = \begin{cases} 0 & r < \alpha\\ 1 & r > \beta\\ \dfrac{r - \alpha}{\beta - \alpha} & \text{otherwise,}\end{cases}
# \qquad \theta_i' = (1 - \gamma(r_i))\,\frac{\theta_i}{s} + \gamma(r_i)\,\theta_i .$$
#
# Return the frequencies, and the number that scores are multiplied by when cosines *and* sines of both sides carry $0.1\ln s + 1$.
#
# <details><summary>Hint 1</summary>Many turns: keep. Less than one: divide by s. Check which of the two your γ keeps.</details>
# <details><summary>Hint 2</summary>The three cases are one <code>clamp</code>.</details>
# <details><summary>Hint 3</summary>A score is a product of a query and a key, and both carry the factor.</details>


# %% solution="yarn_by_turns" difficulty=2 minutes=15
def yarn_by_turns(inv_freq, s, length, alpha=1.0, beta=32.0):
    """YaRN's frequencies with the ramp of the paper, and its factor of the scores.

    inv_freq: (d/2,), the frequencies of training in radians a token; any positive
    numbers. s >= 1: the stretch. length: tokens of a training text.
    Returns (frequencies, factor): a new tensor of the shape and dtype of inv_freq, and
    a Python float.
    """
    ### BEGIN SOLUTION
    turns = length * inv_freq / (2 * math.pi)
    kept = ((turns - alpha) / (beta - alpha)).clamp(0, 1)
    scaled = kept * inv_freq + (1 - kept) * inv_freq / s
    return scaled, float((0.1 * math.log(s) + 1) ** 2)
    ### END SOLUTION


# %% test="yarn_by_turns" points=2
three = torch.tensor([40.0, 0.5, 16.5]).double() * 2 * math.pi / 1000
check.close(
    yarn_by_turns(three, 1.0, 1000),
    (three, 1.0),
    "with s = 1 nothing must change",
)
check.close(
    yarn_by_turns(three, 4.0, 1000)[0] / three,
    torch.tensor([1.0, 0.25, 0.625]).double(),
    "pairs of 40, 0.5 and 16.5 turns: kept, divided by s, and half of each",
)
### BEGIN HIDDEN TESTS
draw = check.generator("yarn_by_turns")


@check.probe
def argument_after(inv_freq):
    yarn_by_turns(inv_freq, 4.0, 500)
    return inv_freq


for d, base, length, s, alpha, beta in [
    (16, 1e4, 64, 2.0, 1.0, 32.0),
    (128, 1e4, 4096, 8.0, 1.0, 32.0),
    (64, 5e5, 8192, 16.0, 1.0, 32.0),
    (10, 100.0, 300, 3.0, 2.0, 7.0),
    (2, 10.0, 50, 5.0, 0.5, 20.0),
]:
    inv_freq = base ** (-torch.arange(0, d, 2).double() / d)
    want = []
    for theta in inv_freq.tolist():
        r = length * theta / (2 * math.pi)
        if r < alpha:
            gamma = 0.0
        elif r > beta:
            gamma = 1.0
        else:
            gamma = (r - alpha) / (beta - alpha)
        want.append((1 - gamma) * theta / s + gamma * theta)
    words = f"d = {d}, base {base:g}, length {length}, s = {s:g}"
    got, factor = yarn_by_turns(inv_freq, s, length, alpha, beta)
    check.close(got, torch.tensor(want, dtype=torch.float64), words, rtol=1e-6, atol=0)
    check.close(
        factor,
        (0.1 * math.log(s) + 1) ** 2,
        f"the factor of the scores, s = {s:g}",
        rtol=1e-6,
    )
    check.close(
        yarn_by_turns(inv_freq.float(), s, length, alpha, beta)[0],
        got.float(),
        f"float32, {words}",
        rtol=1e-4,
        atol=0,
    )
some = torch.rand(9, dtype=torch.float64, generator=draw) * 0.4 + 1e-4
shuffled = torch.randperm(9, generator=draw)
check.close(
    yarn_by_turns(some[shuffled], 6.0, 700)[0],
    yarn_by_turns(some, 6.0, 700)[0][shuffled],
    "each pair must be treated by its own turns, whatever its place",
    rtol=1e-9,
    atol=0,
)
slowest = torch.tensor([1e-6]).double()
check.close(
    yarn_by_turns(slowest, 7.0, 1000)[0] * 7,
    slowest,
    "a pair that hardly turns must be divided by s exactly",
    rtol=1e-9,
    atol=0,
)
strided = torch.rand(4, 2, dtype=torch.float64, generator=draw)[:, 0]
check.close(
    yarn_by_turns(strided, 3.0, 100)[0],
    yarn_by_turns(strided.contiguous(), 3.0, 100)[0],
    "a non-contiguous inv_freq gives another answer",
)
before = some.clone()
check.close(argument_after(some.clone()), before, "inv_freq was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · ReRoPE with a cache
#
# ReRoPE needs two tables of scores, since its distances
#
# $$\text{dist} = \begin{cases} t & t < w\\ w + (t - w)/k & \text{otherwise}\end{cases}\qquad t = i - j \ge 0$$
#
# are no differences of two positions. When text is generated there is a single query, the last token, and *one* table is enough: there every key has one distance. Write it for a cache of keys that were stored as they are, not turned.
#
# <details><summary>Hint 1</summary>A score depends on the relative turn only. You may leave the query as it is and turn each key to where it should be, as seen from the query.</details>
# <details><summary>Hint 2</summary>The query's place is n − 1, with n keys in the cache, the last of them its own. A key further back stands at a <em>smaller</em> position: which sign has its turn, if the query stands at 0?</details>
# <details><summary>Hint 3</summary>Turn key j by the angle −dist(n − 1 − j) · θ_i, interleaved pairs, and multiply with q. With leak = inf, (t − w)/k is 0.</details>


# %% solution="cached_scores" difficulty=3 minutes=20
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    """Scores of the newest token's query with all keys under (leaky) ReRoPE.

    q: (B, H, d), not turned. k: (B, H, n, d), not turned, in the order of the text; its
    last entry belongs to the token of q. inv_freq: (d/2,), radians a token. Pairs are
    interleaved: channels 2i and 2i + 1; a token at m turns by +m * inv_freq. window:
    a positive integer w. leak: k above, 1 or more, or math.inf.
    Returns (B, H, n) of the dtype of q, not divided by sqrt(d).
    """
    ### BEGIN SOLUTION
    n = k.shape[2]
    t = torch.arange(n - 1, -1, -1, dtype=torch.float64)
    distance = torch.where(t < window, t, window + (t - window) / leak)
    angle = -distance[:, None] * inv_freq.double()
    cos, sin = angle.cos().to(k.dtype), angle.sin().to(k.dtype)
    a, b = k[..., 0::2], k[..., 1::2]
    turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    return (turned @ q[..., None])[..., 0]
    ### END SOLUTION


# %% test="cached_scores" points=2
quarter = torch.tensor([math.pi / 2], dtype=torch.float64)
ones = torch.tensor([1.0, 0.0]).double().expand(1, 1, 4, 2)
sideways = torch.tensor([[[0.0, 1.0]]]).double()
check.close(
    cached_scores(ones[:, :, 3], ones, quarter, 9),
    torch.tensor([[[0.0, -1.0, 0.0, 1.0]]]).double(),
    "a quarter turn a token, all equal: distances 3, 2, 1, 0 give 0, -1, 0, 1",
    atol=1e-4,
)
check.close(
    cached_scores(sideways, ones, quarter, 9),
    torch.tensor([[[1.0, 0.0, -1.0, 0.0]]]).double(),
    "a query a quarter turn ahead: a key that is 3 back must be turned by -3 quarters",
    atol=1e-4,
)
check.close(
    cached_scores(ones[:, :, 3], ones, quarter, 2),
    torch.tensor([[[-1.0, -1.0, 0.0, 1.0]]]).double(),
    "window 2: distances 2, 2, 1, 0",
    atol=1e-4,
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import length_extrapolation as reference
from lib.positional_encoding import rotary

draw = check.generator("cached_scores")


@check.probe
def arguments_after(q, k, inv_freq):
    cached_scores(q, k, inv_freq, 2, 3.0)
    return q, k, inv_freq


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


# atol 1e-4: angles formed in float32 are not wrong, only less exact.
for (batch, heads, n, d), window in [
    ((2, 3, 11, 8), 4),
    ((1, 1, 9, 6), 1),
    ((3, 2, 1, 4), 2),
    ((1, 2, 40, 2), 13),
]:
    inv_freq = rotary.rope_inv_freq(d, 300.0)
    q, k = normal(batch, heads, n, d), normal(batch, heads, n, d)
    for leak in (math.inf, 5.0, 2.5, 1.0):
        got = cached_scores(q[:, :, -1], k, inv_freq, window, leak)
        words = f"d = {d}, {n} keys, window {window}, leak {leak}"
        want = reference.rerope_scores(q, k, inv_freq, window, leak)[:, :, -1]
        check.close(got, want, words, atol=1e-4)
        check.close(
            cached_scores(q[:, :, -1], k[:, :, n // 2 :], inv_freq, window, leak),
            want[:, :, n // 2 :],
            f"a score must not depend on what stands before its key: {words}",
            atol=1e-4,
        )
    plain = rotary.rope_cos_sin(torch.arange(n), inv_freq)
    turned = rotary.apply_rope(q, *plain) @ rotary.apply_rope(k, *plain).mT
    check.close(
        cached_scores(q[:, :, -1], k, inv_freq, n),
        turned[:, :, -1],
        "a window of the whole text must give plain RoPE",
        atol=1e-4,
    )
    check.close(
        cached_scores(q[:, :, -1], k, inv_freq, window, 1e9),
        cached_scores(q[:, :, -1], k, inv_freq, window),
        "a huge leak must be no leak",
        atol=1e-4,
    )
    check.close(
        cached_scores(q[:, :, -1].float(), k.float(), inv_freq.float(), window, 2.0),
        cached_scores(q[:, :, -1], k, inv_freq, window, 2.0).float(),
        "float32 in must give float32 out",
        rtol=1e-3,
        atol=1e-3,
    )

q, k, inv_freq = normal(1, 2, 6), normal(1, 5, 2, 6).transpose(1, 2), normal(3).exp()
check.close(
    cached_scores(q, k, inv_freq, 3, 2.0),
    cached_scores(q, k.contiguous(), inv_freq, 3, 2.0),
    "a non-contiguous k gives another answer",
)
check.close(
    arguments_after(q.clone(), k.contiguous().clone(), inv_freq.clone()),
    (q, k, inv_freq),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="cached_scores" aspect="gradient" points=1
@check.probe
def gradient(q, k, inv_freq, window, leak, upstream):
    q, k = q.clone().requires_grad_(), k.clone().requires_grad_()
    cached_scores(q, k, inv_freq, window, leak).backward(upstream)
    return q.grad, k.grad


one = torch.ones(1, 1, 2).double()
check.close(
    gradient(one, one[:, :, None], one[0, 0, :1], 3, 2.0, one[..., :1]),
    (one, one[:, :, None]),
    "at distance 0 the score is the product of q and k, and so are its gradients",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import length_extrapolation as reference
from lib.positional_encoding import rotary

draw = check.generator("cached_scores_gradient")
for window, leak in [(3, math.inf), (2, 4.0)]:
    q, k = torch.randn(2, 2, 2, 7, 6, dtype=torch.float64, generator=draw)
    upstream = torch.randn(2, 2, 7, dtype=torch.float64, generator=draw)
    inv_freq = rotary.rope_inv_freq(6, 50.0)
    leaves = q.clone().requires_grad_(), k.clone().requires_grad_()
    scores = reference.rerope_scores(*leaves, inv_freq, window, leak)[:, :, -1]
    want = torch.autograd.grad((scores * upstream).sum(), leaves)
    check.close(
        gradient(q[:, :, -1], k, inv_freq, window, leak, upstream),
        (want[0][:, :, -1], want[1]),
        "the gradients of q and k differ from those of the definition",
        atol=1e-4,
    )
### END HIDDEN TESTS
