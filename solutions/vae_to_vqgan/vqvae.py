# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # VQ-VAE
#
# The chapter kept channels last, let autograd differentiate, trained on one machine and numbered a grid of codes. Four tasks, each a step to the side of one of these.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · Quantise a feature map
#
# A convolutional encoder gives (B, D, H, W): channels first. Each of its B·H·W places holds one vector of D channels. Replace every one by its nearest code, in the layout in which it came, and let the gradient pass straight through.
#
# <details><summary>Hint 1</summary>Which axes must stand next to each other, and in which order, before you may call something a list of D-vectors? A reshape alone never moves an axis.</details>
# <details><summary>Hint 2</summary><code>z.movedim(1, -1)</code> is (B, H, W, D). Work there; go back with <code>movedim(-1, 1)</code>.</details>
# <details><summary>Hint 3</summary>The value of the result is the code, its derivative is that of z: one of the two has to be wrapped in <code>detach</code>, together with the difference.</details>


# %% solution="quantize_map" difficulty=2 minutes=15
def quantize_map(z, E):
    """Nearest codes of a feature map, with straight-through gradients.

    z: (B, D, H, W). E: (K, D), the codebook, of the same dtype.
    Returns (idx, z_q): idx (B, H, W), int64, the index of the nearest code in Euclidean
    distance (any of them, where two are equally near); z_q (B, D, H, W), those codes.
    The gradient of z_q with respect to z is the identity, with respect to E zero.
    """
    ### BEGIN SOLUTION
    last = z.movedim(1, -1)
    distance = E.square().sum(1) - 2 * last @ E.T
    idx = distance.argmin(-1)
    nearest = E[idx].movedim(-1, 1)
    return idx, z + (nearest - z).detach()
    ### END SOLUTION


# %% test="quantize_map" points=2
three = torch.tensor([[[[0.2, 0.9, 3.0]], [[0.1, 0.8, -1.0]]]])
pair = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
idx, z_q = quantize_map(three, pair)
check.close(
    idx,
    torch.tensor([[[0, 1, 1]]]),
    "the points (.2, .1), (.9, .8), (3, -1) must get codes 0, 1, 1 of (0, 0), (1, 1)",
)
check.close(
    z_q,
    torch.tensor([[[[0.0, 1.0, 1.0]], [[0.0, 1.0, 1.0]]]]),
    "z_q must hold the codes themselves, channels first as z",
)
### BEGIN HIDDEN TESTS
draw = check.generator("quantize_map")


@check.probe
def map_arguments_after(z, E):
    quantize_map(z, E)
    return z, E


for shape, k in [
    ((2, 3, 4, 5), 7),
    ((1, 4, 4, 4), 9),
    ((3, 2, 1, 7), 5),
    ((4, 4, 2, 2), 1),
]:
    z = torch.randn(shape, dtype=torch.float64, generator=draw)
    scale = 0.2 + 3 * torch.rand(k, 1, dtype=torch.float64, generator=draw)
    E = scale * torch.randn(k, shape[1], dtype=torch.float64, generator=draw)
    words = f"random {shape}, {k} codes of different lengths"
    places = z.permute(0, 2, 3, 1).reshape(-1, shape[1])
    near = torch.cdist(places, E).argmin(1)
    want = E[near].view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
    idx, z_q = quantize_map(z, E)
    check.close(
        idx,
        near.view(shape[0], *shape[2:]),
        f"the vector of a place is its D channels, and |e|² counts: {words}",
    )
    check.close(z_q, want.contiguous(), f"values must be the codes: {words}")
    again, _ = quantize_map(z_q, E)
    check.close(again, idx, f"quantising twice must be quantising once: {words}")
    single = quantize_map(z.float(), E.float())
    check.close(single[1], want.float().contiguous(), f"float32: {words}", atol=1e-5)

z = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=draw)
E = torch.randn(6, 4, dtype=torch.float64, generator=draw)
strided = z.transpose(1, 3)
check.close(
    quantize_map(strided, E),
    quantize_map(strided.contiguous(), E),
    "a non-contiguous z gives another answer",
)
check.close(
    map_arguments_after(strided.contiguous(), E.clone()),
    (strided.contiguous(), E),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="quantize_map" aspect="gradient" points=1
@check.probe
def map_gradients(z, E, upstream):
    z, E = z.clone().requires_grad_(), E.clone().requires_grad_()
    _, z_q = quantize_map(z, E)
    (z_q * upstream).sum().backward()
    return z.grad, torch.zeros_like(E) if E.grad is None else E.grad


check.close(
    map_gradients(torch.ones(1, 2, 1, 1), torch.eye(2), 3 * torch.ones(1, 2, 1, 1)),
    (3 * torch.ones(1, 2, 1, 1), torch.zeros(2, 2)),
    "the upstream gradient must reach z unchanged, and E not at all",
)
### BEGIN HIDDEN TESTS
draw = check.generator("quantize_map_gradient")
for shape in [(2, 3, 4, 5), (1, 4, 4, 4)]:
    z, upstream = torch.randn(2, *shape, dtype=torch.float64, generator=draw)
    E = torch.randn(6, shape[1], dtype=torch.float64, generator=draw)
    check.close(
        map_gradients(z, E, upstream),
        (upstream, torch.zeros_like(E)),
        f"straight through to z, nothing to the codebook: random {shape}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The gradients of the two terms
#
# For N encodings $z_i$ with the codes $e_{k(i)}$ they chose, the quantiser adds
#
# $$\ell = \overline{\|\mathrm{sg}[z_i] - e_{k(i)}\|^2} + \beta\;\overline{\|z_i - \mathrm{sg}[e_{k(i)}]\|^2}$$
#
# to the loss. Give its gradient with respect to the encodings, and with respect to the whole codebook matrix. The bar is a mean, and two habits exist: over all N·D elements, or over the N encodings, with the sum over the D channels inside.
#
# <details><summary>Hint 1</summary>What does sg leave of each term when you differentiate by z? And by e?</details>
# <details><summary>Hint 2</summary>A code collects the gradient of every encoding that chose it. A row that nobody chose stays zero.</details>
# <details><summary>Hint 3</summary><code>dE[idx] = g</code> keeps only the last of several encodings with the same code; <code>dE.index_add_(0, idx, g)</code> adds them.</details>


# %% solution="vq_gradients" difficulty=3 minutes=20
def vq_gradients(z, E, idx, beta, reduction="elements"):
    """Gradient of codebook term + beta * commitment term with respect to z and E.

    z: (N, D) encodings. E: (K, D). idx: (N,), int64, the code each encoding chose.
    reduction: "elements" takes means over all N * D elements, "vectors" over the N
    encodings (the sum over D inside).
    Returns (dz, dE), new tensors with the shapes and dtype of z and E.
    """
    ### BEGIN SOLUTION
    n = len(z) * (z.shape[1] if reduction == "elements" else 1)
    pull = 2 * (z - E[idx]) / n
    dE = torch.zeros_like(E).index_add_(0, idx, -pull)
    return beta * pull, dE
    ### END SOLUTION


# %% test="vq_gradients" points=3
two = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
check.close(
    vq_gradients(two, two.clone(), torch.tensor([0, 1]), 0.25),
    (torch.zeros(2, 2), torch.zeros(2, 2)),
    "where every encoding equals its code there is nothing to pull",
)
check.close(
    vq_gradients(torch.tensor([[3.0]]), torch.tensor([[1.0]]), torch.tensor([0]), 0.5),
    (torch.tensor([[2.0]]), torch.tensor([[-4.0]])),
    "z = 3, e = 1, beta = 0.5: beta weighs the commitment, which moves z",
)
### BEGIN HIDDEN TESTS
draw = check.generator("vq_gradients")


@check.probe
def gradient_arguments_after(z, E, idx):
    vq_gradients(z, E, idx, 0.25)
    return z, E, idx


for n, k, d in [(7, 4, 3), (12, 5, 2), (1, 3, 4), (30, 2, 1)]:
    for reduction in ("elements", "vectors"):
        z = torch.randn(n, d, dtype=torch.float64, generator=draw)
        E = torch.randn(k, d, dtype=torch.float64, generator=draw)
        idx = torch.randint(k - 1, (n,), generator=draw)  # the last code is unused
        weight = 0.1 + torch.rand((), dtype=torch.float64, generator=draw).item()
        words = f"{n} encodings, {k} codes, {d} channels, mean over {reduction}"
        a, b = z.clone().requires_grad_(), E.clone().requires_grad_()
        count = n * d if reduction == "elements" else n
        one = (a.detach() - b[idx]).square().sum() / count
        other = (a - b[idx].detach()).square().sum() / count
        (one + weight * other).backward()
        dz, dE = vq_gradients(z, E, idx, weight, reduction)
        check.close(dz, a.grad, f"the commitment term moves z: {words}")
        check.close(dE, b.grad, f"the codebook term moves E, summed by code: {words}")
        members = torch.bincount(idx, minlength=k)[:, None]
        step = E - dE * count / (2 * members.clamp(min=1))
        centre = torch.zeros_like(E).index_add_(0, idx, z) / members.clamp(min=1)
        check.close(
            step,
            torch.where(members > 0, centre, E),
            f"a step of n/(2 n_k) must take each code to its cell's mean: {words}",
        )
        nothing, _ = vq_gradients(z, E, idx, 0.0, reduction)
        check.close(nothing, torch.zeros_like(z), f"beta = 0 leaves z alone: {words}")
        single = vq_gradients(z.float(), E.float(), idx, weight, reduction)
        check.close(single, (dz.float(), dE.float()), f"float32: {words}", atol=1e-5)

z = torch.randn(3, 5, dtype=torch.float64, generator=draw).T
E = torch.randn(4, 3, dtype=torch.float64, generator=draw)
idx = torch.tensor([3, 0, 3, 3, 1])
check.close(
    vq_gradients(z, E, idx, 0.25),
    vq_gradients(z.contiguous(), E, idx, 0.25),
    "a non-contiguous z gives another answer",
)
check.close(
    gradient_arguments_after(z.contiguous(), E.clone(), idx.clone()),
    (z.contiguous(), E, idx),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Moving averages on several machines
#
# A batch is spread over machines, and each sends its encodings with the codes they chose. All must end with the same codebook: that of one machine that had seen the whole batch. With $n_k$ and $s_k$ the count and the sum over *all* machines, one step is
#
# $$N_k\leftarrow\gamma N_k + (1-\gamma)n_k,\qquad m_k\leftarrow\gamma m_k+(1-\gamma)s_k,\qquad T\leftarrow T+1;$$
#
# and the codebook comes from the debiased averages $\hat N = N/(1-\gamma^T)$, $\hat m = m/(1-\gamma^T)$:
#
# $$e_k = \hat m_k\Big/\Big(\frac{\hat N_k+\epsilon}{n+K\epsilon}\,n\Big),\qquad n=\sum_k\hat N_k .$$
#
# In evaluation nothing may move.
#
# <details><summary>Hint 1</summary>Add up over machines before you average over time: one decay a step, however many machines there are.</details>
# <details><summary>Hint 2</summary><code>torch.bincount(idx, minlength=K)</code> counts; <code>index_add_</code> or a one-hot matrix sums vectors by code.</details>
# <details><summary>Hint 3</summary>N and m in the state are the raw averages; divide by 1 − γ^T only for the codebook, or the next step starts from numbers that are too large.</details>


# %% solution="ema_step" difficulty=3 minutes=25
def ema_step(state, shards, decay, eps, training=True):
    """One step of a codebook's moving averages with the encodings of several machines.

    state: dict with "T" (int, steps so far), "N" (K,) and "m" (K, D), raw averages that
    started at zero, and "codebook" (K, D).
    shards: list of (z, idx) pairs, z (n, D), idx (n,) int64; n differs between machines
    and may be 0 for some, not for all. With training=False the state comes back as it
    was. Returns a new state; the old one is not changed.
    """
    ### BEGIN SOLUTION
    if not training:
        return dict(state)
    z = torch.cat([z for z, _ in shards])
    idx = torch.cat([idx for _, idx in shards])
    T, k = state["T"] + 1, len(state["N"])
    n_k = torch.bincount(idx, minlength=k).to(z.dtype)
    s_k = torch.zeros_like(state["m"]).index_add_(0, idx, z)
    N = decay * state["N"] + (1 - decay) * n_k
    m = decay * state["m"] + (1 - decay) * s_k
    counts, sums = N / (1 - decay**T), m / (1 - decay**T)
    n = counts.sum()
    smoothed = (counts + eps) / (n + k * eps) * n
    return {"T": T, "N": N, "m": m, "codebook": sums / smoothed[:, None]}
    ### END SOLUTION


# %% test="ema_step" points=3
fresh = {
    "T": 0,
    "N": torch.zeros(2),
    "m": torch.zeros(2, 1),
    "codebook": torch.tensor([[1.0], [-1.0]]),
}
machines = [
    (torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0])),
    (torch.tensor([[-1.0]]), torch.tensor([1])),
]
after = ema_step(fresh, machines, decay=0.5, eps=0.5)
check.close(
    {key: after[key] for key in ("T", "N", "m")},
    {"T": 1, "N": torch.tensor([1.0, 0.5]), "m": torch.tensor([[2.0], [-0.5]])},
    "counts (2, 1) and sums (4, -1) over both machines, half of them taken over",
)
check.close(
    after["codebook"],
    torch.tensor([[4 / 1.875], [-1 / 1.125]]),
    "debiased: counts (2, 1), sums (4, -1); smoothed counts 2.5/4 * 3 and 1.5/4 * 3",
)
### BEGIN HIDDEN TESTS
import numpy as np

draw = check.generator("ema_step")


def start(k, d):
    zero = torch.zeros(k, dtype=torch.float64)
    codebook = torch.randn(k, d, dtype=torch.float64, generator=draw)
    return {"T": 0, "N": zero, "m": 0 * codebook, "codebook": codebook}


def batch(k, d, sizes):
    return [
        (
            torch.randn(n, d, dtype=torch.float64, generator=draw),
            torch.randint(k, (n,), generator=draw),
        )
        for n in sizes
    ]


@check.probe
def state_after(state, shards):
    ema_step(state, shards, 0.9, 1e-5)
    return state


for k, d, decay, eps in [(4, 3, 0.9, 1e-5), (3, 2, 0.5, 0.3), (5, 1, 0.0, 1e-2)]:
    state, words = start(k, d), f"{k} codes, decay {decay}, eps {eps}"
    hidden_n, hidden_m = np.zeros(k), np.zeros((k, d))
    for t, sizes in enumerate([(6, 2, 9), (5,), (0, 7)], 1):
        shards = batch(k, d, sizes)
        onehot = np.eye(k)[np.concatenate([i.numpy() for _, i in shards])]
        flat = np.concatenate([z.numpy() for z, _ in shards])
        hidden_n -= (hidden_n - onehot.sum(0)) * (1 - decay)
        hidden_m -= (hidden_m - onehot.T @ flat) * (1 - decay)
        size = hidden_n / (1 - decay**t)
        total = size.sum()
        size = (size + eps) / (total + k * eps) * total
        want = {
            "T": t,
            "N": torch.tensor(hidden_n),
            "m": torch.tensor(hidden_m),
            "codebook": torch.tensor(hidden_m / (1 - decay**t) / size[:, None]),
        }
        state = ema_step(state, shards, decay, eps)
        check.close(state, want, f"step {t} of three, {len(sizes)} machines, {words}")
    seen = sum(decay ** (3 - t) * n for t, n in ((1, 17), (2, 5), (3, 7)))
    check.close(
        state["N"].sum().item(),
        (1 - decay) * float(seen),
        f"counts must add up to what was seen: {words}",
    )
    kept = ema_step(state, batch(k, d, (8,)), decay, eps, training=False)
    check.close(kept, state, f"in evaluation nothing may move: {words}", rtol=0, atol=0)

# The same data again and again: every used code is the mean of its cell.
state, (shard,) = start(4, 3), batch(3, 3, (40,))
for _ in range(30):
    state = ema_step(state, [shard], 0.8, 1e-9)
z, idx = shard
means = [z[idx == i].mean(0) for i in range(3)]
check.close(
    state["codebook"],
    torch.stack([*means, torch.zeros_like(means[0])]),
    "on data that stand still a code must be its cell's mean, an unused one finite",
    atol=1e-5,
)

whole, parts = start(4, 2), batch(4, 2, (5, 6, 7))
together = [(torch.cat([z for z, _ in parts]), torch.cat([i for _, i in parts]))]
check.close(
    ema_step(whole, parts, 0.9, 1e-5),
    ema_step(whole, together, 0.9, 1e-5),
    "three machines must do what one would with the whole batch",
)
before = {key: x if key == "T" else x.clone() for key, x in whole.items()}
check.close(state_after(whole, parts), before, "the old state was changed in place")
single = {key: x if key == "T" else x.float() for key, x in whole.items()}
got = ema_step(single, [(z.float(), i) for z, i in parts], 0.9, 1e-5)
want = ema_step(whole, parts, 0.9, 1e-5)
check.close(
    got["codebook"], want["codebook"].float(), "float32 must stay float32", atol=1e-5
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · From a number to an FSQ code
#
# A generator of images writes integers; the decoder wants vectors. For finite scalar quantisation there is no table to look into, but none is needed: the number holds one digit for each channel. Channel 0 counts fastest, and digit $j$ of a channel with $L$ levels stands for the value $(j - \lfloor L/2\rfloor)/\lfloor L/2\rfloor$.
#
# <details><summary>Hint 1</summary>How do you get the digits of 273 in base 10? Now let every place have its own base.</details>
# <details><summary>Hint 2</summary>The digit of channel 0 is the remainder by L₀; go on with the quotient.</details>
# <details><summary>Hint 3</summary>With four levels the values are −1, −½, 0, ½: not symmetric, and 1 is missing.</details>


# %% solution="fsq_codes" difficulty=2 minutes=10
def fsq_codes(idx, levels):
    """The code vectors of FSQ that have the numbers idx.

    idx: int64 of any shape, from 0 to prod(levels) - 1. levels: sequence of d whole
    numbers of at least 2, even or odd.
    Returns float64, the shape of idx with a last axis of d channels.
    """
    ### BEGIN SOLUTION
    channels = []
    for n in levels:
        channels.append((idx % n - n // 2).double() / (n // 2))
        idx = idx // n
    return torch.stack(channels, -1)
    ### END SOLUTION


# %% test="fsq_codes" points=2
check.close(
    fsq_codes(torch.arange(6), (3, 2)),
    torch.tensor(
        [[-1.0, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0]], dtype=torch.float64
    ),
    "three and two levels: channel 0 runs through -1, 0, 1 before channel 1 moves",
)
### BEGIN HIDDEN TESTS
from lib.vae_to_vqgan import vqvae as reference

draw = check.generator("fsq_codes")


@check.probe
def numbers_after(idx):
    fsq_codes(idx, (4, 5))
    return idx


for levels in [(5, 4, 3), (8, 6, 5), (2, 2, 2, 2), (7,), (3, 8, 2)]:
    size = 1
    for n in levels:
        size *= n
    everything = torch.arange(size)
    codes = fsq_codes(everything, levels)
    words = f"levels {levels}"
    values = [
        torch.tensor([(j - n // 2) / (n // 2) for j in range(n)]).double()
        for n in levels
    ]
    product = torch.cartesian_prod(*values[::-1]).reshape(size, -1).flip(-1)
    check.close(codes, product, f"all codes in order, {words}")
    check.close(
        reference.fsq_index(codes, levels), everything, f"there and back, {words}"
    )
    some = torch.randint(size, (2, 1, 3), generator=draw)
    check.close(fsq_codes(some, levels), codes[some], f"any shape of idx, {words}")
    check.close(
        fsq_codes(some[0, 0, 0], levels), codes[some[0, 0, 0]], "no axis at all"
    )
rounded = reference.fsq(
    4 * torch.randn(50, 3, dtype=torch.float64, generator=draw), (5, 4, 8)
)
check.close(
    fsq_codes(reference.fsq_index(rounded, (5, 4, 8)), [5, 4, 8]),
    rounded,
    "what fsq rounds to must come back from its number",
)
numbers = torch.randint(20, (4, 5), generator=draw)
check.close(numbers_after(numbers.clone()), numbers, "idx was changed in place")
### END HIDDEN TESTS
