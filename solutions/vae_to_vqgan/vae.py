# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # The variational autoencoder
#
# The chapter used the standard normal as prior, a Bernoulli decoder, one linear model trained by gradient. Four tasks go one step beyond each: any diagonal prior, a Gaussian decoder that finds its own noise, a bound from many samples with its weights, and the optimum of a linear model in closed form.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Any two diagonal Gaussians
#
# A hierarchical VAE has a prior that depends on the level above, and a model of sequences one that depends on the past. Their KL terms are between two Gaussians, $q = \mathcal N(\mu_q, \operatorname{diag}\sigma_q^2)$ and $p = \mathcal N(\mu_p, \operatorname{diag}\sigma_p^2)$:
#
# $$\mathrm{KL}(q\,\|\,p) = \mathbb E_q[\log q(z) - \log p(z)].$$
#
# Derive it for one dimension, and write it for vectors, in terms of $\log\sigma^2$. A network's output may be extreme: with both log-variances at 100 a variance overflows float32, and the KL is still a small number.
#
# <details><summary>Hint 1</summary>log q(z) of a Gaussian is −½ (log 2π + logvar + (z − μ)²/σ²). Under q, the mean of (z − μ_q)² is σ_q². What is the mean of (z − μ_p)²?</details>
# <details><summary>Hint 2</summary>It is σ_q² + (μ_q − μ_p)². Collect: ½ (logvar_p − logvar_q + (σ_q² + (μ_q − μ_p)²)/σ_p² − 1).</details>
# <details><summary>Hint 3</summary>A quotient of exponentials is the exponential of a difference: subtract first.</details>


# %% solution="kl_between" difficulty=2 minutes=15
def kl_between(mu_q, logvar_q, mu_p, logvar_p):
    """KL(q || p) of two Gaussians with diagonal covariances, in nats.

    All four: (..., k), of one floating dtype; logvar is log sigma**2. Returns (...),
    summed over the k dimensions and over nothing else. Finite wherever the answer
    is, as with both logvars at 100 in float32.
    """
    ### BEGIN SOLUTION
    ratio = (logvar_q - logvar_p).exp()
    shift = (mu_q - mu_p) ** 2 * (-logvar_p).exp()
    return 0.5 * (ratio + shift - 1 + logvar_p - logvar_q).sum(-1)
    ### END SOLUTION


# %% test="kl_between" points=2
zero = torch.zeros(1, 2)
check.close(
    kl_between(zero, zero, zero, zero),
    torch.zeros(1),
    "equal distributions must have a KL of 0, one number per row",
)
check.close(
    kl_between(torch.tensor([3.0]), zero[0, :1], zero[0, :1], zero[0, :1]),
    torch.tensor(4.5),
    "means 3 apart with variances 1: KL must be 3²/2 = 4.5",
)
check.close(
    kl_between(zero[0, :1], torch.tensor([math.log(4.0)]), zero[0, :1], zero[0, :1]),
    torch.tensor(1.5 - math.log(2)),
    "σ_q = 2, σ_p = 1: ½(4 − 1 − log 4). Is logvar log σ², and which is q?",
)
### BEGIN HIDDEN TESTS
from torch.distributions import Normal, kl_divergence

draw = check.generator("kl_between")


@check.probe
def arguments_after(a, b, c, d):
    kl_between(a, b, c, d)
    return a, b, c, d


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def want(a, b, c, d):
    return kl_divergence(Normal(a, (b / 2).exp()), Normal(c, (d / 2).exp())).sum(-1)


for shape in [(7,), (1, 1), (3, 5), (2, 4, 3)]:
    four = [normal(*shape) for _ in range(4)]
    words = f"random arguments of shape {shape}"
    check.close(kl_between(*four), want(*four), words)
    check.close(
        kl_between(*(x.float() for x in four)),
        want(*four).float(),
        f"float32, {words}",
        rtol=1e-4,
        atol=1e-5,
    )
    moved = [four[0] + 2.5, four[1], four[2] + 2.5, four[3]]
    check.close(
        kl_between(*moved), want(*four), "moving both means must change nothing"
    )
    scaled = [
        3 * four[0],
        four[1] + 2 * math.log(3),
        3 * four[2],
        four[3] + 2 * math.log(3),
    ]
    check.close(
        kl_between(*scaled), want(*four), "another unit of length must change nothing"
    )

