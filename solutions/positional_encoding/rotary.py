# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Rotary position embedding
#
# The chapter turned whole vectors at whole positions, in one layout at a time. Models in use ask for more: some channels left alone, checkpoints moved from one library to another, text written one token at a time. Three tasks, one for each.

# %%
import math

import torch

from course import check

# %% [markdown]
# ## 1 · Turn part of a head
#
# GPT-J turns 64 of the 256 channels of a head and leaves the rest as they are, so that part of each score ignores position. Write the rotation in one call: of the $d$ channels of a head, the first $r$ turn,
#
# $$(a_i + b_i\,\mathrm i) \;\mapsto\; (a_i + b_i\,\mathrm i)\,e^{+\mathrm i\, m\,\theta_i},\qquad \theta_i = \text{base}^{-2i/r},\quad i = 0,\dots,r/2-1,$$
#
# where $m$ is the token's position, and the layout says which two channels are $a_i$ and $b_i$.
#
# <details><summary>Hint 1</summary>Separate three things: which angle, which two channels, which formula. Only the second depends on the layout.</details>
# <details><summary>Hint 2</summary>The angles are an outer product, <code>positions[..., None] * theta</code>: (N, r/2) or (B, N, r/2). The second needs an axis for the heads before it meets x.</details>
# <details><summary>Hint 3</summary>A pair (a, b) becomes (a cos − b sin, a sin + b cos). In the interleaved layout a is <code>x[..., 0:r:2]</code>; in the other it is <code>x[..., : r // 2]</code>. Put the two results back where a and b came from, and the last d − r channels behind them.</details>


