# ---
# jupyter:
#   hide: [peft/quantisation]
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # LoRA
#
# The chapter put one update beside one weight, found a low rank for the weights alone, asked what a name means, and kept one code a byte. Four tasks, each where practice goes a step further.

# %%
import torch
import torch.nn.functional as F
from torch import nn

from course import check

# %% [markdown]
# ## 1 · LoRA on a fused projection
#
# GPT-2 computes queries, keys and values by one matrix: its output is three parts, one after the other. LoRA on "q and v" then means: **an update of rank r of its own for the first part and one for the third, none for the second.** Write the layer for any number of parts; with a single one it is the LoRA of the chapter.
#
# Either factor may be the one that starts at zero. How you name, stack or transpose the factors is up to you; they are the only parameters of the layer beside those of `base`.
#
# <details><summary>Hint 1</summary>Which of the chapter's three demands (no change at the start, a gradient at the start, only the factors trained) does your initialisation meet? Both factors zero, or both random, each break one.</details>
# <details><summary>Hint 2</summary>One pair of factors for each part that is on, in an <code>nn.ParameterList</code>. The update of the whole weight has a block of zero rows where a part is off.</details>
# <details><summary>Hint 3</summary>Let <code>update</code> build the whole (d_out, d_in), and use it to merge and to unmerge, under <code>torch.no_grad()</code>. A flag tells whether it is in. With dropout the forward pass needs x itself: <code>base(x) + F.linear(dropped x, update)</code> is fine here.</details>


# %% solution="FusedLoRA" difficulty=3 minutes=30
class FusedLoRA(nn.Module):
    """A linear layer of several parts, some of them with an update of low rank.

    base: nn.Linear whose output is len(enabled) parts of equal size, one after the
    other; kept as it is, and frozen. enabled: a bool for each part; where it is True,
    the part's rows of the weight get alpha / r times a product of two factors of rank
    r, which have the dtype of base.weight. dropout: probability, in training only, and
    only for what enters the factors.

    forward(x), x of shape (..., d_in). merge() adds the update to base.weight, after
    which the output is the same without any further work (no dropout either);
    unmerge() takes it out. Doing either twice is doing it once. update(), what would be
    added to the whole weight, (d_out, d_in), is for your own use: no test calls it.
    """

    def __init__(self, base, r, alpha, enabled, dropout=0.0):
        super().__init__()
        ### BEGIN SOLUTION
        self.base = base.requires_grad_(False)
        self.scale, self.enabled = alpha / r, enabled
        self.part = base.out_features // len(enabled)
        d_in, like = base.in_features, base.weight
        for name in ("A", "B"):
            setattr(self, name, nn.ParameterList())
        for _ in range(sum(enabled)):
            drawn = torch.empty(r, d_in).uniform_(-(d_in**-0.5), d_in**-0.5)
            self.A.append(nn.Parameter(drawn.to(like)))
            self.B.append(nn.Parameter(like.new_zeros(self.part, r)))
        self.dropout, self.merged = nn.Dropout(dropout), False
        ### END SOLUTION

    def update(self):
        ### BEGIN SOLUTION
        products = iter([B @ A for A, B in zip(self.A, self.B)])
        nothing = self.base.weight.new_zeros(self.part, self.base.in_features)
        rows = [next(products) if on else nothing for on in self.enabled]
        return self.scale * torch.cat(rows)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        if self.merged:
            return self.base(x)
        return self.base(x) + F.linear(self.dropout(x), self.update())
        ### END SOLUTION

    @torch.no_grad()
    def merge(self):
        ### BEGIN SOLUTION
        if not self.merged:
            self.base.weight += self.update()
        self.merged = True
        ### END SOLUTION

    @torch.no_grad()
    def unmerge(self):
        ### BEGIN SOLUTION
        if self.merged:
            self.base.weight -= self.update()
        self.merged = False
        ### END SOLUTION


