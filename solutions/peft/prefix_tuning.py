# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Prefixes and prompts
#
# The chapter put a prefix before the keys and values of a model without positions, had a network make it, and proved what it can never do. Four tasks: the same in a causal model with rotary positions, the bill, the prefix of a stored encoder without the encoder, and the proof as a test that you can run on any two tables of attention weights.

# %%
import torch

from course import check
from lib.positional_encoding import rotary

# %% [markdown]
# ## 1 · A prefix in a model with rotary positions
#
# Queries and keys of the content are rotated by their positions $0, 1, \dots, n-1$, just as if there were no prefix. The keys of the prefix are trained as they stand in the cache: no rotation acts on them. Every query sees the whole prefix, and of the content what a causal mask leaves it, itself included.
#
# `rotary.rope_inv_freq`, `rotary.rope_cos_sin` and `rotary.apply_rope` may be used, and so may `F.scaled_dot_product_attention`.
#
# <details><summary>Hint 1</summary>Rotate q and k first; the prefix joins the keys after that.</details>
# <details><summary>Hint 2</summary>One row of the mask has m + n entries. Which of them are always true?</details>
# <details><summary>Hint 3</summary><code>is_causal=True</code> aligns the mask at the top left: query 0 would see the first token of the prefix and nothing else. Build the mask: <code>torch.ones(n, m + n, dtype=torch.bool).tril(m)</code>.</details>


# %% solution="rotary_prefix_attention" difficulty=3 minutes=20
def rotary_prefix_attention(q, k, v, pk, pv):
    """Causal attention with RoPE behind a prefix that has no position.

    q, k: (batch, heads, n, d), not yet rotated, d even; v: (batch, heads, n, d_v).
    pk: (heads, m, d), pv: (heads, m, d_v), the same for all of the batch; m may be 0.
    RoPE in the interleaved layout with base 10,000, at positions 0 ... n - 1. Scores
    are divided by sqrt(d). Returns a new tensor (batch, heads, n, d_v), same dtype.
    """
    ### BEGIN SOLUTION
    n, d = q.shape[-2:]
    cos, sin = rotary.rope_cos_sin(torch.arange(n), rotary.rope_inv_freq(d))
    q, k = rotary.apply_rope(q, cos, sin), rotary.apply_rope(k, cos, sin)
    k = torch.cat([pk.expand(len(k), -1, -1, -1), k], 2)
    v = torch.cat([pv.expand(len(v), -1, -1, -1), v], 2)
    mask = torch.ones(n, k.shape[2], dtype=torch.bool).tril(pk.shape[1])
    scores = (q @ k.mT / d**0.5).masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v
    ### END SOLUTION


# %% test="rotary_prefix_attention" points=3
zero = torch.zeros(1, 1, 2, 2)
check.close(
    rotary_prefix_attention(
        zero,
        zero,
        torch.tensor([[[[3.0], [9.0]]]]),
        torch.zeros(1, 2, 2),
        torch.tensor([[[30.0], [60.0]]]),
    ),
    torch.tensor([[[[31.0], [25.5]]]]),
    "all scores are 0, so each query takes the mean of what it sees: 30, 60, 3 for the "
    "first, 30, 60, 3, 9 for the second. Does the causal mask hide part of the prefix?",
)
q, k, v = torch.arange(24.0).sin().view(3, 1, 1, 2, 4)
cos, sin = rotary.rope_cos_sin(torch.arange(2), rotary.rope_inv_freq(4))
both = [rotary.apply_rope(x, cos, sin) for x in (q, k)]
check.close(
    rotary_prefix_attention(q, k, v, torch.zeros(1, 0, 4), torch.zeros(1, 0, 4)),
    torch.nn.functional.scaled_dot_product_attention(*both, v, is_causal=True),
    "a prefix of length 0 must leave causal attention with RoPE as it is. Are q and k "
    "both rotated, in the interleaved layout, from position 0?",
)
quarter = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
check.close(
    rotary_prefix_attention(
        40 * quarter,
        quarter,
        zero[..., :1],
        torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]),
        torch.tensor([[[0.0], [6.0]]]),
    )[0, 0, 0],
    torch.tensor([0.0]),
    "the first query stands at position 0 and is not turned: both keys of the prefix "
    "are at a right angle to it, its own content is not. Was the content moved?",
    atol=1e-4,
)
### BEGIN HIDDEN TESTS
draw = check.generator("rotary_prefix_attention")