a, b, c, d = (normal(6, 4) for _ in range(4))
apart = sum(kl_between(*(x[:, i : i + 1] for x in (a, b, c, d))) for i in range(4))
check.close(kl_between(a, b, c, d), apart, "dimensions must add up")
check.close(
    kl_between(a, b, a, b),
    torch.zeros(6).double(),
    "a distribution from itself must be 0",
)
for level in (-20.0, 20.0):
    extreme = torch.full((3, 2), level, dtype=torch.float64)
    check.close(
        kl_between(a[:3, :2], extreme, c[:3, :2], d[:3, :2]),
        want(a[:3, :2], extreme, c[:3, :2], d[:3, :2]),
        f"logvar_q = {level}",
    )
high = torch.full((3, 4), 100.0)
check.close(
    kl_between(a[:3].float(), high + 1, c[:3].float(), high),
    torch.full((3,), 4 * 0.5 * (math.e - 2)),
    "both variances beyond float32: subtract logarithms before exponentiating",
    rtol=1e-3,
    atol=1e-3,
)
strided = normal(4, 6).T
check.close(
    kl_between(strided, b, c, d),
    want(strided, b, c, d),
    "a non-contiguous mean gives another answer",
)
check.close(
    arguments_after(*(x.clone() for x in (a, b, c, d))),
    (a, b, c, d),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="kl_between" aspect="gradient" points=1
@check.probe
def gradients(a, b, c, d, upstream):
    leaves = [x.clone().requires_grad_() for x in (a, b, c, d)]
    kl_between(*leaves).backward(upstream)
    return [x.grad for x in leaves]


one = torch.ones(1, 1)
check.close(
    gradients(one, 0 * one, 0 * one, 0 * one, one[0])[0],
    one,
    "the gradient to μ_q must be (μ_q − μ_p)/σ_p²",
)
### BEGIN HIDDEN TESTS
draw = check.generator("kl_between_gradient")
a, b, c, d = torch.randn(4, 5, 3, dtype=torch.float64, generator=draw)
upstream = torch.randn(5, dtype=torch.float64, generator=draw)
by = upstream[:, None]
pull = (a - c) / d.exp()
ratio = (b - d).exp()
check.close(
    gradients(a, b, c, d, upstream),
    [
        by * pull,
        by * (ratio - 1) / 2,
        -by * pull,
        by * (1 - ratio - (a - c) * pull) / 2,
    ],
    "all four arguments must receive their gradients",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A decoder that finds its own noise
#
# With a Gaussian decoder $\mathcal N(\hat x, \sigma^2 I)$ of one σ² for all pixels and images of a batch,
#
# $$-\log p(x\,|\,z) = \frac{\|x-\hat x\|^2}{2\sigma^2} + \frac D2\log(2\pi\sigma^2).$$
#
# The σ² that minimises its mean over the batch is known without any search. Use it, and return the loss in nats per image: nothing is left to weigh.
#
# <details><summary>Hint 1</summary>Set the derivative with respect to σ² to zero. Over what does the mean squared error run that comes out?</details>
# <details><summary>Hint 2</summary>σ² is the mean over images <em>and</em> pixels. D is the number of pixels of one image: <code>x[0].numel()</code>.</details>
# <details><summary>Hint 3</summary>With the best σ² in place, the quadratic term is D/2 and carries no number any more. The gradient comes through log σ²: do not detach it there.</details>


# %% solution="calibrated_loss" difficulty=3 minutes=20
def calibrated_loss(x, x_hat, mu, logvar, beta=1.0):
    """Negative ELBO of a Gaussian decoder with the best common variance.

    x, x_hat: (B, ...), images of any number of axes. mu, logvar: (B, k) of the
    encoder, against the prior N(0, I). All in nats per image, means over the batch.
    Returns a dict of tensors without axes:
    "sigma2", the best variance for this batch;
    "rec", the mean of -log p(x | z) with it, the 2 pi included;
    "kl", the mean of KL(q || N(0, I)); "loss" = rec + beta * kl.
    Gradients of the loss reach x_hat, mu and logvar.
    """
    ### BEGIN SOLUTION
    d = x[0].numel()
    sigma2 = ((x - x_hat) ** 2).mean()
    rec = 0.5 * d * (torch.log(2 * math.pi * sigma2) + 1)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    return {"sigma2": sigma2, "rec": rec, "kl": kl, "loss": rec + beta * kl}
    ### END SOLUTION


# %% test="calibrated_loss" points=2
x = torch.zeros(2, 1, 2, 2)
x_hat = torch.tensor([[1.0, 1, 1, 1], [3.0, 3, 3, 3]]).view(2, 1, 2, 2)
out = calibrated_loss(x, x_hat, torch.ones(2, 3), torch.zeros(2, 3), beta=2.0)
check.close(
    out["sigma2"],
    torch.tensor(5.0),
    "errors 1 and 3: one variance for all, (1 + 9)/2 = 5",
)
check.close(
    out["kl"],
    torch.tensor(1.5),
    "three dimensions with μ = 1: sum over dimensions, mean over the batch",
)
check.close(
    out["rec"],
    torch.tensor(2 * (math.log(10 * math.pi) + 1)),
    "4 pixels with σ² = 5: nats per image are 4/2 · (log 2πσ² + 1)",
)
check.close(out["loss"], out["rec"] + 2 * out["kl"], "beta weighs the KL")
### BEGIN HIDDEN TESTS
from torch.distributions import Normal

draw = check.generator("calibrated_loss")


@check.probe
def arguments_after(x, x_hat, mu, logvar):
    calibrated_loss(x, x_hat, mu, logvar)
    return x, x_hat, mu, logvar


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


for shape, k, beta in [((3, 1, 4, 5), 2, 1.0), ((1, 6), 4, 0.3), ((7, 2, 3), 5, 4.0)]:
    x, x_hat = normal(*shape), normal(*shape)
    mu, logvar = normal(shape[0], k), normal(shape[0], k)
    got = calibrated_loss(x, x_hat, mu, logvar, beta)
    words = f"images {shape[1:]}, batch {shape[0]}"
    variance = (x - x_hat).square().mean()
    density = Normal(x_hat, variance.sqrt()).log_prob(x).flatten(1).sum(1)
    kl = torch.distributions.kl_divergence(
        Normal(mu, (logvar / 2).exp()), Normal(torch.zeros(k).double(), 1.0)
    )
    rec, kl = -density.mean(), kl.sum(1).mean()
    want = {"sigma2": variance, "rec": rec, "kl": kl, "loss": rec + beta * kl}
    check.close(got, want, words)
    for factor in (0.9, 1.1):
        other = Normal(x_hat, (factor * variance).sqrt()).log_prob(x).flatten(1).sum(1)
        check.close(
            (got["rec"] < -other.mean()).double(),
            torch.tensor(1.0).double(),
            f"a variance {factor} times as large must not be better: {words}",
        )
    double = calibrated_loss(10 * x, 10 * x_hat, mu, logvar, beta)
    check.close(
        double["loss"],
        want["loss"] + x[0].numel() * math.log(10),
        f"pixels in another unit must add D log 10, and nothing else: {words}",
    )
    twice = [torch.cat((y, y)) for y in (x, x_hat, mu, logvar)]
    check.close(
        calibrated_loss(*twice, beta),
        want,
        f"the same batch twice must give the same numbers: {words}",
    )
    check.close(
        calibrated_loss(x, x_hat, mu, logvar, 0.0)["loss"],
        rec,
        f"beta = 0 must leave the reconstruction: {words}",
    )

x, x_hat = normal(4, 3, 2).transpose(0, 1), normal(3, 4, 2)
mu, logvar = normal(3, 2), normal(3, 2)
check.close(
    calibrated_loss(x, x_hat, mu, logvar),
    calibrated_loss(x.contiguous(), x_hat, mu, logvar),
    "a non-contiguous x gives another answer",
)
single = calibrated_loss(*(y.float() for y in (x, x_hat, mu, logvar)))
check.close(
    single,
    {name: y.float() for name, y in calibrated_loss(x, x_hat, mu, logvar).items()},
    "float32 in must give float32 out",
    rtol=1e-4,
    atol=1e-4,
)
check.close(
    arguments_after(x.clone(), x_hat.clone(), mu.clone(), logvar.clone()),
    (x, x_hat, mu, logvar),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="calibrated_loss" aspect="gradient" points=1
@check.probe
def gradients(x, x_hat, mu, logvar, beta):
    leaves = [y.clone().requires_grad_() for y in (x_hat, mu, logvar)]
    calibrated_loss(x, *leaves, beta)["loss"].backward()
    return [y.grad for y in leaves]


x, x_hat = torch.zeros(1, 2), torch.tensor([[1.0, -1.0]])
check.close(
    gradients(x, x_hat, torch.zeros(1, 1), torch.zeros(1, 1), 1.0)[0],
    x_hat,
    "with σ² = 1 the gradient to x_hat is the error itself: nothing detached",
)
### BEGIN HIDDEN TESTS
draw = check.generator("calibrated_loss_gradient")
for batch, pixels, k, beta in [(5, 7, 3, 1.0), (2, 4, 6, 0.2)]:
    x, x_hat = torch.randn(2, batch, pixels, dtype=torch.float64, generator=draw)
    mu, logvar = torch.randn(2, batch, k, dtype=torch.float64, generator=draw)
    error = x_hat - x
    check.close(
        gradients(x, x_hat, mu, logvar, beta),
        [
            error / error.square().mean() / batch,
            beta * mu / batch,
            beta * (logvar.exp() - 1) / 2 / batch,
        ],
        "gradient: the error over σ², and the KL's, divided by the batch",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Many samples, one bound
#
# For K samples $z_k = \mu + \sigma\,\varepsilon_k$ of a diagonal Gaussian $q$, with weights $w_k = p(x, z_k)/q(z_k)$, the bound of Burda, Grosse and Salakhutdinov is
#
# $$\hat{\mathcal L}_K = \log\frac1K\sum_k w_k .$$
#
# Its gradient is an average of the gradients of $\log w_k$ with the weights $\tilde w_k = w_k/\sum_j w_j$, and $1/\sum_k\tilde w_k^2$ says how many of the K samples count. Give the bound and the normalised weights; the noise comes from outside, the model as a function. Weights may be as small as $e^{-10\,000}$.
#
# <details><summary>Hint 1</summary>Stay in logarithms: log w = log p(x, z) − log q(z). Only at the end the K samples are put together.</details>
# <details><summary>Hint 2</summary>log q(z) with z = μ + σε is −½ Σ (log 2π + logvar + ε²), all its constants included: the joint density has them too.</details>
# <details><summary>Hint 3</summary><code>torch.logsumexp</code> over the axis of the samples, minus log K; <code>softmax</code> over the same axis.</details>


# %% solution="many_sample_bound" difficulty=3 minutes=20
def many_sample_bound(mu, logvar, noise, log_joint):
    """The importance weighted bound of every example, and its normalised weights.

    mu, logvar: (B, k), of q. noise: (K, B, k), standard normal numbers.
    log_joint: a function; for z of shape (K, B, k) it gives log p(x, z), (K, B).
    Returns (bound, weights): (B,) in nats, and (K, B), which sums to 1 over K.
    """
    ### BEGIN SOLUTION
    z = mu + (0.5 * logvar).exp() * noise
    log_q = -0.5 * (math.log(2 * math.pi) + logvar + noise**2).sum(-1)
    log_w = log_joint(z) - log_q
    return log_w.logsumexp(0) - math.log(len(noise)), log_w.softmax(0)
    ### END SOLUTION


# %% test="many_sample_bound" points=2
def standard(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)


noise = torch.tensor([0.3, -1.2, 0.7]).view(3, 1, 1)
zero = torch.zeros(1, 1)
bound, weights = many_sample_bound(zero, zero, noise, standard)
check.close(
    bound,
    torch.zeros(1),
    "q is the posterior, so the bound is log p(x) = 0: are all constants in log q, "
    "and is log K subtracted?",
)
check.close(
    weights,
    torch.full((3, 1), 1 / 3),
    "if q is the posterior all samples count alike",
)
### BEGIN HIDDEN TESTS
from torch.distributions import MultivariateNormal, Normal

draw = check.generator("many_sample_bound")


@check.probe
def arguments_after(mu, logvar, noise):
    def joint(z):
        return -(z**2).sum(-1)

    many_sample_bound(mu, logvar, noise, joint)
    return mu, logvar, noise


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


# A linear-Gaussian model with orthogonal columns: its posterior is diagonal.
d, k, batch, samples = 5, 3, 4, 6
w = torch.linalg.qr(normal(d, k)).Q * torch.tensor([2.0, 0.5, 1.0]).double()
sigma2, x = 0.7, normal(batch, d)


def joint(z):
    given = Normal(z @ w.T, sigma2**0.5).log_prob(x).sum(-1)
    return given + Normal(0.0, 1.0).log_prob(z).sum(-1)


precision = w.square().sum(0) / sigma2 + 1
mu, logvar = x @ w / sigma2 / precision, -precision.log().expand(batch, k)
evidence = MultivariateNormal(
    torch.zeros(d).double(), w @ w.T + sigma2 * torch.eye(d).double()
).log_prob(x)
for n in (1, samples):
    bound, weights = many_sample_bound(mu, logvar, normal(n, batch, k), joint)
    check.close(
        bound,
        evidence,
        f"with the exact posterior {n} sample(s) must give log p(x), without variance",
    )
    check.close(
        weights,
        torch.full((n, batch), 1 / n).double(),
        "with the exact posterior all weights must be equal",
    )

off, wide = mu + 0.4 * normal(batch, k), logvar + 0.5 * normal(batch, k)
noise = normal(samples, batch, k)
bound, weights = many_sample_bound(off, wide, noise, joint)
z = off + (wide / 2).exp() * noise
log_w = joint(z) - Normal(off, (wide / 2).exp()).log_prob(z).sum(-1)
check.close(
    (bound, weights),
    (log_w.exp().mean(0).log(), log_w.exp() / log_w.exp().sum(0)),
    "random q: the logarithm of the mean weight, and each weight's share",
)
less = [
    many_sample_bound(off, wide, torch.cat((noise[:i], noise[i + 1 :])), joint)[0]
    for i in range(samples)
]
rise = bound - torch.stack(less).mean(0)
check.close(
    (rise >= 0).double(),
    torch.ones(batch).double(),
    "leaving one sample out must lower the bound on average",
)
alone = torch.stack(
    [many_sample_bound(off, wide, noise[i : i + 1], joint)[0] for i in range(samples)]
)
check.close(alone, log_w, "with one sample the bound must be log w itself")

for level in (1e4, -1e4):

    def lifted(z, level=level):
        return joint(z) + level

    shifted, same = many_sample_bound(off, wide, noise, lifted)
    check.close(
        (shifted, same),
        (bound + level, weights),
        f"log-weights near {level:g}: stay in logarithms",
    )
strided = normal(batch, samples, k).transpose(0, 1)
check.close(
    many_sample_bound(off, wide, strided, joint),
    many_sample_bound(off, wide, strided.contiguous(), joint),
    "a non-contiguous noise gives another answer",
)
check.close(
    arguments_after(mu.clone(), wide.clone(), noise.clone()),
    (mu, wide, noise),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="many_sample_bound" aspect="gradient" points=1
@check.probe
def gradients(mu, logvar, noise, centre, scale):
    """Of the summed bound, for a joint density that is Gaussian in z."""
    leaves = mu.clone().requires_grad_(), logvar.clone().requires_grad_()

    def joint(z):
        return -0.5 * (scale * (z - centre) ** 2).sum(-1)

    bound, _ = many_sample_bound(*leaves, noise, joint)
    bound.sum().backward()
    return leaves[0].grad, leaves[1].grad


one = torch.ones(1, 1)
check.close(
    gradients(0 * one, 0 * one, 2 * one[None], one, one),
    (-one, -0.5 * one),
    "z = μ + σε carries the gradient: here −1 for μ, ½ − 1 for logvar",
)
### BEGIN HIDDEN TESTS
draw = check.generator("many_sample_bound_gradient")
mu, logvar, centre = torch.randn(3, 4, 3, dtype=torch.float64, generator=draw)
scale = torch.rand(3, dtype=torch.float64, generator=draw) + 0.5
noise = torch.randn(5, 4, 3, dtype=torch.float64, generator=draw)
step = (logvar / 2).exp() * noise
pull = -scale * (mu + step - centre)
log_w = -0.5 * (scale * (mu + step - centre) ** 2).sum(-1)
log_w = log_w + 0.5 * (logvar + noise**2).sum(-1)
share = log_w.softmax(0)[..., None]
check.close(
    gradients(mu, logvar, noise, centre, scale),
    ((share * pull).sum(0), (share * (pull * step / 2 + 0.5)).sum(0)),
    "the gradient must be the weighted mean of the gradients of log w",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The linear VAE without training
#
# Decoder $\mathcal N(m + Wz, \sigma^2 I)$, prior $\mathcal N(0, I)$, encoder $\mathcal N\big(A(x - m), \operatorname{diag}(v)\big)$. Give the parameters that maximise the mean over the rows of X of
#
# $$\mathbb E_q[\log p(x\,|\,z)] - \beta\,\mathrm{KL}(q\,\|\,p).$$
#
# A given σ² stays as it is; without one, β is 1 and σ² is the likeliest. The chapter solved one direction of the data, with the variance $\lambda$: the signal that the decoder keeps is $w^2 = \lambda - \beta\sigma^2$, and nothing where that is negative.
#
# <details><summary>Hint 1</summary>Rotate the data into the eigenvectors of their covariance (divided by n). There every direction is the chapter's one-dimensional problem; the k best directions get a latent dimension each.</details>
# <details><summary>Hint 2</summary>Column j of W is u_j √(λ_j − βσ²). For the encoder, maximise over a and v with w given: v = βσ²/(w² + βσ²), a = w/(w² + βσ²) along u_j. The likeliest σ² is the mean of the eigenvalues that got no dimension.</details>
# <details><summary>Hint 3</summary><code>torch.linalg.eigh</code> sorts upwards. A clamp at 0 makes the dead directions come out right by themselves: w = 0, a = 0, v = 1.</details>


# %% solution="linear_vae" difficulty=4 minutes=30
def linear_vae(X, k, beta=1.0, sigma2=None):
    """The optimum of a linear VAE with a diagonal posterior.

    X: (n, d), n > d, k < d. sigma2: the decoder's variance, a float; None (only with
    beta = 1) for the likeliest one. Returns a dict: "m" (d,), "W" (d, k), "A" (k, d),
    "v" (k,), the posterior variances, and "sigma2", a tensor without axes.
    Order and signs of the k dimensions are free.
    """
    ### BEGIN SOLUTION
    m = X.mean(0)
    values, vectors = torch.linalg.eigh((X - m).T @ (X - m) / len(X))
    values, vectors = values.flip(0), vectors.flip(1)
    if sigma2 is None:
        sigma2 = values[k:].mean()
    sigma2 = torch.as_tensor(sigma2, dtype=X.dtype)
    noise = beta * sigma2
    w2 = (values[:k] - noise).clamp(min=0)
    W = vectors[:, :k] * w2.sqrt()
    A = (W / (w2 + noise)).T
    return {"m": m, "W": W, "A": A, "v": noise / (w2 + noise), "sigma2": sigma2}
    ### END SOLUTION


# %% test="linear_vae" points=3
X = torch.tensor([[3.0, 0, 1], [-3.0, 0, 1], [0, 1, 1], [0, -1, 1]]).double()
out = linear_vae(X, 1)
check.close(out["m"], torch.tensor([0.0, 0, 1]).double(), "m is the mean of the rows")
check.close(
    out["sigma2"],
    torch.tensor(0.25).double(),
    "variances 4.5, 0.5 and 0: the likeliest σ² is the mean of the two that are left",
)
check.close(
    out["W"].abs(),
    torch.tensor([[4.25**0.5], [0], [0]]).double(),
    "W keeps the first direction with w² = λ − σ² = 4.5 − 0.25",
)
dead = linear_vae(X, 2, beta=1.0, sigma2=0.7)
check.close(
    dead["v"].sort().values,
    torch.tensor([0.7 / 4.5, 1.0]).double(),
    "with σ² = 0.7 the second direction (λ = 0.5) is not worth its KL: v = 1",
)
### BEGIN HIDDEN TESTS
from sklearn.decomposition import PCA

draw = check.generator("linear_vae")


@check.probe
def arguments_after(X):
    linear_vae(X, 2)
    return X


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def objective(X, beta, m, W, A, v, sigma2):
    """Mean over the rows, exactly."""
    d, x = X.shape[1], X - m
    mu = x @ A.T
    error = (x - mu @ W.T).square().sum(1) + (W.square() * v).sum()
    rec = -0.5 * (error / sigma2 + d * torch.log(2 * math.pi * sigma2))
    kl = 0.5 * (mu.square() + v - v.log() - 1).sum(1)
    return (rec - beta * kl).mean()


def data(n, d):
    """Correlated columns whose variances span two decades."""
    scale = torch.logspace(0.5, -0.5, d, dtype=torch.float64)
    return (normal(n, d) * scale) @ torch.linalg.qr(normal(d, d)).Q + normal(d)


for n, d, k in [(200, 7, 3), (60, 4, 1), (90, 6, 5)]:
    X = data(n, d)
    words = f"{n} rows, d = {d}, k = {k}"
    out = linear_vae(X, k)
    values, vectors = torch.linalg.eigh(X.T.cov(correction=0))
    check.close(
        {name: tuple(part.shape) for name, part in out.items()},
        {"m": (d,), "W": (d, k), "A": (k, d), "v": (k,), "sigma2": ()},
        f"shapes, {words}",
    )
    check.close(
        out["sigma2"], values[: d - k].mean(), f"σ², {words}", rtol=1e-3, atol=1e-4
    )
    score = torch.tensor(PCA(k).fit(X.numpy()).score(X.numpy())).double()
    # scikit-learn divides by n - 1, hence the tolerance
    check.close(
        objective(X, 1.0, **out),
        score,
        f"the ELBO must reach log p of probabilistic PCA: a rotated W has no diagonal posterior: {words}",
        rtol=0,
        atol=0.01,
    )
    within = torch.linalg.svdvals(torch.linalg.qr(out["W"]).Q.T @ vectors[:, d - k :])
    check.close(
        within,
        torch.ones(k).double(),
        f"the columns of W must span the k first principal directions, {words}",
        atol=1e-3,
    )

for n, d, k, beta, noise in [
    (300, 6, 4, 1.0, 0.4),
    (80, 5, 4, 2.5, 0.3),
    (100, 4, 2, 0.2, 1.5),
]:
    X = data(n, d)
    words = f"d = {d}, k = {k}, β = {beta}, σ² = {noise}"
    out = linear_vae(X, k, beta, noise)
    values = torch.linalg.eigvalsh(X.T.cov(correction=0)).flip(0)[:k]
    kept = (values - beta * noise).clamp(min=0)
    check.close(
        out["W"].square().sum(0).sort(descending=True).values,
        kept,
        f"squared lengths of W's columns: λ − βσ², or nothing, {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    check.close(
        out["v"].sort().values,
        beta * noise / (kept + beta * noise),
        f"posterior variances, 1 where a dimension is dead, {words}",
        rtol=1e-3,
        atol=1e-3,
    )
    best = objective(X, beta, **out)
    for name in ("m", "W", "A", "v"):
        for size in (1e-2, 1e-1):
            moved = dict(out)
            moved[name] = out[name] * (1 + size * normal(*out[name].shape))
            moved[name] = moved[name] + (name != "v") * size * normal(*out[name].shape)
            gain = objective(X, beta, **moved) - best
            check.close(
                (gain <= 1e-6).double(),
                torch.tensor(1.0).double(),
                f"another {name} is better, {words}",
            )

X = data(40, 5).float()
single = linear_vae(X, 2, 1.0, 0.5)
check.close(
    {name: str(part.dtype) for name, part in single.items()},
    dict.fromkeys(single, "torch.float32"),
    "float32 in must give float32 out",
)
X = data(5, 40)[:, :30].T
check.close(
    linear_vae(X, 2)["sigma2"],
    linear_vae(X.contiguous(), 2)["sigma2"],
    "a non-contiguous X gives another answer",
)
check.close(arguments_after(X.clone()), X, "X was changed in place")
### END HIDDEN TESTS