# %% test="FusedLoRA" points=3
@check.probe
def at_the_start(weight, bias, r, alpha, enabled, dropout, x, upstream):
    """Output in training, and of each parameter that is trained the value and slope."""
    base = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    base.weight = nn.Parameter(weight.clone())
    if bias is not None:
        base.bias = nn.Parameter(bias.clone())
    layer = FusedLoRA(base, r, alpha, enabled, dropout).train()
    output = layer(x)
    if output.requires_grad:
        (output * upstream).sum().backward()
    trained = [p for p in layer.parameters() if p.requires_grad]
    return {
        "output": output.detach(),
        "values": [p.detach() for p in trained],
        "slopes": [torch.zeros_like(p) if p.grad is None else p.grad for p in trained],
        "frozen": [p.detach() for p in layer.parameters() if not p.requires_grad],
    }


@check.probe
def with_ones(weight, r, alpha, enabled):
    """The change of the weight when every number that is trained is 1."""
    base = nn.Linear(weight.shape[1], weight.shape[0], False)
    base.weight = nn.Parameter(weight.clone())
    layer = FusedLoRA(base, r, alpha, enabled).eval()
    with torch.no_grad():
        for p in layer.parameters():
            if p.requires_grad:
                p.fill_(1.0)
        eye = torch.eye(weight.shape[1], dtype=weight.dtype)
        return (layer(eye) - eye @ weight.T).T


weight = torch.arange(12.0).view(6, 2) / 10
row = torch.tensor([[1.0, -1.0]])
found = at_the_start(
    weight, None, 2, 3.0, [True, False, True], 0.0, row, 1 + row[:, :1]
)
check.close(
    found["output"],
    F.linear(row, weight),
    "at the start the output must be that of base: is one factor of each pair zero?",
)
check.close(
    sum(value.numel() for value in found["values"]),
    16,
    "two parts with factors (2, 2) and (2, 2) each: 16 numbers; is base frozen?",
)
check.close(
    with_ones(weight, 2, 3.0, [True, False, True]),
    torch.tensor([[3.0], [3.0], [0.0], [0.0], [3.0], [3.0]]).expand(6, 2).contiguous(),
    "all factors 1, r = 2, alpha = 3: 3/2 times a sum of two ones where a part is on",
)
### BEGIN HIDDEN TESTS
draw = check.generator("FusedLoRA")


@check.probe
def slopes_along_themselves(weight, r, alpha, enabled, numbers, x, upstream):
    """Sum of parameter times gradient, and what the update adds, times upstream."""
    base = nn.Linear(weight.shape[1], weight.shape[0], False)
    base.weight = nn.Parameter(weight.clone())
    tried = FusedLoRA(base, r, alpha, enabled)
    start, trained = 0, [p for p in tried.parameters() if p.requires_grad]
    for p in trained:
        p.data.copy_(numbers[start : start + p.numel()].view(p.shape))
        start += p.numel()
    output = tried(x)
    (output * upstream).sum().backward()
    along = sum((p * p.grad).sum() for p in trained if p.grad is not None)
    added = ((output - x @ weight.T) * upstream).sum()
    return along.detach(), added.detach()


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for d_in, part, enabled, r, alpha, biased, lead in [
    (7, 4, [True, False, True], 2, 5.0, True, (6,)),
    (5, 6, [True], 3, 2.0, False, (2, 3)),
    (6, 3, [False, True], 1, 0.7, True, (1, 1)),
    (4, 5, [True, True, False, True], 4, 9.0, False, (3,)),
]:
    weight = random(part * len(enabled), d_in)
    bias = random(part * len(enabled)) if biased else None
    x, upstream = random(*lead, d_in), random(*lead, part * len(enabled))
    words = f"{sum(enabled)} of {len(enabled)} parts, rank {r}, float64"
    found = at_the_start(weight, bias, r, alpha, enabled, 0.0, x, upstream)
    dropped = at_the_start(weight, bias, r, alpha, enabled, 0.6, x, upstream)
    check.close(found["output"], dropped["output"], f"dropout at the start: {words}")
    check.close(
        found["output"],
        F.linear(x, weight, bias),
        f"at the start base alone must speak, dropout or not: {words}",
    )
    check.close(
        sum(value.numel() for value in found["values"]),
        sum(enabled) * r * (d_in + part),
        f"trained numbers: a pair of factors for each part that is on: {words}",
    )
    frozen = sorted([weight.numel()] + ([bias.numel()] if biased else []))
    check.close(
        sorted(each.numel() for each in found["frozen"]),
        frozen,
        f"base's own parameters are there and frozen, and no others: {words}",
    )
    zeros = [float(value.abs().max()) == 0 for value in found["values"]]
    still = [float(slope.abs().max()) == 0 for slope in found["slopes"]]
    check.close(
        [not z for z in zeros],
        still,
        "the factor that is zero must get a gradient at once, the other none yet",
    )
    check.close(any(zeros) and not all(zeros), True, "one factor zero, not both")
    numbers = random(sum(enabled) * r * (d_in + part))
    along, added = slopes_along_themselves(
        weight, r, alpha, enabled, numbers, x, upstream
    )
    check.close(
        along,
        2 * added,
        f"once both factors are away from zero, both must get their gradient: {words}",
    )
    mask = torch.tensor([float(on) for on in enabled]).double()
    want = alpha * mask.repeat_interleave(part)[:, None].expand(-1, d_in)
    check.close(
        with_ones(weight, r, alpha, enabled),
        want.contiguous(),
        f"the scale is alpha / r, and parts that are off stay: {words}",
    )