@check.probe
def gradients(q, k, v, pk, pv, weight):
    leaves = [x.clone().requires_grad_() for x in (q, k, v, pk, pv)]
    (rotary_prefix_attention(*leaves) * weight).sum().backward()
    return [leaf.grad for leaf in leaves]


@check.probe
def arguments_after(*given):
    rotary_prefix_attention(*given)
    return list(given)


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def turned(x, place):
    """One vector, as complex numbers, each turned by its own angle."""
    d = x.shape[-1]
    angle = place * 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    z = torch.view_as_complex(x.reshape(-1, 2).contiguous())
    return torch.view_as_real(z * torch.polar(torch.ones_like(angle), angle)).flatten()


def one_by_one(q, k, v, pk, pv):
    """A loop over batch, heads and queries; each sees a list of keys."""
    batch, heads, n, d = q.shape
    rows = []
    for b in range(batch):
        for h in range(heads):
            for i in range(n):
                keys = [*pk[h], *(turned(k[b, h, j], j) for j in range(i + 1))]
                values = torch.stack([*pv[h], *v[b, h, : i + 1]])
                asked = turned(q[b, h, i], i)
                scores = torch.stack([asked @ key for key in keys]) / d**0.5
                rows.append(scores.softmax(0) @ values)
    return torch.stack(rows).view(batch, heads, n, -1)


def drawn(batch, heads, n, d, d_v, m):
    content = normal(batch, heads, n, d), normal(batch, heads, n, d)
    prefix = normal(heads, m, d), normal(heads, m, d_v)
    return [2 * content[0], content[1], normal(batch, heads, n, d_v), *prefix]


for shape in [(2, 3, 5, 4, 6, 2), (1, 1, 1, 2, 1, 3), (3, 2, 7, 6, 5, 9)]:
    five = drawn(*shape)
    words = "batch {}, heads {}, n {}, d {}, d_v {}, m {}".format(*shape)
    want = one_by_one(*five)
    check.close(rotary_prefix_attention(*five), want, f"random arguments, {words}")
    check.close(
        rotary_prefix_attention(*(x.float() for x in five)),
        want.float(),
        f"float32, {words}",
        rtol=1e-3,
        atol=1e-4,
    )
    order = torch.randperm(shape[-1], generator=draw)
    check.close(
        rotary_prefix_attention(*five[:3], five[3][:, order], five[4][:, order]),
        want,
        f"the tokens of the prefix have no order: permuted, {words}",
    )
    weight = normal(*want.shape)
    leaves = [x.clone().requires_grad_() for x in five]
    (one_by_one(*leaves) * weight).sum().backward()
    check.close(
        gradients(*five, weight),
        [leaf.grad for leaf in leaves],
        f"gradients for q, k, v, pk and pv, {words}",
        atol=1e-6,
    )

