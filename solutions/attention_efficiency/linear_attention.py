# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Linear attention, and the sparse alternative
#
# Four steps that the chapter derived and did not write down: the chunked form with a state that comes in and goes out; the fewest features for a given matrix of weights; another sparse pattern; and how many layers a pattern needs.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · A chunk at a time
#
# A long text arrives in pieces. What is left of the earlier pieces is the state,
#
# $$S=\sum_j\phi(k_j)\,v_j^\top,\qquad z=\sum_j\phi(k_j),$$
#
# and the new piece is worked off `chunk` tokens at a time: pairs inside a chunk by matrix products and a mask, everything earlier through the state. The features have been formed already.
#
# A loop over single tokens gives the right numbers and is asked for nowhere: the second test counts operations and looks at the largest tensor.
#
# <details><summary>Hint 1</summary>Numerator and denominator of a token have two parts each: keys of its own chunk up to itself, and all keys before the chunk.</details>
# <details><summary>Hint 2</summary>Divide once, after both parts have been added. Two quotients cannot be added.</details>
# <details><summary>Hint 3</summary>The state grows after the chunk has been read, not before: else the chunk's later keys are seen too early.</details>


# %% solution="attend_in_chunks" difficulty=3 minutes=25
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    """Causal linear attention of a piece of text, after other pieces.

    phi_q, phi_k: (..., n, m), features, positive. v: (..., n, d). chunk: an int from 1
    on; the last chunk may be shorter. state: (S, z) of all earlier tokens, zeros if
    there are none: S (..., m, d), z (..., m).
    Returns (output, (S, z)): output (..., n, d), where token i is the average of the
    values of all earlier pieces and of tokens 0 ... i, weighted by phi_q(i) . phi_k(j);
    and the state with the whole piece in it. New tensors; the dtype is kept, and
    gradients pass.
    """
    ### BEGIN SOLUTION
    S, z = state
    parts = []
    for start in range(0, v.shape[-2], chunk):
        piece = slice(start, start + chunk)
        a, b, x = phi_q[..., piece, :], phi_k[..., piece, :], v[..., piece, :]
        pairs = (a @ b.mT).tril()
        above = pairs @ x + a @ S
        below = pairs.sum(-1) + (a @ z[..., None])[..., 0]
        parts.append(above / below[..., None])
        S, z = S + b.mT @ x, z + b.sum(-2)
    return torch.cat(parts, -2), (S, z)
    ### END SOLUTION


# %% test="attend_in_chunks" points=3
phi = torch.tensor([[1.0, 1.0], [1.0, 3.0], [2.0, 0.5]])
value = torch.tensor([[4.0], [0.0], [8.0]])
nothing = torch.zeros(2, 1), torch.zeros(2)
output, state = attend_in_chunks(phi[:1], phi[:1], value[:1], 1, nothing)
check.close(output, value[:1], "a token with nothing before it must return its value")
output, state = attend_in_chunks(phi, phi, value, 3, nothing)
check.close(
    output[1, 0],
    torch.tensor(8 / 7),
    "token 1 gives weight 4 to token 0 and 10 to itself: (4 · 4 + 10 · 0) / 14. "
    "4 · 4 alone forgets to divide; a token 2 in it, to mask",
)
check.close(
    state,
    (torch.tensor([[20.0], [8.0]]), torch.tensor([4.0, 4.5])),
    "S is the sum of phi(k_j) v_j^T, (m, d); z the sum of phi(k_j), (m,)",
)
check.close(
    attend_in_chunks(phi, phi, value, 2, nothing)[0],
    output,
    "chunks of 2 must give what one chunk of 3 gives",
)
### BEGIN HIDDEN TESTS
draw = check.generator("attend_in_chunks")


@check.probe
def arguments_after(a, b, x, chunk, S, z):
    attend_in_chunks(a, b, x, chunk, (S, z))
    return a, b, x, S, z


@check.probe
def slopes(a, b, x, chunk, S, z):
    given = [t.clone().requires_grad_() for t in (a, b, x, S, z)]
    output, (S_end, z_end) = attend_in_chunks(*given[:3], chunk, (given[3], given[4]))
    total = output.square().sum() + (S_end**2).sum() + z_end.sum()
    total.backward()
    return [t.grad for t in given]


def features(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw).exp()


