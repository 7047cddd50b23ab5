# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Two gradients of one expectation
#
# The chapter returned one estimate for each sample and stayed with independent coordinates. Four steps beyond: the loss that a trainer of language models hands to autograd, the path of a correlated Gaussian, the best baseline and whether one for each coordinate is better, and what a jump costs the scale.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · A loss for autograd
#
# A model writes $n$ texts of $T$ words; its logits over $K$ words at each place are given, and so are the words that were drawn and one value $f_i$ for each finished text. To *minimise* the mean value, trainers hand autograd a number whose gradient in the logits is the score-function estimate
#
# $$\frac1n\sum_{i=1}^n\Big(f_i - \frac1{n-1}\sum_{j\ne i}f_j\Big)\,\nabla\log p(\text{text}_i),\qquad \log p(\text{text}_i) = \sum_{t=1}^T\log p_{it}(\text{word}_{it}).$$
#
# The number itself means nothing; only its gradient is looked at. The values are data: however they were computed, no gradient goes into them.
#
# <details><summary>Hint 1</summary>Which factor of the estimate holds the logits? Everything else is a constant for autograd.</details>
# <details><summary>Hint 2</summary>The log-probability of a text is a sum over its places, and not divided by their number. The mean is over texts.</details>
# <details><summary>Hint 3</summary><code>logits.log_softmax(-1)</code> and <code>gather</code> give the log-probabilities; the sum of all values minus the own one, over n − 1, is the baseline; <code>detach</code> the difference.</details>


# %% solution="reinforce_loss" difficulty=2 minutes=15
def reinforce_loss(logits, words, values):
    """A number whose gradient in the logits estimates that of the mean value.

    logits: (n, T, K), floats, not normalised; n >= 2. words: (n, T), integers below K.
    values: (n,), floats of the same dtype; lower is better.
    Returns a tensor with a single entry, from which gradients reach `logits` only.
    """
    ### BEGIN SOLUTION
    values = values.detach()
    advantages = values - (values.sum() - values) / (len(values) - 1)
    of_words = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return (advantages * of_words.sum(-1)).mean()
    ### END SOLUTION


# %% test="reinforce_loss" points=3
@check.probe
def gradients(logits, words, values):
    logits, values = logits.clone().requires_grad_(), values.clone().requires_grad_()
    reinforce_loss(logits, words, values).backward()
    into_values = torch.zeros_like(values) if values.grad is None else values.grad
    return logits.grad, into_values


flat = torch.zeros(2, 1, 2)
both = torch.tensor([[0], [1]])
check.close(
    gradients(flat, both, torch.tensor([5.0, 5.0]))[0],
    torch.zeros(2, 1, 2),
    "equal values: with the baseline nothing must be left",
)
check.close(
    gradients(flat, both, torch.tensor([3.0, 1.0]))[0],
    torch.tensor([[[0.5, -0.5]], [[0.5, -0.5]]]),
    "two texts of one word, p = 1/2, values 3 and 1: each gives ½ · (±2) · (1 - p, -p)",
)
### BEGIN HIDDEN TESTS
import itertools

draw = check.generator("reinforce_loss")


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


@check.probe
def arguments_after(*given):
    reinforce_loss(*given)
    return given


def by_definition(logits, words, values):
    want = torch.zeros_like(logits)
    n, length, _ = logits.shape
    for i in range(n):
        others = sum(values[j] for j in range(n) if j != i) / (n - 1)
        for t in range(length):
            row = -torch.softmax(logits[i, t], -1)
            row[words[i, t]] += 1
            want[i, t] = (values[i] - others) * row / n
    return want