single = at_the_start(
    random(6, 4).float(),
    None,
    2,
    3.0,
    [True, True],
    0.0,
    random(2, 4).float(),
    random(2, 6).float(),
)
check.close(
    all(value.dtype == torch.float32 for value in single["values"]),
    True,
    "the factors must have the dtype of base.weight",
)
### END HIDDEN TESTS


# %% test="FusedLoRA" aspect="merge" points=2
@check.probe
def merged_and_back(weight, bias, r, alpha, enabled, dropout, numbers, x):
    """Weight and output: with factors set, merged, merged again, out, out again."""
    base = nn.Linear(weight.shape[1], weight.shape[0])
    base.weight = nn.Parameter(weight.clone())
    base.bias = nn.Parameter(bias.clone())
    layer = FusedLoRA(base, r, alpha, enabled, dropout).eval()
    start = 0
    with torch.no_grad():
        for p in layer.parameters():
            if p.requires_grad:
                p.copy_(numbers[start : start + p.numel()].view(p.shape))
                start += p.numel()
    seen = [(base.weight.detach().clone(), layer(x).detach())]
    for change in (layer.merge, layer.merge, layer.unmerge, layer.unmerge):
        change()
        seen.append((base.weight.detach().clone(), layer(x).detach()))
    layer.merge()
    training = layer.train()(x).detach()
    trained = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    return seen, training, trained


@check.probe
def in_training(weight, r, alpha, enabled, dropout, numbers, x):
    """What 4,000 passes in training add to the output of base: mean and deviation."""
    base = nn.Linear(weight.shape[1], weight.shape[0], False)
    base.weight = nn.Parameter(weight.clone())
    layer = FusedLoRA(base, r, alpha, enabled, dropout)
    start = 0
    with torch.no_grad():
        for p in layer.parameters():
            if p.requires_grad:
                p.copy_(numbers[start : start + p.numel()].view(p.shape))
                start += p.numel()
        rows = x.expand(4000, -1)
        added = layer.train()(rows) - rows @ weight.T
        nothing = (added.abs() < 1e-9).to(added.dtype).mean(0)
        whole = layer.eval()(x) - x @ weight.T
        return added.mean(0), added.std(0), nothing, whole