def table(a, b, x, S, z):
    """The definition: all pairs."""
    weight = torch.einsum("...im,...jm->...ij", a, b)
    weight = weight * torch.ones(weight.shape[-2:], dtype=a.dtype).tril()
    above = torch.einsum("...ij,...jd->...id", weight, x)
    above = above + torch.einsum("...im,...md->...id", a, S)
    below = weight.sum(-1) + torch.einsum("...im,...m->...i", a, z)
    return above / below[..., None]


cases = [((), 12, 3, 4), ((2, 3), 17, 5, 2), ((1,), 1, 2, 1), ((4,), 30, 1, 6)]
for rows, n, m, d in cases:
    a, b = features(*rows, n, m), features(*rows, n, m)
    x = features(*rows, n, d).log()
    empty = torch.zeros(*rows, m, d).double(), torch.zeros(*rows, m).double()
    some = features(*rows, m, d).log(), features(*rows, m)
    for words, start in (("no earlier text", empty), ("earlier text", some)):
        want = table(a, b, x, *start)
        ends = start[0] + torch.einsum("...jm,...jd->...md", b, x), start[1] + b.sum(-2)
        for size in (1, 2, 5, n, n + 3):
            got = attend_in_chunks(a, b, x, size, start)
            said = f"{n} tokens in chunks of {size}, {words}, leading axes {rows}"
            check.close(got[0], want, f"the sum over pairs differs: {said}")
            check.close(got[1], ends, f"the state afterwards: {said}")

a, b, x = features(2, 23, 4), features(2, 23, 4), features(2, 23, 3).log()
start = torch.zeros(2, 4, 3).double(), torch.zeros(2, 4).double()
whole, last = attend_in_chunks(a, b, x, 4, start)
for cut in (1, 9, 22):
    one, between = attend_in_chunks(a[:, :cut], b[:, :cut], x[:, :cut], 4, start)
    two, after = attend_in_chunks(a[:, cut:], b[:, cut:], x[:, cut:], 6, between)
    check.close(
        (torch.cat([one, two], 1), after),
        (whole, last),
        "a text in two pieces, the state handed on, must give what it gives in one",
    )
later = b.clone()
later[:, 15] *= 3
check.close(
    attend_in_chunks(a, later, x, 6, start)[0][:, :15],
    attend_in_chunks(a, b, x, 6, start)[0][:, :15],
    "a later key must change nothing before it",
)
level = torch.full((2, 23, 3), -2.5).double()
check.close(
    attend_in_chunks(a, b, level, 5, start)[0],
    level,
    "values that are all the same must be returned: the weights add up to one",
)
odd = features(4, 23, 2).permute(2, 1, 0)
check.close(
    attend_in_chunks(odd, b, x, 7, start),
    attend_in_chunks(odd.contiguous(), b, x, 7, start),
    "a non-contiguous phi_q gives another answer",
)
small = [t.float() for t in (a, b, x)], tuple(t.float() for t in start)
check.close(
    attend_in_chunks(*small[0], 4, small[1])[0],
    whole.float(),
    "float32 must stay float32",
    rtol=1e-4,
    atol=1e-4,
)
some = features(2, 4, 3), features(2, 4)
check.close(
    arguments_after(a, b, x, 5, *some),
    (a, b, x, *some),
    "an argument was changed in place, perhaps the state: += does that",
)
given = [t.clone().requires_grad_() for t in (a, b, x, *some)]
ends = given[3] + torch.einsum("...jm,...jd->...md", given[1], given[2])
total = table(*given).square().sum() + ends.square().sum()
total = total + (given[4] + given[1].sum(-2)).sum()
total.backward()
check.close(
    slopes(a, b, x, 5, *some),
    [t.grad for t in given],
    "the gradient differs from that of the sum over pairs",
    rtol=1e-6,
    atol=1e-6,
)
### END HIDDEN TESTS


# %% test="attend_in_chunks" aspect="cost" points=1
@check.probe
def cost(n, m, d, chunk):
    """How many operations a call takes, and the largest tensor of any of them."""
    from torch.utils._python_dispatch import TorchDispatchMode

    made = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            each = result if isinstance(result, (tuple, list)) else [result]
            made.append(max(t.numel() if hasattr(t, "numel") else 0 for t in each))
            return result

    a, x = torch.ones(n, m), torch.ones(n, d)
    with Count():
        attend_in_chunks(a, a, x, chunk, (torch.zeros(m, d), torch.zeros(m)))
    return len(made), max(made)