q, k, v, pk, pv = drawn(2, 2, 6, 4, 3, 5)
check.close(
    rotary_prefix_attention(q, k, v, pk[:, :0], pv[:, :0]),
    one_by_one(q, k, v, pk[:, :0], pv[:, :0]),
    "a prefix of length 0 must change nothing",
)
check.close(
    rotary_prefix_attention(0 * q, 0 * k, v, 0 * pk, pv)[:, :, 0],
    (5 * pv.mean(1) + v[:, :, 0]) / 6,
    "the first query must see the whole prefix and itself, nothing else",
)
strided = [x.mT.contiguous().mT for x in (q, k, v, pk, pv)]
check.close(
    rotary_prefix_attention(*strided),
    one_by_one(q, k, v, pk, pv),
    "non-contiguous arguments give another answer",
)
single = [x.float() for x in (1e3 * q, k, v, pk, pv)]
check.close(
    rotary_prefix_attention(*single),
    one_by_one(*(x.double() for x in single)).float(),
    "scores in the thousands, float32",
    rtol=1e-2,
    atol=1e-2,
)
check.close(
    arguments_after(*(x.clone() for x in (q, k, v, pk, pv))),
    [q, k, v, pk, pv],
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The bill of a prefix
#
# How many numbers are trained, and how many are kept? In a model with grouped queries the keys and values of a layer together have fewer numbers than two tokens of the model's width: a table of keys and values follows the cache, while the small table that enters the network stays as wide as the model. Biases count.
#
# <details><summary>Hint 1</summary>A token of the prefix has one key and one value in every layer.</details>
# <details><summary>Hint 2</summary>With the network, what is trained is a table (m, width), a linear map width → mid with bias, and one from mid to all that a token of the prefix needs, with bias. What is kept does not know of it.</details>


# %% solution="prefix_param_count" difficulty=1 minutes=10
def prefix_param_count(n_layers, n_tokens, width, kv_width, mid=None):
    """How many numbers a prefix trains and how many it stores: (trained, stored).

    width: of the model. kv_width: numbers in one token's key in one layer, all heads
    together; a value has as many. mid: None if the prefix is trained directly, else
    the hidden width of Linear, tanh, Linear, applied to a table (n_tokens, width);
    both maps have a bias. Returns two Python ints.
    """
    ### BEGIN SOLUTION
    row = 2 * n_layers * kv_width
    stored = n_tokens * row
    if mid is None:
        return stored, stored
    return n_tokens * width + (width + 1) * mid + (mid + 1) * row, stored
    ### END SOLUTION


# %% test="prefix_param_count" points=1
check.close(
    prefix_param_count(1, 8, 48, 48),
    (768, 768),
    "one layer, 8 tokens: 8 keys and 8 values of 48 numbers, trained as they are kept",
)
check.close(
    prefix_param_count(1, 1, 2, 2, mid=3),
    (2 + 9 + 16, 4),
    "a table of 2, then 2·3 + 3, then 3·4 + 4; of this a key and a value remain",
)
### BEGIN HIDDEN TESTS
numbers = check.rng("prefix_param_count")
for _ in range(6):
    layers, tokens, width, kv, mid = (int(x) for x in numbers.integers(2, 40, 5))
    table = torch.nn.Embedding(tokens, width)
    first = torch.nn.Linear(width, mid)
    last = torch.nn.Linear(mid, layers * (kv + kv))
    count = sum(p.numel() for part in (table, first, last) for p in part.parameters())
    kept = torch.zeros(layers, 2, tokens, kv).numel()
    words = "random sizes, a key narrower or wider than the model"
    check.close(
        prefix_param_count(layers, tokens, width, kv, mid), (count, kept), words
    )
    check.close(
        prefix_param_count(layers, tokens, width, kv),
        (kept, kept),
        f"without the network, {words}",
    )
check.close(
    prefix_param_count(3, 0, 5, 4, mid=2),
    (12 + 72, 0),
    "no tokens: the network is trained for nothing",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A prefix without its network
#
# You are sent the training state of someone's prefix, as `peft` saves it: the small table `embedding.weight` (m, width), and a network, Linear, tanh, Linear, as `transform.0.weight`, `transform.0.bias`, `transform.2.weight`, `transform.2.bias`. Or there was no network; then `embedding.weight` is all there is, and it has the prefix itself in its rows. A row of the prefix holds, layer by layer, first all heads' keys, then all heads' values.
#
# Return what has to be in the cache, keys and values of all layers.
#
# <details><summary>Hint 1</summary>A linear map of PyTorch keeps its weight as (out, in): <code>x @ weight.T + bias</code>.</details>
# <details><summary>Hint 2</summary>A row's axes are (layers, 2, heads, d), from the slowest to the fastest.</details>
# <details><summary>Hint 3</summary><code>unflatten</code>, then <code>permute</code> so that the axis of two comes first and the tokens come before d.</details>


# %% solution="materialise" difficulty=3 minutes=15
def materialise(state, n_layers, n_heads):
    """Keys and values of every layer, from the training state of a prefix.

    state: a dict of tensors, with or without the four of the network, see above.
    n_heads: heads of keys; d follows from the sizes. Returns (keys, values), each a
    new tensor (n_layers, n_heads, m, d).
    """
    ### BEGIN SOLUTION
    flat = state["embedding.weight"]
    if "transform.0.weight" in state:
        hidden = flat @ state["transform.0.weight"].T + state["transform.0.bias"]
        out = hidden.tanh() @ state["transform.2.weight"].T
        flat = out + state["transform.2.bias"]
    parts = flat.unflatten(1, (n_layers, 2, n_heads, -1)).permute(2, 1, 3, 0, 4)
    keys, values = parts.clone()
    return keys, values
    ### END SOLUTION


# %% test="materialise" points=2
row = torch.tensor([[5.0, 6.0, 10.0, 20.0, 7.0, 8.0, 30.0, 40.0]])
check.close(
    materialise({"embedding.weight": row}, 2, 1),
    (
        torch.tensor([[[[5.0, 6.0]]], [[[7.0, 8.0]]]]),
        torch.tensor([[[[10.0, 20.0]]], [[[30.0, 40.0]]]]),
    ),
    "one token, two layers, one head, d = 2, no network: the row is key, value of the "
    "first layer, then key, value of the second",
)
network = {
    "embedding.weight": torch.tensor([[2.0]]),
    "transform.0.weight": torch.tensor([[50.0]]),
    "transform.0.bias": torch.tensor([0.0]),
    "transform.2.weight": torch.tensor([[3.0], [5.0]]),
    "transform.2.bias": torch.tensor([0.5, 0.0]),
}
check.close(
    materialise(network, 1, 1),
    (torch.tensor([[[[3.5]]]]), torch.tensor([[[[5.0]]]])),
    "tanh(100) = 1 in the middle: a key of 3 + 0.5, a value of 5. Keys beyond 1 are "
    "allowed: there is no tanh at the end",
)
### BEGIN HIDDEN TESTS
draw = check.generator("materialise")


@check.probe
def state_after(state, n_layers, n_heads):
    keys, values = materialise(state, n_layers, n_heads)
    keys.zero_()
    values.zero_()
    return state


def trained(n_layers, heads, d, m, width, mid, dtype=torch.float64):
    shapes = {
        "embedding.weight": (m, width),
        "transform.0.weight": (mid, width),
        "transform.0.bias": (mid,),
        "transform.2.weight": (2 * n_layers * heads * d, mid),
        "transform.2.bias": (2 * n_layers * heads * d,),
    }
    return {
        name: torch.randn(shape, dtype=torch.float64, generator=draw).to(dtype)
        for name, shape in shapes.items()
    }


def looked_up(flat, n_layers, heads, d):
    """Each number by its place in the row."""
    both = torch.empty(2, n_layers, heads, len(flat), d, dtype=flat.dtype)
    for which in range(2):
        for layer in range(n_layers):
            for head in range(heads):
                first = ((2 * layer + which) * heads + head) * d
                both[which, layer, head] = flat[:, first : first + d]
    return both[0], both[1]


def in_training(state):
    """What PyTorch's own modules make of the state."""
    mid, width = state["transform.0.weight"].shape
    out = len(state["transform.2.bias"])
    modules = torch.nn.Sequential(
        torch.nn.Linear(width, mid), torch.nn.Tanh(), torch.nn.Linear(mid, out)
    ).to(state["embedding.weight"].dtype)
    start = len("transform.")
    modules.load_state_dict(
        {name[start:]: x for name, x in state.items() if name[0] == "t"}
    )
    with torch.no_grad():
        return modules(state["embedding.weight"])


for n_layers, heads, d, m, width, mid in [
    (2, 3, 4, 5, 12, 7),
    (3, 2, 5, 1, 30, 4),
    (1, 1, 2, 6, 2, 9),
    (4, 2, 3, 2, 24, 24),
]:
    words = f"{n_layers} layers, {heads} heads, d = {d}, {m} tokens, width {width}"
    for dtype, rtol in ((torch.float64, 1e-6), (torch.float32, 1e-3)):
        state = trained(n_layers, heads, d, m, width, mid, dtype)
        check.close(
            materialise(state, n_layers, heads),
            looked_up(in_training(state), n_layers, heads, d),
            f"must be what the network gave in training, {words}, {dtype}",
            rtol=rtol,
            atol=1e-4 if dtype == torch.float32 else 1e-7,
        )
    flat = torch.randn(m, 2 * n_layers * heads * d, generator=draw)
    check.close(
        materialise({"embedding.weight": flat}, n_layers, heads),
        looked_up(flat, n_layers, heads, d),
        f"no network, only a table, {words}",
        rtol=0,
        atol=0,
    )
    strided = {"embedding.weight": flat.T.contiguous().T}
    check.close(
        materialise(strided, n_layers, heads),
        looked_up(flat, n_layers, heads, d),
        f"no network, a non-contiguous table, {words}",
        rtol=0,
        atol=0,
    )
    check.close(
        state_after({"embedding.weight": flat.clone()}, n_layers, heads),
        {"embedding.weight": flat},
        "keys and values must be new tensors: writing into them changed the state",
        rtol=0,
        atol=0,
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Could a prefix have done this?
#
# Someone shows you the attention weights of a layer before and after a change, on the same input, and says that all that was added is a prefix of m tokens. Behind a prefix the weights of the content are $(1-\lambda_i)\,a_{ij}$: for each query $i$ one factor for all $j$. Write the test. It must be a test of *ratios*: a weight of $10^{-9}$ that has become $10^{-6}$ is a change by a factor of a thousand, and no prefix makes it.
#
# <details><summary>Hint 1</summary>Drop the first m columns of the second table. What must be constant along each row?</details>
# <details><summary>Hint 2</summary>A key that a mask hides has the weight 0 before and must have it after; 0/0 says nothing else.</details>
# <details><summary>Hint 3</summary>Bring each row of the content back to the sum 1, and compare with what was there, relative to its size.</details>


# %% solution="ratio_invariance" difficulty=3 minutes=15
def ratio_invariance(before, after):
    """Whether attention `after` is that of `before` behind a prefix.

    before: (..., n, keys), rows sum to 1; an exact 0 is a key that a mask hides.
    after: (..., n, m + keys), the same queries and keys behind m >= 0 tokens. Returns
    a Python bool: True if along each row the weights of the content are in the same
    ratios as before, up to a relative error of 1e-3, however small they are.
    """
    ### BEGIN SOLUTION
    content = after[..., after.shape[-1] - before.shape[-1] :]
    again = content / content.sum(-1, keepdim=True)
    return bool(((again - before).abs() <= 1e-3 * before).all())
    ### END SOLUTION


# %% test="ratio_invariance" points=2
even = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
gates = torch.tensor([[0.2], [0.6]])
check.close(
    ratio_invariance(even, torch.cat([gates, (1 - gates) * even], -1)),
    True,
    "a prefix takes a fifth of the first query's attention and three fifths of the "
    "second's: each query has a gate of its own",
)
check.close(
    ratio_invariance(
        even, torch.tensor([[0.2, 0.2, 0.4, 0.2], [0.6, 0.32, 0.04, 0.04]])
    ),
    False,
    "the first query now prefers another key of the content",
)
### BEGIN HIDDEN TESTS
draw = check.generator("ratio_invariance")


@check.probe
def arguments_after(first, second):
    ratio_invariance(first, second)
    return first, second


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


def weights(q, k, hidden=None, bias=0.0):
    scores = q @ k.mT / q.shape[-1] ** 0.5 + bias
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1)


def behind(q, k, pk, hidden=None, bias=0.0):
    """Weights behind a prefix; what else is asked for happens to the content."""
    m = pk.shape[-2]
    wide = torch.zeros(q.shape[-2], m + k.shape[-2], dtype=torch.bool)
    if hidden is not None:
        wide[:, m:] = hidden
    pk = pk.expand(*k.shape[:-2], *pk.shape[-2:])
    change = torch.cat([torch.zeros(m).double(), torch.zeros(k.shape[-2]) + bias])
    return weights(q, torch.cat([pk, k], -2), wide, change)


for shape in [(5, 6), (1, 3), (2, 3, 7, 4), (1, 1, 4, 9)]:
    *rows, keys = shape
    lead, n = rows[:-1], rows[-1]
    for strength in (1.0, 5.0):
        for m in (0, 1, 3, 12):
            q, k = strength * normal(*rows, 6), normal(*lead, keys, 6)
            pk = 2 * normal(*lead, m, 6)
            words = f"shape {shape}, {m} tokens"
            before = weights(q, k)
            check.close(
                ratio_invariance(before, behind(q, k, pk)),
                True,
                f"a prefix of random keys, {words}",
            )
            other = k.clone()
            other[..., 1, :] += 0.3 * q[..., 0, :]
            check.close(
                ratio_invariance(before, behind(q, other, pk)),
                False,
                f"a key of the content was changed beside the prefix, {words}",
            )
            check.close(
                ratio_invariance(before, behind(1.3 * q, k, pk)),
                False,
                f"another temperature beside the prefix, {words}",
            )
            nudge = torch.zeros(keys, dtype=torch.float64)
            nudge[-1] = 0.05
            check.close(
                ratio_invariance(before, behind(q, k, pk, bias=nudge)),
                False,
                f"a small bias on one key of the content, {words}",
            )

q, k, pk = normal(3, 6, 4), normal(3, 6, 4), normal(3, 2, 4)
hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
before = weights(q, k, hidden)
check.close(
    ratio_invariance(before, behind(q, k, pk, hidden)),
    True,
    "a prefix under a causal mask: hidden keys have the weight 0 before and after",
)
check.close(
    ratio_invariance(before, behind(q, k, pk)),
    False,
    "keys that the mask hid are seen now",
)
check.close(
    ratio_invariance(before.float(), behind(q, k, pk, hidden).float()),
    True,
    "a prefix under a causal mask, float32",
)
check.close(
    ratio_invariance(weights(q, k), behind(q, k, pk, hidden)),
    False,
    "keys that were seen are hidden now",
)
faint = torch.zeros(6, dtype=torch.float64)
faint[0] = -30.0  # whatever was drawn, below what allclose takes for nothing
before = weights(q, k, bias=faint)
check.close(
    ratio_invariance(before, behind(q, k, pk, bias=faint)),
    True,
    "a key with almost no weight, behind a prefix",
)
check.close(
    ratio_invariance(before, behind(q, k, pk, bias=0.7 * faint)),
    False,
    "a key with almost no weight got thousands of times as much",
)
check.close(
    ratio_invariance(before, behind(q, k, pk, bias=2 * faint)),
    False,
    "a key with almost no weight lost nearly all of it",
)
level = torch.zeros(3, 6, 2, dtype=torch.float64)
content = q @ k.mT / 2
for score, words in ((25.0, "takes nearly all attention"), (-25.0, "takes none")):
    after = torch.cat([level + score, content], -1).softmax(-1)
    check.close(ratio_invariance(weights(q, k), after), True, f"a prefix that {words}")
one = weights(q, k)
mixed = torch.cat([0.5 * one[..., :1], 0.5 * one], -1)
mixed[..., 0] = 0.5
mixed[1, 2, 1:] = mixed[1, 2, 1:].flip(-1)
check.close(
    ratio_invariance(one, mixed), False, "a single row of a single head was turned over"
)
q, k, pk = normal(2, 30, 5), normal(2, 40, 5), normal(2, 3, 5)
after = behind(q, k, pk)
check.close(
    ratio_invariance(weights(q, k), after), True, "a prefix and many tokens of content"
)
noise = 1 + 2e-4 * torch.rand(after.shape, dtype=torch.float64, generator=draw)
check.close(
    ratio_invariance(weights(q, k), after * noise),
    True,
    "relative errors of two in ten thousand are within what is allowed",
)
after[1, 17, 20] *= 1.02
check.close(
    ratio_invariance(weights(q, k), after),
    False,
    "one weight of thousands is off by two per cent",
)
q, k, pk = normal(3, 6, 4), normal(3, 6, 4), normal(3, 2, 4)
one, after = weights(q, k), behind(q, k, pk)
check.close(
    arguments_after(one.clone(), after.clone()),
    (one, after),
    "an argument was changed in place",
)
### END HIDDEN TESTS