ones = torch.ones(8)
seen, _, _ = merged_and_back(
    torch.zeros(2, 2), torch.zeros(2), 2, 4.0, [True], 0.0, ones, torch.eye(2)
)
check.close(
    seen[1],
    (torch.full((2, 2), 4.0), torch.full((2, 2), 4.0)),
    "merged: the weight holds the update, and the output counts it once, not twice",
)
check.close(
    seen[3][0],
    torch.zeros(2, 2),
    "unmerge must give the weight back",
)
### BEGIN HIDDEN TESTS
draw = check.generator("FusedLoRA_merge")
for d_in, part, enabled, r in [
    (7, 4, [True, False, True], 2),
    (5, 6, [True], 3),
    (6, 3, [False, True], 1),
]:
    rows = part * len(enabled)
    weight = torch.randn(rows, d_in, dtype=torch.float64, generator=draw)
    bias = torch.randn(rows, dtype=torch.float64, generator=draw)
    x = torch.randn(2, 3, d_in, dtype=torch.float64, generator=draw)
    count = sum(enabled) * r * (d_in + part)
    numbers = torch.randn(count, dtype=torch.float64, generator=draw)
    words = f"{sum(enabled)} of {len(enabled)} parts, rank {r}"
    seen, training, trained = merged_and_back(
        weight, bias, r, 3.0, enabled, 0.5, numbers, x
    )
    output = seen[0][1]
    check.close(seen[0][0], weight, f"the weight is untouched until merged: {words}")
    for step, (_, y) in enumerate(seen):
        check.close(y, output, f"merging must not change the output (step {step})")
    for step in (1, 2):
        added = seen[step][0] - weight
        check.close(
            F.linear(x, weight + added, bias),
            output,
            f"base alone must give the merged output, merged twice or not: {words}",
        )
    for step in (3, 4):
        check.close(seen[step][0], weight, f"unmerged, once or twice: {words}")
    check.close(training, output, "merged, there is no dropout left in training")
    check.close(trained, count, "merging must not make base's weight trainable")
    for i, on in enumerate(enabled):
        values = torch.linalg.svdvals(added[part * i : part * (i + 1)])
        check.close(
            int((values > 1e-9).sum()),
            r if on else 0,
            f"the rank of each part's update must be r, or 0 where it is off: {words}",
        )
    whole = torch.linalg.svdvals(added)
    check.close(
        int((whole > 1e-9).sum()),
        min(sum(enabled) * r, rows, d_in),
        f"each part must have factors of its own, both of them: {words}",
    )
    mean, deviation, nothing, want = in_training(
        weight, r, 3.0, enabled, 0.4, numbers.abs(), x[0, :1].abs() + 1
    )
    off = (mean - want[0]).abs() / (deviation + 1e-9) * 4000**0.5
    check.close(
        float(off.max()),
        0.0,
        "dropout in training must leave the mean as it is",
        atol=5.5,
    )
    lively = torch.tensor(enabled).repeat_interleave(part)
    check.close(
        deviation > 1e-6,
        lively,
        "in training the update, and nothing else, must feel the dropout",
    )
    check.close(
        nothing < 0.15,
        lively,
        "the dropout belongs before both factors: behind one, whole outputs vanish",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The best low rank for the inputs that come
#
# Eckart and Young make $\|\Delta W - BA\|$ small, as if all inputs were equally likely. They are not: inputs of a layer fill few directions. Given a sample $X$ of them, one a row, make the change of the *outputs* right instead:
#
# $$\min_{B, A}\ \big\|X(\Delta W - BA)^\top\big\|_F\,.$$
#
# There may be fewer inputs than directions, so nothing can be inverted.
#
# <details><summary>Hint 1</summary>The outputs' change is Y = ΔW Xᵀ. What is its best approximation of rank r, and is that approximation of the form B A Xᵀ?</details>
# <details><summary>Hint 2</summary>The best approximation is a projection: U<sub>r</sub> U<sub>r</sub>ᵀ Y, with the first r left singular vectors of Y. Write it as (something) ΔW Xᵀ.</details>
# <details><summary>Hint 3</summary>B = U<sub>r</sub>, A = U<sub>r</sub>ᵀ ΔW. With fewer than r inputs the short SVD has too few columns: ask for <code>full_matrices=True</code>.</details>


# %% solution="extract_for_inputs" difficulty=3 minutes=20
def extract_for_inputs(dW, x, r):
    """B and A of rank r whose product acts on these inputs most nearly as dW does.

    dW: (d_out, d_in), the update in full. x: (n, d_in), inputs, any n from 1 on, same
    dtype. r: from 1 to min(d_out, d_in). Returns (B, A), shapes (d_out, r), (r, d_in),
    new tensors with the least |x (dW - B A)^T|.
    """
    ### BEGIN SOLUTION
    U, _, _ = torch.linalg.svd(dW @ x.mT, full_matrices=True)
    return U[:, :r].contiguous(), U[:, :r].mT @ dW
    ### END SOLUTION


# %% test="extract_for_inputs" points=3
two = torch.diag(torch.tensor([3.0, 1.0]))
B, A = extract_for_inputs(two, torch.eye(2), 1)
check.close(
    B @ A,
    torch.diag(torch.tensor([3.0, 0.0])),
    "all directions alike: keep the larger singular value, 3 (and once, not squared)",
)
B, A = extract_for_inputs(two, torch.diag(torch.tensor([1.0, 10.0])), 1)
check.close(
    B @ A @ torch.tensor([0.0, 1.0]),
    torch.tensor([0.0, 1.0]),
    "inputs ten times as long in the second direction: now that one must be kept",
)
### BEGIN HIDDEN TESTS
draw = check.generator("extract_for_inputs")


@check.probe
def extraction_arguments_after(dW, x, r):
    extract_for_inputs(dW, x, r)
    return dW, x


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for d_out, d_in, n, r in [
    (6, 9, 40, 2),
    (9, 6, 40, 3),
    (5, 5, 5, 1),
    (7, 8, 3, 2),  # fewer inputs than directions
    (7, 8, 2, 4),  # fewer inputs than ranks
    (4, 6, 1, 1),
    (4, 6, 20, 4),
]:
    dW = random(d_out, d_in)
    x = random(n, d_in) @ torch.diag(3.0 ** -torch.arange(d_in).double())
    words = f"dW {d_out} by {d_in}, {n} inputs, rank {r}"
    B, A = extract_for_inputs(dW, x, r)
    check.close(
        (list(B.shape), list(A.shape)),
        ([d_out, r], [r, d_in]),
        f"B must be (d_out, r) and A (r, d_in): {words}",
    )
    tail = torch.linalg.svdvals(dW @ x.T)[r:].square().sum()
    check.close(
        (x @ (dW - B @ A).T).square().sum(),
        tail,
        f"the squared error of the outputs must be the tail of their spectrum: {words}",
        atol=1e-9,
        rtol=1e-6,
    )
    B3, A3 = extract_for_inputs(3 * dW, x, r)
    check.close(
        x @ (B3 @ A3).T,
        3 * x @ (B @ A).T,
        f"three times the update must give three times the product: {words}",
    )
    single = extract_for_inputs(dW.float(), x.float(), r)
    check.close(
        x.float() @ (single[0] @ single[1]).T,
        (x @ (B @ A).T).float(),
        f"float32 in must give float32 out: {words}",
        rtol=1e-3,
        atol=1e-4,
    )

dW = random(6, 8)
whitened = torch.linalg.qr(random(8, 8)).Q
B, A = extract_for_inputs(dW, whitened, 3)
U, S, Vh = torch.linalg.svd(dW)
check.close(
    B @ A,
    U[:, :3] @ torch.diag(S[:3]) @ Vh[:3],
    "inputs without a preferred direction: the best for the weights themselves",
)
x = random(8, 30).T
B, A = extract_for_inputs(dW, x, 2)
again = extract_for_inputs(dW, x.contiguous(), 2)
check.close(B @ A, again[0] @ again[1], "a non-contiguous x gives another answer")
moved = extract_for_inputs(dW, torch.linalg.qr(random(30, 30)).Q @ x, 2)
check.close(
    B @ A,
    moved[0] @ moved[1],
    "only the covariance of the inputs may count, not which is which",
)
check.close(
    extraction_arguments_after(dW.clone(), x.contiguous(), 2),
    (dW, x.contiguous()),
    "an argument was changed in place",
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Which layers get one
#
# A target is the *end of a name, in whole steps between dots*: `q` stands for `q`, `layers.0.q` and `layers.11.q`, and neither for `freq` nor for `layers.0.q.norm`; `1.q` stands for `layers.1.q`, and not for `layers.11.q`. Replace the linear layers that are meant, freeze all that was there, and leave everything that is shared shared.
#
# <details><summary>Hint 1</summary>Collect first, replace afterwards: a loop over <code>named_modules()</code> walks into what you have just put there.</details>
# <details><summary>Hint 2</summary><code>f".{name}".endswith(f".{target}")</code> compares whole steps. <code>name.rpartition(".")</code> gives the parent, <code>model.get_submodule</code> finds it; for the top level the parent's name is empty.</details>
# <details><summary>Hint 3</summary><code>named_modules()</code> names a module that stands in two places only once; <code>remove_duplicate=False</code> names it twice. Keep a dict from the layer to what <code>make</code> returned for it.</details>


# %% solution="wrap_linears" difficulty=3 minutes=25
def wrap_linears(model, targets, make):
    """Replace the nn.Linear layers whose names end in a target by make(layer).

    model: changed in place. targets: list of strings. make: takes the layer and returns
    the module for its place; it is called once for a layer, however many names that
    has, and all of them then lead to the same new module. All parameters the model had
    before are frozen; what make adds is left as it comes. Modules of other kinds are
    never replaced, whatever their name. Where nothing is meant, nothing is replaced.
    Returns the sorted list of all names that were replaced.
    """
    ### BEGIN SOLUTION
    model.requires_grad_(False)
    places = [
        (name, layer)
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, nn.Linear)
        and any(f".{name}".endswith(f".{target}") for target in targets)
    ]
    wrappers = {layer: make(layer) for layer in {each: None for _, each in places}}
    for name, layer in places:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, wrappers[layer])
    return sorted(name for name, _ in places)
    ### END SOLUTION