operations, largest = cost(256, 8, 8, 32)
check.close(
    operations > 800,
    False,
    "256 tokens in 8 chunks must take fewer than 100 operations a chunk: loop over "
    "chunks, not over tokens",
)
check.close(
    largest > 4 * 256 * (8 + 8 + 32),
    False,
    "256 tokens in chunks of 32 make a tensor that is too large: all pairs, or a state "
    "for every token, are kept at once",
)
### BEGIN HIDDEN TESTS
import math

for n, m, d, chunk in [(2048, 24, 24, 32), (1500, 32, 16, 64), (2000, 20, 30, 50)]:
    operations, largest = cost(n, m, d, chunk)
    turns = math.ceil(n / chunk)
    said = f"{n} tokens in {turns} chunks"
    check.close(
        operations > 100 * turns, False, f"more than 100 operations a chunk: {said}"
    )
    check.close(
        largest > 4 * n * (m + d + chunk),
        False,
        f"a tensor of all pairs, or of a state for each token: {said}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · How many features would it take?
#
# Someone hands you the matrix of weights of a trained softmax attention and asks for linear attention with the same weights. Any matrix can be written as $\Phi_Q\Phi_K^\top$ if there may be as many features as tokens. How few will do, if a relative error is allowed?
#
# Features may have any sign here, and a normaliser is not asked for: $A$ has it built in.
#
# <details><summary>Hint 1</summary>The best approximation by a product through m features is one of rank m. Which one, and how far off is it?</details>
# <details><summary>Hint 2</summary>Eckart and Young: keep the m largest singular values. The squared error is the sum of the squares of the others.</details>
# <details><summary>Hint 3</summary>The tolerance is on norms, not on their squares, and not on a single singular value. Add up squares from the small end.</details>


# %% solution="fewest_features" difficulty=3 minutes=20
def fewest_features(A, tol):
    """Features of the fewest dimensions whose products come close to A.

    A: (n_q, n_k), not all zeros. tol: a float between 0 and 1.
    Returns (phi_q, phi_k), (n_q, m) and (n_k, m), of A's dtype, with the Frobenius norm
    of phi_q @ phi_k.T - A at most tol times that of A, m as small as any pair of
    factors allows, and the error as small as this m allows.
    """
    ### BEGIN SOLUTION
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    left_out = s.square().flip(0).cumsum(0).flip(0).sqrt()  # by keeping 0, 1, ...
    m = int((left_out > tol * left_out[0]).sum())
    return U[:, :m] * s[:m], Vh[:m].T.clone()
    ### END SOLUTION


# %% test="fewest_features" points=3
line = torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, -1.0]))
phi_q, phi_k = fewest_features(line, 1e-3)
check.close(
    (phi_q.shape, phi_k.shape),
    ((3, 1), (2, 1)),
    "an outer product has rank 1: one feature, phi_q (n_q, 1) and phi_k (n_k, 1)",
)
check.close(phi_q @ phi_k.T, line, "and phi_q @ phi_k.T must be that matrix", atol=1e-5)
stairs = torch.diag(torch.tensor([12.0, 4.0, 3.0]))
check.close(
    fewest_features(stairs, 0.3)[0].shape,
    (3, 2),
    "diag(12, 4, 3) has norm 13. One feature misses by 5, two by 3; 0.3 · 13 = 3.9",
)
### BEGIN HIDDEN TESTS
import math

draw = check.generator("fewest_features")


@check.probe
def matrix_after(A, tol):
    fewest_features(A, tol)
    return A


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def product(A):
    one, other = fewest_features(A, 0.4)
    return one @ other.T


def with_spectrum(rows, columns, values):
    s = torch.tensor(values, dtype=torch.float64)
    U, V = (
        torch.linalg.qr(normal(rows, len(s)))[0],
        torch.linalg.qr(normal(columns, len(s)))[0],
    )
    return (U * s) @ V.T


spectrum = [8.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5]
norm = math.sqrt(sum(s * s for s in spectrum))
for rows, columns in [(20, 20), (9, 31), (26, 8)]:
    A = with_spectrum(rows, columns, spectrum)
    for m in range(1, 8):
        tail, more = (math.sqrt(sum(s * s for s in spectrum[i:])) for i in (m, m - 1))
        for part in (0.15, 0.85):
            tol = (tail + part * (more - tail)) / norm
            phi_q, phi_k = fewest_features(A, tol)
            said = f"a random {rows} by {columns} matrix of eight singular values"
            check.close(
                (phi_q.shape, phi_k.shape),
                ((rows, m), (columns, m)),
                f"the number of features is not the fewest that will do: {said}",
            )
            check.close(
                torch.linalg.norm(phi_q @ phi_k.T - A),
                torch.tensor(tail).double(),
                f"these are not the best features of this number: {said}",
                rtol=1e-6,
                atol=1e-8,
            )