for n, length, K in [(5, 3, 4), (2, 1, 7), (3, 6, 2), (4, 1, 1)]:
    logits, values = 2 * normal(n, length, K), normal(n)
    words = torch.randint(0, K, (n, length), generator=draw)
    text = f"{n} texts of {length} words, {K} to choose from"
    got, into_values = gradients(logits, words, values)
    check.close(got, by_definition(logits, words, values), f"the gradient, {text}")
    check.close(
        into_values,
        torch.zeros_like(values),
        f"a gradient goes into the values, which are data: detach them, {text}",
    )
    check.close(
        gradients(logits, words, values + 100)[0],
        got,
        f"100 added to every value must change nothing, {text}",
        atol=1e-6,
    )
    check.close(
        gradients(logits + 7, words, values)[0],
        got,
        f"the same number added to all logits must change nothing, {text}",
        atol=1e-6,
    )
    check.close(
        gradients(logits.float(), words, values.float())[0],
        got.float(),
        f"float32, {text}",
        atol=1e-4,
    )

# Every outcome, weighted by its probability: the mean is the gradient, exactly.
for n, length, K in [(2, 1, 3), (2, 2, 2), (3, 1, 2)]:
    shared = normal(length, K)
    cost = normal(*[K] * length)
    texts = list(itertools.product(range(K), repeat=length))
    total, chance = torch.zeros(length, K, dtype=torch.float64), shared.softmax(-1)
    for drawn in itertools.product(texts, repeat=n):
        words = torch.tensor(drawn)
        values = torch.stack([cost[one] for one in drawn])
        weight = chance[torch.arange(length), words].prod()
        one_batch = gradients(shared.expand(n, -1, -1).contiguous(), words, values)[0]
        total += weight * one_batch.sum(0)
    leaf = shared.clone().requires_grad_()
    joint = torch.ones((), dtype=torch.float64)
    for row in leaf.softmax(-1):
        joint = joint[..., None] * row
    (joint * cost).sum().backward()
    check.close(
        total,
        leaf.grad,
        f"the mean over all batches of {n} texts must be the exact gradient: is the "
        "baseline independent of its own sample?",
    )