# %% test="wrap_linears" points=3
@check.probe
def wrapped(names, targets):
    """Wrap linear layers of these names; who was wrapped, how often, what is trained.

    A dot begins a child; an equals sign gives a second name to an earlier module; a
    name ending in '!' stands for a layer norm.
    """

    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.scale = nn.Parameter(torch.ones(1))
            Wrapper.made += 1

    Wrapper.made = 0
    model = nn.Module()
    for i, entry in enumerate(names):
        name, _, original = entry.partition("=")
        parent, _, child = name.rstrip("!").rpartition(".")
        owner = model
        for step in parent.split(".") if parent else []:
            if not hasattr(owner, step):
                owner.add_module(step, nn.Module())
            owner = getattr(owner, step)
        if original:
            owner.add_module(child, model.get_submodule(original))
        elif name.endswith("!"):
            owner.add_module(child, nn.LayerNorm(2))
        else:
            owner.add_module(child, nn.Linear(2, 2))
            getattr(owner, child).weight.data.fill_(float(i))
    before = list(model.parameters())
    answer = wrap_linears(model, targets, Wrapper)
    found, trained = {}, 0
    for name, module in model.named_modules(remove_duplicate=False):
        if type(module) is Wrapper and type(module.inner) is nn.Linear:
            found[name] = float(module.inner.weight[0, 0])
        elif type(module) is Wrapper:
            found[name] = -1.0
    for p in before:
        trained += p.requires_grad
    scales = {id(p) for p in model.parameters() if p.requires_grad}
    return {
        "answer": list(answer),
        "found": found,
        "made": Wrapper.made,
        "old trained": int(trained),
        "new trained": len(scales),
    }