feature_q, feature_k = normal(50, 6).exp(), normal(40, 6).exp()
linear = feature_q @ feature_k.T
linear = linear / linear.sum(-1, keepdim=True)
phi_q, phi_k = fewest_features(linear, 1e-6)
check.close(
    phi_q.shape[1],
    6,
    "the weights of linear attention with 6 features, normalised: 6 features again",
)
check.close(phi_q @ phi_k.T, linear, "and they must give these weights")
angle = torch.arange(40).double() * (2 * math.pi / 40)
circle = torch.stack([angle.cos(), angle.sin()], 1)
sharp = (400 * circle @ circle.T).softmax(-1)
check.close(
    fewest_features(sharp, 0.01)[0].shape[1] > 35,
    True,
    "softmax attention between 40 points of a circle, sharp: nearly as many features "
    "as tokens",
)
order = torch.randperm(20, generator=draw)
A = with_spectrum(20, 20, spectrum)
check.close(
    product(A[order]),
    product(A)[order],
    "other order of the queries: the same approximation, in that order",
)
check.close(
    product(3e-5 * A) / 3e-5,
    product(A),
    "A times a small number: the tolerance is relative",
)
odd = with_spectrum(7, 9, [3.0, 2.0, 1.0]).T
check.close(
    fewest_features(odd, 0.1)[1].shape, (7, 3), "a non-contiguous A, 9 by 7, of rank 3"
)
check.close(
    fewest_features(odd.float(), 0.1)[0].dtype == torch.float32,
    True,
    "float32 must stay float32",
)
check.close(matrix_after(odd.contiguous(), 0.1), odd, "A was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Summaries at fixed places
#
# The strided pattern suits images, whose neighbours above are a stride apart. For text Child et al. cut the sequence into blocks: a query sees its own block, and of every block the last few places, which are to hold a summary. All of it up to itself only.
#
# <details><summary>Hint 1</summary>Which block is place j in, and where in its block? One is the quotient by the length of a block, the other the remainder.</details>
# <details><summary>Hint 2</summary>Three conditions on a table of i against j: j is not later; and (the same block, or j among the last places of its own).</details>


# %% solution="fixed_mask" difficulty=1 minutes=10
def fixed_mask(n, block, last):
    """The fixed sparse pattern, True where query i (row) sees key j (column).

    n: tokens. block: the length of a block, the last of which may be cut short by n.
    last: how many places at the end of each block everyone after them sees, 1 to block.
    Returns a boolean tensor (n, n).
    """
    ### BEGIN SOLUTION
    place = torch.arange(n)
    i, j = place[:, None], place[None, :]
    same_block = i // block == j // block
    summary = j % block >= block - last
    return (j <= i) & (same_block | summary)
    ### END SOLUTION


# %% test="fixed_mask" points=1
check.close(
    fixed_mask(6, 3, 1),
    torch.tensor(
        [
            [1, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [0, 0, 1, 1, 0, 0],
            [0, 0, 1, 1, 1, 0],
            [0, 0, 1, 1, 1, 1],
        ]
    ).bool(),
    "two blocks of 3: places 3, 4, 5 see their own block up to themselves, and place "
    "2, the last of the first block",
)
### BEGIN HIDDEN TESTS
for n, block, last in [
    (1, 1, 1),
    (20, 4, 2),
    (23, 5, 1),
    (23, 5, 5),
    (17, 6, 4),
    (9, 20, 3),
]:
    said = f"{n} tokens, blocks of {block}, the last {last} of each"
    got = fixed_mask(n, block, last)
    want = torch.zeros(n, n, dtype=torch.bool)
    for row in range(n):
        for column in range(row + 1):
            together = row // block == column // block
            want[row, column] = together or block - column % block <= last
    check.close(got.tril(), got, f"a query sees a later key: {said}")
    check.close(
        got.diagonal(),
        torch.ones(n, dtype=torch.bool),
        f"not all see themselves: {said}",
    )
    check.close(got.sum(1), want.sum(1), f"how many keys a query sees: {said}")
    check.close(got, want, f"which keys a query sees: {said}")
    paths = got.double() @ got.double()
    check.close(
        paths > 0,
        torch.ones(n, n).tril() > 0,
        f"two layers must reach every earlier token: {said}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · How many layers until everyone has heard of everyone?
#
# Through one layer a token hears of the tokens it sees; through two, of those that these have heard of. A pattern that leaves out nearly all pairs is no loss of reach if few layers make up for it.
#
# <details><summary>Hint 1</summary>Keep a table of who has heard of whom. What does one more layer do to it?</details>
# <details><summary>Hint 2</summary>i hears of j if i sees some t that has heard of j: a product of two tables of zeros and ones, and where it is positive.</details>
# <details><summary>Hint 3</summary>A table that a layer does not change will never change again.</details>


# %% solution="layers_needed" difficulty=2 minutes=15
def layers_needed(mask):
    """The fewest layers, 1 or more, after which each token has heard of all before it.

    mask: (n, n), boolean, True where row i sees column j; nobody sees a later token,
    everybody sees itself. Each layer has this mask.
    Returns an int, or -1 if no number of layers is enough.
    """
    ### BEGIN SOLUTION
    n = len(mask)
    sees = mask.double()
    heard, layers = mask, 1
    while heard.sum() < n * (n + 1) // 2:
        wider = (sees @ heard.double()) > 0
        if wider.sum() == heard.sum():
            return -1
        heard, layers = wider, layers + 1
    return layers
    ### END SOLUTION


# %% test="layers_needed" points=2
everyone = torch.ones(5, 5).tril().bool()
check.close(layers_needed(everyone), 1, "everybody sees everybody earlier: one layer")
neighbour = everyone & ~everyone.tril(-2)
check.close(
    layers_needed(neighbour),
    4,
    "five tokens that see one neighbour: the news of token 0 moves one place a layer",
)
check.close(
    layers_needed(torch.eye(3).bool()), -1, "tokens that see only themselves: never"
)
### BEGIN HIDDEN TESTS
import math

draw = check.generator("layers_needed")


@check.probe
def mask_after(mask):
    layers_needed(mask)
    return mask


def by_walking(mask):
    """Longest of all shortest walks, by breadth-first search from each token."""
    n, longest = len(mask), 1
    for start in range(n):
        seen, edge, turn = {start}, {start}, 0
        while edge:
            edge = {j for t in edge for j in range(n) if mask[t, j]} - seen
            seen, turn = seen | edge, turn + 1
            if edge:
                longest = max(longest, turn)
        if len(seen) < start + 1:
            return -1
    return longest


for n, window in [(1, 1), (2, 2), (12, 2), (13, 3), (30, 8), (30, 29), (90, 12)]:
    local = torch.ones(n, n).tril().triu(1 - window).bool()
    want = max(1, math.ceil((n - 1) / max(window - 1, 1)))
    check.close(layers_needed(local), want, f"{n} tokens, a window of {window}")
for n, window, stride in [(40, 6, 6), (40, 3, 6), (33, 2, 9), (25, 1, 4)]:
    either = torch.ones(n, n).tril().triu(1 - window).bool()
    for far in range(0, n, stride):
        either.diagonal(-far).fill_(True)
    check.close(
        layers_needed(either),
        by_walking(either),
        f"{n} tokens, a window of {window} and a stride of {stride}",
    )
for n in (2, 7, 12, 16):
    for share in (0.15, 0.5, 0.9):
        chance = torch.rand(n, n, generator=draw) < share
        mask = (chance | torch.eye(n).bool()).tril()
        mask[1:, :-1] |= torch.eye(n - 1).bool() & (torch.rand(1, generator=draw) < 0.8)
        check.close(
            layers_needed(mask), by_walking(mask), f"a random mask of {n} tokens"
        )
chain = (torch.eye(150) + torch.diag(torch.ones(149), -1)).bool()
check.close(
    layers_needed(chain), 149, "a chain of 150 tokens: counts must not overflow"
)
wheel = torch.eye(300).bool()
wheel[:, 0] = True
wheel[-1] = True
check.close(
    layers_needed(wheel), -1, "300 tokens that see only the first and themselves"
)
one_missing = torch.ones(258, 258).tril().bool()
one_missing[-1, 0] = False
check.close(
    layers_needed(one_missing), 2, "258 tokens, one pair missing: 256 ways around it"
)
odd = neighbour.T.contiguous().T
check.close(layers_needed(odd), 4, "a non-contiguous mask")
check.close(mask_after(neighbour.clone()), neighbour, "mask was changed in place")
### END HIDDEN TESTS