logits, values = normal(4, 6, 3).transpose(0, 1)[:4], normal(4)
words = torch.randint(0, 3, (4, 4), generator=draw)
check.close(
    gradients(logits, words, values)[0],
    by_definition(logits.contiguous(), words, values),
    "non-contiguous logits give another gradient",
)
logits = logits.contiguous()
check.close(
    arguments_after(logits.clone(), words.clone(), values.clone()),
    (logits, words, values),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The path of a correlated Gaussian
#
# A Gaussian with covariance $\Sigma = LL^\top$, $L$ lower triangular, is $z = \mu + L\varepsilon$ with independent standard normal $\varepsilon$. Estimate both gradients of $\mathbb E[f(z)]$ by the path, from $n$ samples. The entries of $L$ above the diagonal are zeros that nobody may change: they are no parameters, and their gradient is zero.
#
# <details><summary>Hint 1</summary>Let autograd follow the path: which two tensors need a gradient, and which must not?</details>
# <details><summary>Hint 2</summary>Samples are rows, so Lε is <code>noise @ L.T</code>. Average f over the samples before you differentiate.</details>
# <details><summary>Hint 3</summary>By hand it is the mean of f'(z), and the mean of the outer products f'(z) εᵀ, of which the lower triangle counts.</details>


# %% solution="reparam_grad_normal" difficulty=2 minutes=15
def reparam_grad_normal(f, mu, L, n, generator):
    """Pathwise gradients of E[f(z)], z = mu + L @ noise, in mu and in L.

    f: a function that maps samples (n, d) to values (n,), each row by itself;
    differentiable by autograd. mu: (d,). L: (d, d), lower triangular, with a positive
    diagonal. n: the number of samples. generator: torch.Generator, for the noise.
    Returns (gradient in mu, gradient in L), shapes (d,) and (d, d), dtype of mu: means
    over the samples. The second is lower triangular.
    """
    ### BEGIN SOLUTION
    mu, L = mu.detach().clone().requires_grad_(), L.detach().clone().requires_grad_()
    noise = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
    by_mu, by_L = torch.autograd.grad(f(mu + noise @ L.T).mean(), (mu, L))
    return by_mu, by_L.tril()
    ### END SOLUTION


# %% test="reparam_grad_normal" points=3
@check.probe
def first_plus_twice_second(z):
    return z[:, 0] + 2 * z[:, 1]


got = reparam_grad_normal(
    first_plus_twice_second,
    torch.zeros(2),
    torch.eye(2),
    500,
    check.generator("visible"),
)
check.close(
    got[0],
    torch.tensor([1.0, 2.0]),
    "f = z₀ + 2 z₁: the gradient in mu is (1, 2) for every sample, without noise",
)
check.close(
    got[1][0, 1],
    torch.tensor(0.0),
    "above the diagonal L has no parameters, and no gradient",
)
### BEGIN HIDDEN TESTS
draw = check.generator("reparam_grad_normal")


@check.probe
def bowl(z):
    pull = torch.tensor([[2.0, -1.0, 0.5], [-1.0, 1.0, 0.0], [0.5, 0.0, 3.0]])
    return ((z @ pull.to(z)) * z).sum(-1) / 2 - z[:, 1]


@check.probe
def ripple(z):
    return (z @ torch.tensor([0.9, -1.4, 0.6]).to(z)).sin()


@check.probe
def quartic(z):
    return z.pow(4).sum(-1)


@check.probe
def tilted(z):
    return z @ torch.tensor([1.5, -0.5, 2.0]).to(z)


@check.probe
def arguments_after(mu, L, generator):
    def total(z):
        return z.sum(-1)

    reparam_grad_normal(total, mu, L, 5, generator)
    return mu, L


pull = torch.tensor([[2.0, -1.0, 0.5], [-1.0, 1.0, 0.0], [0.5, 0.0, 3.0]]).double()
k = torch.tensor([0.9, -1.4, 0.6]).double()


# Slopes by hand: a probe runs beside the learner's code, and no graph comes back.
def slope_of_bowl(z):
    return z @ pull - torch.eye(3).double()[1]


def slope_of_ripple(z):
    return (z @ k).cos()[:, None] * k


def slope_of_quartic(z):
    return 4 * z**3


def exact_bowl(mu, L):
    return pull @ mu - torch.eye(3).double()[1], pull @ L


def exact_ripple(mu, L):
    fade = (-(L.T @ k).square().sum() / 2).exp()
    return fade * (k @ mu).cos() * k, -fade * (k @ mu).sin() * torch.outer(k, L.T @ k)


def exact_quartic(mu, L):
    spread = L.square().sum(1)
    return 4 * mu**3 + 12 * mu * spread, 12 * (mu**2 + spread)[:, None] * L


n = 20_000
cases = {
    "a quadratic": (bowl, slope_of_bowl, exact_bowl, 3),
    "a sine": (ripple, slope_of_ripple, exact_ripple, 3),
    "fourth powers": (quartic, slope_of_quartic, exact_quartic, 3),
    "fourth powers in one dimension": (quartic, slope_of_quartic, exact_quartic, 1),
}
for words, (f, slope_of, exact, d) in cases.items():
    mu = torch.randn(d, dtype=torch.float64, generator=draw)
    L = torch.randn(d, d, dtype=torch.float64, generator=draw).tril(-1)
    L = 0.6 * L + torch.diag(0.4 + torch.rand(d, dtype=torch.float64, generator=draw))
    noise = torch.randn(n, d, dtype=torch.float64, generator=draw)
    slope = slope_of(mu + noise @ L.T)
    errors = slope.std(0) / n**0.5, (slope[:, :, None] * noise[:, None]).std(0) / n**0.5
    got = reparam_grad_normal(f, mu, L, n, draw)
    want = exact(mu, L)
    # In units of 5 standard errors, so that 1 is what noise may do.
    places = torch.ones(d, d, dtype=torch.float64).tril() == 1
    check.close(
        got[0] / (5 * errors[0] + 1e-9),
        want[0] / (5 * errors[0] + 1e-9),
        f"the gradient in mu, in units of 5 standard errors, {words}",
        rtol=0,
        atol=1.0,
    )
    check.close(
        got[1][places] / (5 * errors[1] + 1e-9)[places],
        want[1][places] / (5 * errors[1] + 1e-9)[places],
        f"the gradient in L, in units of 5 standard errors, {words}: is z = mu + L ε, "
        "and does the gradient reach L?",
        rtol=0,
        atol=1.0,
    )
    check.close(
        got[1][~places],
        torch.zeros(d * (d - 1) // 2, dtype=torch.float64),
        f"above the diagonal the gradient must be zero, {words}",
        atol=0,
    )

mu, L = torch.zeros(3).double(), torch.eye(3).double()
for count in (1, 7, 3000):
    check.close(
        reparam_grad_normal(tilted, mu, L, count, draw)[0],
        torch.tensor([1.5, -0.5, 2.0]).double(),
        "f linear: the gradient in mu must be its slope, for any number of samples: is "
        "it the path, and the mean?",
    )
once, again = (
    reparam_grad_normal(ripple, mu, L, 50, check.generator("same noise"))
    for _ in range(2)
)
check.close(
    once, again, "equal generators must give equal estimates: use the generator"
)
single = reparam_grad_normal(bowl, mu.float(), L.float(), 20, draw)
check.close(
    (single[0].dtype == torch.float32, single[1].dtype == torch.float32),
    (True, True),
    "float32 in must give float32 out",
)
check.close(
    arguments_after(mu.clone(), L.clone(), draw),
    (mu, L),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The best baselines
#
# For a category drawn from $p = \mathrm{softmax}(\ell)$ the score is $s = \mathbf 1_z - p$, and the chapter found the number $b^*$ that makes the *sum* of the variances of all coordinates of $(f - b)\,s$ least. Nothing forces all coordinates to share one baseline. Find both: the best common number, and for each coordinate $j$ the number $b_j$ that makes the variance of $(f - b_j)\,s_j$ least. Exactly, not by sampling.
#
# <details><summary>Hint 1</summary>The mean of each coordinate does not depend on its baseline. So least variance is least second moment, a parabola in b.</details>
# <details><summary>Hint 2</summary>Make the table of all scores: row z is 1_z − p, column j a coordinate. One coordinate's baseline is E[f s_j²] / E[s_j²].</details>
# <details><summary>Hint 3</summary><code>weights = p[:, None] * (torch.eye(K) - p) ** 2</code>. Sum values times weights over rows and divide by the sum of weights over rows; for the common one sum over columns too, above and below.</details>


# %% solution="best_baselines" difficulty=2 minutes=15
def best_baselines(logits, values):
    """The baselines of least variance for a categorical score function.

    logits: (K,), K >= 2, not normalised. values: (K,), f of each category.
    Returns (common, each): tensors of shape () and (K,), dtype of the logits.
    """
    ### BEGIN SOLUTION
    p = logits.softmax(-1)
    scores = torch.eye(len(p), dtype=p.dtype) - p
    weights = p[:, None] * scores.square()
    weighted = values[:, None] * weights
    return weighted.sum() / weights.sum(), weighted.sum(0) / weights.sum(0)
    ### END SOLUTION


# %% test="best_baselines" points=2
even = torch.zeros(4, dtype=torch.float64)
check.close(
    best_baselines(even, torch.tensor([1.0, 2.0, 3.0, 6.0]).double())[0],
    torch.tensor(3.0).double(),
    "equal probabilities: all scores are equally long, so the best is the mean",
)
coin = torch.tensor([3.0, 1.0]).double().log()
check.close(
    best_baselines(coin, torch.tensor([8.0, 4.0]).double()),
    (torch.tensor(5.0).double(), torch.tensor([5.0, 5.0]).double()),
    "a coin with p = ¾, ¼ and values 8, 4: the chapter's 8 · ¼ + 4 · ¾, three times",
)
### BEGIN HIDDEN TESTS
draw = check.generator("best_baselines")


@check.probe
def arguments_after(*given):
    best_baselines(*given)
    return given


def variances(logits, values, baseline):
    """Of every coordinate, by enumeration."""
    p = torch.softmax(logits, -1)
    first, second = torch.zeros_like(p), torch.zeros_like(p)
    for z in range(len(p)):
        s = -p.clone()
        s[z] += 1
        estimate = (values[z] - baseline) * s
        first = first + p[z] * estimate
        second = second + p[z] * estimate**2
    return second - first**2


for K in (2, 3, 5, 8):
    logits = 1.5 * torch.randn(K, dtype=torch.float64, generator=draw)
    values = torch.randn(K, dtype=torch.float64, generator=draw) + 1
    common, each = best_baselines(logits, values)
    # A parabola is known from three of its values, so is its lowest point.
    left, middle, right = (variances(logits, values, b) for b in (-1.0, 0.0, 1.0))

    def lowest(left, middle, right):
        return (left - right) / (2 * (left - 2 * middle + right))

    text = f"{K} categories"
    check.close(
        each,
        lowest(left, middle, right),
        f"the lowest point of every coordinate's variance, {text}",
        rtol=1e-6,
        atol=1e-6,
    )
    check.close(
        common,
        lowest(left.sum(), middle.sum(), right.sum()),
        f"the lowest point of the sum of all variances, {text}",
        rtol=1e-6,
        atol=1e-6,
    )
    check.close(
        best_baselines(logits - 4, 3 * values + 10),
        (3 * common + 10, 3 * each + 10),
        f"values times 3 plus 10 must give baselines times 3 plus 10, {text}",
        rtol=1e-6,
    )
    order = torch.randperm(K, generator=draw)
    check.close(
        best_baselines(logits[order], values[order]),
        (common, each[order]),
        f"categories in another order, {text}",
    )
    check.close(
        best_baselines(logits.float(), values.float()),
        (common.float(), each.float()),
        f"float32, {text}",
        rtol=1e-3,
        atol=1e-4,
    )
    check.close(
        arguments_after(logits.clone(), values.clone()),
        (logits, values),
        "an argument was changed in place",
    )
strided = torch.randn(6, 2, dtype=torch.float64, generator=draw).T
check.close(
    best_baselines(strided[0], strided[1]),
    best_baselines(strided[0].contiguous(), strided[1].contiguous()),
    "non-contiguous arguments give another answer",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · What the path forgets at a jump
#
# Under $z\sim\mathcal N(\mu,\sigma^2)$ let $f$ be smooth but for jumps: at $a_k$ it rises by $h_k$ (falls, where $h_k<0$). The pathwise gradient misses a term for each jump. The chapter found the one in $\mu$; find the one in $\sigma$ as well, so that
#
# $$\partial_\mu L = \mathbb E[f'(z)] + A,\qquad \partial_\sigma L = \mathbb E[f'(z)\,\varepsilon] + B.$$
#
# <details><summary>Hint 1</summary>A and B do not depend on the smooth part of f. So take f to be nothing but steps: then the expectations on the right are zero, and L is known.</details>
# <details><summary>Hint 2</summary>A step of height h at a has L = h Φ((μ − a)/σ). Differentiate that.</details>
# <details><summary>Hint 3</summary>∂σ of (μ − a)/σ is −(μ − a)/σ². With u = (a − μ)/σ and φ the standard normal density: A = Σ h φ(u)/σ, B = Σ h u φ(u)/σ.</details>


# %% solution="jump_terms" difficulty=3 minutes=15
def jump_terms(places, heights, mu, sigma):
    """What the pathwise gradients of E[f] miss when f jumps.

    places, heights: (K,), where f jumps and by how much, right limit minus left limit.
    mu, sigma: (B,), the Gaussians to be treated; sigma is positive, not its logarithm.
    Returns (A, B): tensors of shape (B,), dtype of mu, the terms for mu and for sigma.
    """
    ### BEGIN SOLUTION
    u = (places - mu[:, None]) / sigma[:, None]
    density = (-u.square() / 2).exp() / (2 * torch.pi) ** 0.5 / sigma[:, None]
    return (heights * density).sum(-1), (heights * u * density).sum(-1)
    ### END SOLUTION


# %% test="jump_terms" points=2
one = torch.ones(1, dtype=torch.float64)
check.close(
    jump_terms(0 * one, one, 0 * one, one),
    (0.3989423 * one, 0 * one),
    "a step at the mean: 1/√(2π) for mu; for sigma nothing, by symmetry",
    atol=1e-6,
)
check.close(
    jump_terms(2 * one, one, 0 * one, 2 * one),
    (0.1209854 * one, 0.1209854 * one),
    "a step one standard deviation up, sigma = 2: a wider bell reaches it more often",
    atol=1e-6,
)
### BEGIN HIDDEN TESTS
draw = check.generator("jump_terms")


@check.probe
def arguments_after(*given):
    jump_terms(*given)
    return given


for count, batch in [(1, 3), (4, 1), (3, 5), (6, 6)]:
    places, heights = 2 * torch.randn(2, count, dtype=torch.float64, generator=draw)
    mu = torch.randn(batch, dtype=torch.float64, generator=draw)
    sigma = 0.3 + 2 * torch.rand(batch, dtype=torch.float64, generator=draw)
    leaves = mu.clone().requires_grad_(), sigma.clone().requires_grad_()
    given = places, heights, mu, sigma
    L = heights * torch.special.ndtr((leaves[0][:, None] - places) / leaves[1][:, None])
    want = torch.autograd.grad(L.sum(), leaves)
    text = f"{count} jumps, {batch} Gaussians"
    check.close(
        jump_terms(*given),
        want,
        f"nothing but steps: the terms must be the whole gradient, {text}",
        atol=1e-6,
    )
    check.close(
        jump_terms(places + 3, -heights, mu + 3, sigma),
        (-want[0], -want[1]),
        f"moved along and turned over: the terms must change their sign, {text}",
        atol=1e-6,
    )
    check.close(
        jump_terms(places.float(), heights.float(), mu.float(), sigma.float()),
        (want[0].float(), want[1].float()),
        f"float32, {text}",
        atol=1e-4,
    )
    check.close(
        arguments_after(*(one.clone() for one in given)),
        given,
        "an argument was changed in place",
    )

# z - floor(z): slope 1, a fall of 1 at every whole number.
mu, sigma = torch.tensor([0.3, -1.2]).double(), torch.tensor([0.25, 0.6]).double()
whole = torch.arange(-12, 13).double()
waves = torch.arange(1, 60).double()[:, None]
leaves = mu.clone().requires_grad_(), sigma.clone().requires_grad_()
damped = (-2 * (torch.pi * waves * leaves[1]) ** 2).exp()
sawtooth = (
    0.5 - (damped * (2 * torch.pi * waves * leaves[0]).sin() / waves).sum(0) / torch.pi
)
want = torch.autograd.grad(sawtooth.sum(), leaves)
got = jump_terms(whole, -torch.ones_like(whole), mu, sigma)
check.close(
    (1 + got[0], got[1]),
    want,
    "z - floor(z): with the slope's own 1 and 0 added, both gradients must be those of "
    "its Fourier series",
    atol=1e-6,
)
far = jump_terms(torch.tensor([50.0]).double(), torch.ones(1).double(), mu, sigma)
check.close(
    far,
    (torch.zeros(2).double(), torch.zeros(2).double()),
    "a jump that no sample reaches must cost nothing",
    atol=1e-9,
)
### END HIDDEN TESTS