seen = wrapped(["q", "freq", "layers.0.q", "layers.0.k"], ["q"])
check.close(
    seen["found"],
    {"q": 0.0, "layers.0.q": 2.0},
    "target 'q': q and layers.0.q are meant, freq only ends in the same letter",
)
check.close(seen["answer"], ["layers.0.q", "q"], "the sorted names must be returned")
check.close(
    (seen["old trained"], seen["new trained"]),
    (0, 2),
    "what the model had is frozen, what make adds is not: freeze before you wrap",
)
### BEGIN HIDDEN TESTS
layers = [f"layers.{i}.{n}" for i in (0, 1, 10, 11, 21) for n in ("q", "k", "mlp.up")]
extra = ["head", "sq", "q_proj", "q.inner", "layers.1.q.extra", "layers.11.norm!"]
for targets, want in [
    (["1.q"], ["layers.1.q"]),
    (["q"], [f"layers.{i}.q" for i in (0, 1, 10, 11, 21)]),
    (["mlp.up", "head"], [f"layers.{i}.mlp.up" for i in (0, 1, 10, 11, 21)] + ["head"]),
    (["up", "mlp.up"], [f"layers.{i}.mlp.up" for i in (0, 1, 10, 11, 21)]),
    (["layers.10.k"], ["layers.10.k"]),
    (["norm"], []),
    (["mlp", "ayers.0.q", "layers", ".k", "q."], []),
    ([], []),
]:
    names = layers + extra[:3] + extra[5:]
    seen = wrapped(names, targets)
    words = f"targets {len(targets)}, {len(names)} layers"
    check.close(
        seen["found"],
        {name: float(names.index(name)) for name in want},
        f"names must match in whole steps from the end, linear layers only: {words}",
    )
    check.close(seen["answer"], sorted(want), f"sorted names: {words}")
    check.close(seen["made"], len(want), f"make is called once for a layer: {words}")
    check.close(
        (seen["old trained"], seen["new trained"]),
        (0, len(want)),
        f"old parameters frozen, new ones not, even if nothing is meant: {words}",
    )