# %% solution="rotate" difficulty=2 minutes=20
def rotate(x, positions, r, base=10_000.0, layout="interleaved"):
    """Turn the first r channels of every head by the token's position.

    x: (B, H, N, d), float32 or float64. positions: (N,), or (B, N) where the rows of
    the batch stand at different places; integers or floats. r: even, 2 <= r <= d.
    layout: "interleaved" pairs channels 2i and 2i + 1, "half" pairs i and i + r/2.
    Angles are in radians. Returns a new tensor with the shape and dtype of x.
    """
    ### BEGIN SOLUTION
    theta = base ** (-torch.arange(0, r, 2, dtype=torch.float64) / r)
    angle = positions[..., None] * theta
    if angle.ndim == 3:
        angle = angle[:, None]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    if layout == "half":
        first, second = slice(0, r // 2), slice(r // 2, r)
    else:
        first, second = slice(0, r, 2), slice(1, r, 2)
    a, b = x[..., first], x[..., second]
    out = x.clone()
    out[..., first] = a * cos - b * sin
    out[..., second] = a * sin + b * cos
    return out
    ### END SOLUTION


# %% test="rotate" points=2
right = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
quarter = torch.tensor([math.pi / 2])
for layout in ("interleaved", "half"):
    check.close(
        rotate(right, 0 * quarter, 2, layout=layout),
        right,
        "position 0 must change nothing",
    )
    check.close(
        rotate(right, quarter, 2, layout=layout),
        torch.tensor([0.0, 1.0]).view(1, 1, 1, 2),
        "at position π/2 the pair (1, 0) must turn to (0, 1): radians, and +angle",
    )
six = torch.arange(6.0).view(1, 1, 1, 6)
check.close(
    rotate(six, torch.tensor([3.0]), 4)[..., 4:],
    six[..., 4:],
    "with r = 4 the channels 4 and 5 must stay as they are",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import rotary as reference

draw = check.generator("rotate")


@check.probe
def arguments_after(x, positions):
    rotate(x, positions, 4)
    return x, positions


def by_reference(x, positions, r, base, layout):
    tables = reference.rope_cos_sin(positions, reference.rope_inv_freq(r, base))
    turned = reference.apply_rope(x[..., :r].contiguous(), *tables, layout)
    return torch.cat((turned, x[..., r:]), -1)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


# atol 1e-4: angles formed in float32 are not wrong, only less exact.
for layout in ("interleaved", "half"):
    for (batch, heads, n, d), r, base in [
        ((2, 3, 5, 8), 8, 10_000.0),
        ((1, 1, 7, 10), 6, 100.0),
        ((3, 2, 1, 12), 2, 500_000.0),
    ]:
        x = normal(batch, heads, n, d)
        whole = torch.randint(0, 60, (n,), generator=draw)
        check.close(
            rotate(x, whole, r, base, layout),
            by_reference(x, whole, r, base, layout),
            f"random whole positions, {layout}, d = {d}, r = {r}",
            atol=1e-4,
        )
        fractional = 30 * torch.rand(batch, n, generator=draw).double()
        check.close(
            rotate(x, fractional, r, base, layout),
            by_reference(x, fractional, r, base, layout),
            f"fractional positions that differ between rows, {layout}",
            atol=1e-4,
        )
        check.close(
            rotate(x.float(), whole, r, base, layout),
            by_reference(x, whole, r, base, layout).float(),
            f"float32, {layout}",
            atol=1e-4,
        )

    q, k = normal(2, 1, 1, 1, 6)
    near = torch.tensor([4.0]).double(), torch.tensor([1.0]).double()
    score = (
        rotate(q, near[0], 6, 1e4, layout) * rotate(k, near[1], 6, 1e4, layout)
    ).sum()
    for shift in torch.randint(1, 50, (20,), generator=draw).tolist():
        m, n = near[0] + shift, near[1] + shift
        moved = (rotate(q, m, 6, 1e4, layout) * rotate(k, n, 6, 1e4, layout)).sum()
        words = f"scores must depend on the distance only, {layout}"
        check.close(moved, score, words, atol=1e-4)

    x, m = normal(1, 2, 4, 8), torch.arange(4).double()
    twice = rotate(rotate(x, m, 8, layout=layout), 2 * m, 8, layout=layout)
    check.close(
        twice,
        rotate(x, 3 * m, 8, layout=layout),
        f"turning by m, then by n, must be turning by m + n, {layout}",
        atol=1e-4,
    )
    check.close(
        rotate(x, 9 * m, 6, layout=layout).norm(dim=-1),
        x.norm(dim=-1),
        f"a rotation keeps the length of every vector, {layout}",
        atol=1e-4,
    )
    strided = normal(2, 5, 3, 8).transpose(1, 2)
    check.close(
        rotate(strided, torch.arange(5), 4, layout=layout),
        rotate(strided.contiguous(), torch.arange(5), 4, layout=layout),
        f"a non-contiguous x gives another answer, {layout}",
    )

x, m = normal(1, 2, 3, 6), torch.arange(3)
check.close(
    arguments_after(x.clone(), m.clone()), (x, m), "an argument was changed in place"
)
### END HIDDEN TESTS


# %% test="rotate" aspect="gradient" points=1
@check.probe
def gradient(x, positions, upstream, r, layout):
    leaf = x.clone().requires_grad_()
    rotate(leaf, positions, r, 10_000.0, layout).backward(upstream)
    return leaf.grad


eight = torch.ones(1, 1, 1, 8)
check.close(
    gradient(eight, torch.tensor([0]), 2 * eight, 8, "half"),
    2 * eight,
    "at position 0 the gradient must pass through unchanged",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import rotary as reference

draw = check.generator("rotate_gradient")
for layout in ("interleaved", "half"):
    x, upstream = torch.randn(2, 2, 3, 4, 10, dtype=torch.float64, generator=draw)
    positions = torch.randint(0, 40, (2, 4), generator=draw)
    tables = reference.rope_cos_sin(-positions, reference.rope_inv_freq(6))
    back = reference.apply_rope(upstream[..., :6].contiguous(), *tables, layout)
    check.close(
        gradient(x, positions, upstream, 6, layout),
        torch.cat((back, upstream[..., 6:]), -1),
        f"the gradient must be the upstream gradient turned the other way, {layout}",
        atol=1e-4,
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Carry a checkpoint across
#
# A model was trained with interleaved pairs and shall run in a library that expects half-split ones. Nothing may change but the order of channels inside each query and key head. Inference engines keep the three projections in one matrix, and many models share each key head among several query heads, so that is what arrives here:
#
# rows of `weight`: $H$ query heads, then $K$ key heads, then $K$ value heads, $d$ rows each; $q, k, v$ of a token $x$ are rows of $Wx + b$.
#
# <details><summary>Hint 1</summary>Which of the three parts does a rotation ever touch? Which of rows and columns of W are the channels of q?</details>
# <details><summary>Hint 2</summary>Write down where the rows 0, 1, 2, 3, 4, 5 of one head with d = 6 go. With d = 4 the permutation is its own inverse: a test with d = 4 cannot tell the two directions apart.</details>
# <details><summary>Hint 3</summary>Cut the rows of the query and key part into (heads, d/2, 2) or (heads, 2, d/2), depending on where you come from; exchange the last two axes; flatten. The bias goes the same way.</details>


# %% solution="convert_qkv" difficulty=3 minutes=20
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    """Reorder a fused q, k, v projection from one RoPE layout to the other.

    weight: ((n_heads + 2 * n_kv_heads) * d, D). bias: as many entries as weight has
    rows. to: "half" if they are interleaved (pairs 2i, 2i + 1) and shall be half-split
    (pairs i, i + d/2); "interleaved" for the way back.
    Returns (weight, bias): new tensors, the same numbers in another order.
    """
    ### BEGIN SOLUTION
    d = weight.shape[0] // (n_heads + 2 * n_kv_heads)
    pairs = (d // 2, 2) if to == "half" else (2, d // 2)
    turned = (n_heads + n_kv_heads) * d

    def reorder(rows):
        heads = rows[:turned].unflatten(0, (-1, *pairs))
        return torch.cat((heads.transpose(1, 2).flatten(0, 2), rows[turned:]))

    return reorder(weight), reorder(bias)
    ### END SOLUTION


# %% test="convert_qkv" points=3
rows = torch.arange(12.0)
check.close(
    convert_qkv(rows[:, None], rows, 1, 1, "half"),
    (
        torch.tensor([0.0, 2, 1, 3, 4, 6, 5, 7, 8, 9, 10, 11])[:, None],
        torch.tensor([0.0, 2, 1, 3, 4, 6, 5, 7, 8, 9, 10, 11]),
    ),
    "one head of each kind, d = 4: q and k rows in the order 0, 2, 1, 3; v as it was",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import rotary as reference

draw = check.generator("convert_qkv")


@check.probe
def arguments_after(weight, bias):
    convert_qkv(weight, bias, 2, 1, "half")
    return weight, bias


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def scores(x, weight, bias, heads, kv_heads, layout):
    """All query-key products of the tokens x, shape (query heads, N, N), and v."""
    d = len(bias) // (heads + 2 * kv_heads)
    out = (x @ weight.T + bias).view(len(x), -1, d).transpose(0, 1)[None]
    q, k, v = out.split((heads, kv_heads, kv_heads), 1)
    tables = reference.rope_cos_sin(torch.arange(len(x)), reference.rope_inv_freq(d))
    q, k = (reference.apply_rope(y.contiguous(), *tables, layout) for y in (q, k))
    return q @ k.repeat_interleave(heads // kv_heads, 1).mT, v


for heads, kv_heads, d, width in [
    (4, 2, 6, 5),
    (3, 1, 8, 12),
    (2, 2, 10, 7),
    (1, 1, 2, 3),
]:
    weight = normal((heads + 2 * kv_heads) * d, width)
    bias = normal(len(weight))
    x = normal(9, width)
    for to, origin in (("half", "interleaved"), ("interleaved", "half")):
        words = f"{heads} query heads, {kv_heads} key heads, d = {d}, to {to}"
        got = convert_qkv(weight, bias, heads, kv_heads, to)
        q, k, v = weight.split((heads * d, kv_heads * d, kv_heads * d))
        moved = [
            reference.permute_rope_layout(q, heads, origin, to),
            reference.permute_rope_layout(k, kv_heads, origin, to),
        ]
        q, k, b = bias.split((heads * d, kv_heads * d, kv_heads * d))
        moved_bias = [
            reference.permute_rope_layout(q, heads, origin, to),
            reference.permute_rope_layout(k, kv_heads, origin, to),
        ]
        check.close(
            got,
            (torch.cat((*moved, v)), torch.cat((*moved_bias, b))),
            words,
            rtol=0,
            atol=0,
        )
        check.close(
            scores(x, *got, heads, kv_heads, to),
            scores(x, weight, bias, heads, kv_heads, origin),
            f"scores and values must be what they were: {words}",
        )
        check.close(
            convert_qkv(*got, heads, kv_heads, origin),
            (weight, bias),
            f"there and back must return every number to its place: {words}",
            rtol=0,
            atol=0,
        )

weight, bias = normal(5, 16).T, normal(16)
check.close(
    convert_qkv(weight, bias, 2, 1, "half"),
    convert_qkv(weight.contiguous(), bias, 2, 1, "half"),
    "a non-contiguous weight gives another answer",
    rtol=0,
    atol=0,
)
single = normal(16, 5).float(), normal(16).float()
check.close(
    convert_qkv(*convert_qkv(*single, 2, 1, "half"), 2, 1, "interleaved"),
    single,
    "float32 must stay float32",
    rtol=0,
    atol=0,
)
check.close(
    arguments_after(weight.clone(), bias.clone()),
    (weight, bias),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Write text in constant memory
#
# The chapter wrote causal linear attention as a sum over all pairs,
#
# $$o_m = \frac{\sum_{n\le m}[\mathcal R_m\phi(q_m)]^\top[\mathcal R_n\phi(k_n)]\,v_n}{\sum_{n\le m}\phi(q_m)^\top\phi(k_n)} .$$
#
# Both sums can be carried from token to token. Write the step that a decoder takes for each new token: it gets the state left by the tokens before, and must not need anything else of them.
#
# <details><summary>Hint 1</summary>Pull out of each sum what does not depend on n. What is left inside is the state.</details>
# <details><summary>Hint 2</summary>S is the sum of outer products of rotated key features with values; z is the sum of key features that nobody rotated. Token m sees itself: update first, then read.</details>
# <details><summary>Hint 3</summary>With rows as vectors, rotating is <code>phi(k) @ rotation.mT</code>. The output is (R φ(q))ᵀ S divided by φ(q)ᵀ z.</details>


# %% solution="decode_step" difficulty=3 minutes=20
def decode_step(state, q, k, v, rotation, phi):
    """One token of causal linear attention with rotated features.

    state: (S, z) of the tokens before, zeros if there are none. S: (B, H, d, e), the
    sum of (R_n phi(k_n)) v_n^T. z: (B, H, d), the sum of phi(k_n).
    q, k: (B, H, d), v: (B, H, e), of this token. rotation: (d, d), the matrix R_m of
    this token's position; it multiplies columns. phi: a function that maps (B, H, d)
    to features of the same shape, all positive.
    Returns (output, (S, z)): output (B, H, e), and the state with this token in it, as
    new tensors: the old state is not changed, and gradients pass through it.
    """
    ### BEGIN SOLUTION
    S, z = state
    q, k = phi(q), phi(k)
    turned_q, turned_k = q @ rotation.mT, k @ rotation.mT
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    return numerator / denominator, (S, z)
    ### END SOLUTION


# %% test="decode_step" points=2
def turn(angle):
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]])


empty = torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2)
one = torch.tensor([1.0, 0.5]).view(1, 1, 2)
value = torch.tensor([3.0, -1.0, 2.0]).view(1, 1, 3)
output, state = decode_step(empty, one, 2 * one, value, turn(1.0), torch.exp)
check.close(output, value, "a token with nothing before it must return its own value")
check.close(
    state[1],
    torch.exp(2 * one),
    "z must be the sum of phi(k): the denominator is not rotated",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import rotary as reference

draw = check.generator("decode_step")


@check.probe
def state_after(S, z, q, k, v, rotation):
    decode_step((S, z), q, k, v, rotation, torch.exp)
    return S, z


def feature(x):
    return torch.where(x > 0, x + 1, x.exp())


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def rotation_matrix(position, d):
    """R of one position: its columns are the rotated unit vectors."""
    tables = reference.rope_cos_sin(
        torch.full((d,), position), reference.rope_inv_freq(d)
    )
    return reference.apply_rope(torch.eye(d).double()[None, None], *tables)[0, 0].T


for phi, words in ((torch.exp, "phi = exp"), (feature, "phi = elu + 1")):
    for batch, heads, n, d, e in [(2, 3, 6, 4, 5), (1, 1, 4, 8, 1), (3, 1, 5, 2, 2)]:
        q, k = normal(2, batch, heads, n, d)
        v = normal(batch, heads, n, e)
        want = reference.rope_linear_attention(q, k, v, phi)
        zeros = (
            torch.zeros(batch, heads, d, e).double(),
            torch.zeros(batch, heads, d).double(),
        )
        state = zeros
        for m in range(n):
            now = q[:, :, m], k[:, :, m], v[:, :, m]
            output, state = decode_step(state, *now, rotation_matrix(m, d), phi)
            check.close(
                output,
                want[:, :, m],
                f"token {m} differs from the sum over pairs, {words}",
            )
        check.close(state[1], phi(k).sum(2), f"z must be the sum of phi(k), {words}")
        check.close(
            tuple(part.shape for part in state),
            tuple(part.shape for part in zeros),
            "the state must not grow",
        )

state = torch.zeros(1, 2, 4, 3).double(), torch.zeros(1, 2, 4).double()
level = torch.full((1, 2, 3), 7.0).double()
for _ in range(4):
    q, k = normal(2, 1, 2, 4)
    output, state = decode_step(state, q, k, level, torch.eye(4).double(), torch.exp)
    check.close(output, level, "without rotation the weights must add up to one")

odd = normal(4, 3, 2).permute(2, 1, 0)
state = normal(2, 3, 4, 5), normal(2, 3, 4).exp()
rest = normal(2, 3, 4), normal(2, 3, 5), rotation_matrix(7, 4)
check.close(
    decode_step(state, odd, *rest, torch.exp),
    decode_step(state, odd.contiguous(), *rest, torch.exp),
    "a non-contiguous q gives another answer",
)
check.close(
    state_after(state[0].clone(), state[1].clone(), odd, *rest),
    state,
    "the old state was changed in place",
)
output, (S, z) = decode_step(state, odd, *rest, torch.exp)
single = tuple(part.float() for part in state), *(part.float() for part in (odd, *rest))
check.close(
    decode_step(*single, torch.exp),
    (output.float(), (S.float(), z.float())),
    "float32 in must give float32 out",
    rtol=1e-3,
    atol=1e-3,
)
### END HIDDEN TESTS


# %% test="decode_step" aspect="gradient" points=1
@check.probe
def gradient(q, k, v, rotations, upstream):
    """Of the last of several tokens' output, with respect to all k and v."""
    k, v = k.clone().requires_grad_(), v.clone().requires_grad_()
    S = torch.zeros(*k.shape[:2], k.shape[-1], v.shape[-1], dtype=k.dtype)
    state = S, S[..., 0]
    for m in range(q.shape[2]):
        now = q[:, :, m], k[:, :, m], v[:, :, m]
        output, state = decode_step(state, *now, rotations[m], torch.exp)
    output.backward(upstream)
    return k.grad, v.grad


one = torch.ones(1, 1, 1, 2)
check.close(
    gradient(one, one, one, torch.eye(2)[None], torch.ones(1, 1, 2)),
    (torch.zeros(1, 1, 1, 2), one),
    "a single token's output is its value: gradient 1 for v and 0 for k",
)
### BEGIN HIDDEN TESTS
from lib.positional_encoding import rotary as reference

draw = check.generator("decode_step_gradient")
for batch, heads, n, d, e in [(2, 1, 4, 4, 3), (1, 2, 3, 6, 2)]:
    q, k = torch.randn(2, batch, heads, n, d, dtype=torch.float64, generator=draw)
    v = torch.randn(batch, heads, n, e, dtype=torch.float64, generator=draw)
    upstream = torch.randn(batch, heads, e, dtype=torch.float64, generator=draw)
    positions = torch.arange(n)[:, None].expand(n, d)
    tables = reference.rope_cos_sin(positions, reference.rope_inv_freq(d))
    unit = torch.eye(d).double().expand(n, 1, d, d)
    rotations = reference.apply_rope(unit, *tables)[:, 0].mT
    leaves = k.clone().requires_grad_(), v.clone().requires_grad_()
    output = reference.rope_linear_attention(q, *leaves, torch.exp)
    want = torch.autograd.grad((output[:, :, -1] * upstream).sum(), leaves)
    check.close(
        gradient(q, k, v, rotations, upstream),
        want,
        "the last output must send its gradient to every earlier key and value",
    )
### END HIDDEN TESTS