names = ["a.q", "b.q=a.q", "c.k=a.q", "c.q"]
seen = wrapped(names, ["q"])
check.close(
    (seen["answer"], seen["made"]),
    (["a.q", "b.q", "c.q"], 2),
    "a layer with two names that are meant is one layer, wrapped once",
)
check.close(
    seen["found"],
    {"a.q": 0.0, "b.q": 0.0, "c.q": 3.0},
    "every name that is meant must lead to the new module",
)
check.close(seen["new trained"], 2, "the two names must lead to the same new module")


@check.probe
def twice_and_tied(weight):
    """Wrap again what is wrapped; then change a weight that two layers share."""

    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

    model = nn.Module()
    model.embed, model.q = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
    model.embed.weight = nn.Parameter(weight.clone())
    model.q.weight = model.embed.weight
    first = wrap_linears(model, ["q"], Wrapper)
    second = wrap_linears(model, ["q"], Wrapper)
    with torch.no_grad():
        model.embed.weight += 1
    return len(first), len(second), model.q.inner.weight.detach()


tied = torch.randn(3, 2, dtype=torch.float64, generator=check.generator("tied"))
first, second, weight = twice_and_tied(tied)
check.close((first, second), (1, 0), "what is wrapped must not be wrapped again")
check.close(weight, tied + 1, "a weight tied to the embedding must stay tied")
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Two codes a byte
#
# Four bits are four bits only if two share a byte, and weights do not always come in multiples of a block. Given a codebook of sixteen values, quantise in blocks and pack.
#
# Flatten the weights row by row and cut them into blocks; the last may be shorter. The scale of a block is its largest magnitude. A weight becomes the index of the value nearest to weight / scale. Of every two indices in a row, the first goes into the high four bits of a byte and the second into the low four. A missing last index is that of the value 0, and so is every index of a block that is all zero.
#
# <details><summary>Hint 1</summary>Pad with zeros, but know which of your two paddings is for blocks and which for bytes: bytes and scales that nobody needs must not come back.</details>
# <details><summary>Hint 2</summary>Nearest: <code>(unit[..., None] - codebook).abs().argmin(-1)</code>. A scale of 0 divides nothing: use 1 in its place.</details>
# <details><summary>Hint 3</summary><code>16 * high + low</code>, in an integer type that holds 255, then <code>.to(torch.uint8)</code>. The index of the value 0 is <code>codebook.abs().argmin()</code>.</details>


# %% solution="pack_four_bits" difficulty=2 minutes=20
def pack_four_bits(w, codebook, block):
    """Quantise in blocks to sixteen values, and store two indices a byte.

    w: any shape, n numbers in all, n >= 1. codebook: (16,), ascending, from -1 to 1
    with an exact 0, same dtype. block: numbers to a scale.
    Returns (packed, scale): uint8 of shape (ceil(n / 2),), and a tensor of w's dtype of
    shape (ceil(n / block),).
    """
    ### BEGIN SOLUTION
    n, zero = w.numel(), int(codebook.abs().argmin())
    rows = F.pad(w.flatten(), (0, -n % block)).view(-1, block)
    scale = rows.abs().amax(1)
    unit = rows / torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
    codes = (unit[..., None] - codebook).abs().argmin(-1).flatten()[:n]
    pairs = F.pad(codes, (0, n % 2), value=zero).view(-1, 2)
    return (16 * pairs[:, 0] + pairs[:, 1]).to(torch.uint8), scale
    ### END SOLUTION


# %% test="pack_four_bits" points=3
even = torch.tensor([-1, -0.9, -0.8, -0.7, -0.6, -0.5, -0.4, 0, 0.1, 0.2, 0.3, 0.4, 0.5,
                     0.7, 0.9, 1])  # fmt: skip
packed, scale = pack_four_bits(torch.tensor([2.0, 0.0, -1.0, 0.38]), even, 4)
check.close(scale, torch.tensor([2.0]), "one block, whose largest magnitude is 2")
check.close(
    packed,
    torch.tensor([15 * 16 + 7, 5 * 16 + 9], dtype=torch.uint8),
    "divided by 2: 1, 0, -0.5, 0.19, indices 15, 7, 5, 9; the first of two goes high",
)
check.close(
    pack_four_bits(torch.zeros(3), even, 2),
    (torch.tensor([119, 119], dtype=torch.uint8), torch.zeros(2)),
    "zeros stay zero: index 7 each, the missing one too, and no division by zero",
)
### BEGIN HIDDEN TESTS
from lib.peft import quantisation as reference

draw = check.generator("pack_four_bits")


@check.probe
def packing_arguments_after(w, codebook):
    pack_four_bits(w, codebook, 4)
    return w, codebook


def unpack(packed, scale, codebook, n, block):
    codes = torch.stack([packed.long() // 16, packed.long() % 16], 1).flatten()
    return codebook[codes[:n]] * scale.repeat_interleave(block)[:n]


nf4 = reference.nf4_codebook().double()
odd = torch.rand(16, dtype=torch.float64, generator=draw).sort().values * 2 - 1
odd[0], odd[4], odd[15] = -1, 0, 1
odd = odd.sort().values
for shape, block, book in [
    ((8, 16), 32, nf4),
    ((5, 7), 16, nf4),
    ((3, 3, 3), 64, odd),
    ((1,), 4, nf4),
    ((2, 9), 5, odd),
]:
    w = torch.randn(shape, dtype=torch.float64, generator=draw)
    w.view(-1)[-1] *= 3
    n, words = w.numel(), f"{shape} in blocks of {block}"
    packed, scale = pack_four_bits(w, book, block)
    check.close(
        (packed.dtype == torch.uint8, list(packed.shape), list(scale.shape)),
        (True, [-(-n // 2)], [-(-n // block)]),
        f"ceil(n / 2) bytes and ceil(n / block) scales: {words}",
    )
    blocks = w.flatten().split(block)
    largest = torch.stack([each.abs().max() for each in blocks])
    check.close(
        scale, largest, f"a scale is the largest magnitude of its block: {words}"
    )
    unit = w.flatten() / largest.repeat_interleave(block)[:n]
    nearest = (unit[:, None] - book).abs().min(1).values
    back = unpack(packed, scale, book, n, block)
    check.close(
        (back - w.flatten()).abs() / largest.repeat_interleave(block)[:n],
        nearest,
        f"every weight must go to its nearest value: {words}",
    )
    if n % 2:
        missing = int(packed[-1]) % 16
        check.close(
            float(book[missing]), 0.0, f"the missing index is that of 0: {words}"
        )
    single = pack_four_bits(w.float(), book.float(), block)
    check.close(
        single[1], scale.float(), f"float32 weights have float32 scales: {words}"
    )
    again = pack_four_bits(2 * w, book, block)
    check.close(
        again, (packed, 2 * scale), f"twice the weights: the same codes: {words}"
    )

w = torch.randn(64, 64, dtype=torch.float64, generator=draw)
int4 = torch.cat([torch.tensor([-1.0]), torch.arange(-7, 8) / 7]).double()
errors = []
for book in (nf4, int4):
    packed, scale = pack_four_bits(w, book, 64)
    errors.append(unpack(packed, scale, book, 4096, 64).sub(w.flatten()).norm())
check.close(
    float(errors[0] / errors[1] < 0.93),
    1.0,
    "normal weights must lose less with NF4 than with values at equal distances",
)
holes = w.clone()
holes[::3] = 0
packed, scale = pack_four_bits(holes, nf4, 64)
back = unpack(packed, scale, nf4, 4096, 64).view(64, 64)
check.close(back[::3], holes[::3], "a block of zeros among others stays zero, not NaN")
strided = w[:6, :5].T
check.close(
    pack_four_bits(strided, nf4, 4),
    pack_four_bits(strided.contiguous(), nf4, 4),
    "rows are those of w as it is indexed, also where it is not contiguous",
)
check.close(
    packing_arguments_after(holes.clone(), nf4.clone()),
    (holes, nf4),
    "an argument was changed in place",
)
### END HIDDEN TESTS
