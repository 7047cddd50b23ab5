# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Adapters
#
# The chapter counted the bytes of a training step and put small modules into a frozen model. Here you write the bill for a list of tensors and four optimisers, an adapter that wraps a layer and can stand after it or beside it, the injection into a model that must not notice, and a program that says of any function whether it could have been folded into the layer before it.

# %%
import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from course import check

# %% [markdown]
# ## 1 · The bill
#
# A parameter that is trained has a weight, a gradient, in mixed precision a master copy of 32 bits, and whatever the optimiser remembers of it, always in numbers of 32 bits. A frozen parameter has its weight.
#
# What the optimiser remembers need not be a multiple of the number of parameters. Adafactor stores for a matrix of $r$ rows and $c$ columns only the sums of its squared gradients over rows and over columns, $r + c$ numbers; a stack of such matrices, $(\dots, r, c)$, has them for each one. A tensor of fewer than two axes has one number for each entry.
#
# <details><summary>Hint 1</summary>How many entries has a tensor of shape ()? <code>math.prod</code> knows.</details>
# <details><summary>Hint 2</summary>Two counts suffice for three of the four posts: all entries, and the entries of what is trained. The state of Adafactor is a sum over the trained shapes.</details>
# <details><summary>Hint 3</summary>For Adafactor and a shape with two axes or more: <code>math.prod(shape[:-2]) * (shape[-2] + shape[-1])</code>.</details>


# %% solution="step_bytes" difficulty=1 minutes=15
def step_bytes(shapes, trained, optimiser="adam", mixed=True):
    """Bytes that a training step holds, activations left out.

    shapes: a dict, from the name of a parameter to its shape, a tuple of ints.
    trained: a list of the names that are trained; the rest is frozen.
    optimiser: "sgd" remembers nothing, "momentum" one number for each trained entry,
    "adam" two, "adafactor" as above. Its numbers have 4 bytes.
    mixed: weights and gradients of 2 bytes, and a master copy of 4 bytes of what is
    trained. If not: weights and gradients of 4 bytes and no master copy.
    Returns a dict of ints: "weights", "gradients", "master", "state".
    Raises ValueError for a name in trained that has no shape, and for an optimiser
    that is none of the four.
    """
    ### BEGIN SOLUTION
    if set(trained) - set(shapes):
        raise ValueError(f"trained names what has no shape: {trained}")
    entries = {name: math.prod(shape) for name, shape in shapes.items()}
    learnt = sum(entries[name] for name in trained)
    if optimiser == "adafactor":
        kept = 0
        for shape in (shapes[name] for name in trained):
            matrix = len(shape) > 1
            kept += (
                math.prod(shape[:-2]) * sum(shape[-2:]) if matrix else math.prod(shape)
            )
    elif optimiser in ("sgd", "momentum", "adam"):
        kept = learnt * ("sgd", "momentum", "adam").index(optimiser)
    else:
        raise ValueError(f"optimiser must be one of four, got {optimiser!r}")
    size = 2 if mixed else 4
    return {
        "weights": size * sum(entries.values()),
        "gradients": size * learnt,
        "master": 4 * learnt if mixed else 0,
        "state": 4 * kept,
    }
    ### END SOLUTION


# %% test="step_bytes" points=2
model = {"embedding": (50_000, 14_000), "layers": (1_000, 2_000, 3_500)}
check.close(
    sum(step_bytes(model, ["embedding", "layers"]).values()),
    16 * sum(math.prod(shape) for shape in model.values()),
    "7.7 billion parameters, all trained by Adam in mixed precision: 123.2 GB",
)
check.close(
    step_bytes(model, []),
    {"weights": 15_400_000_000, "gradients": 0, "master": 0, "state": 0},
    "nothing trained: 2 bytes a weight, and nothing else is paid for",
)
check.close(
    step_bytes(
        {"frozen": (3, 5), "matrix": (10, 20), "bias": (7,)},
        ["matrix", "bias"],
        "adafactor",
        False,
    ),
    {"weights": 888, "gradients": 828, "master": 0, "state": 4 * (10 + 20 + 7)},
    "a matrix of 10 x 20 costs Adafactor 30 numbers, a vector of 7 costs it 7",
)
### BEGIN HIDDEN TESTS
draw = check.rng("step_bytes")


def entry_by_entry(shapes, trained, optimiser, mixed):
    """Count single entries, one after the other."""
    import itertools

    bill = {"weights": 0, "gradients": 0, "master": 0, "state": 0}
    for name, shape in shapes.items():
        remembered = set()
        for place in itertools.product(*(range(n) for n in shape)):
            bill["weights"] += 2 if mixed else 4
            if name not in trained:
                continue
            bill["gradients"] += 2 if mixed else 4
            bill["master"] += 4 if mixed else 0
            if optimiser == "adam":
                remembered |= {("m", place), ("v", place)}
            if optimiser == "momentum":
                remembered.add(place)
            if optimiser == "adafactor" and len(shape) < 2:
                remembered.add(place)
            if optimiser == "adafactor" and len(shape) >= 2:
                remembered |= {("row", place[:-1]), ("column", place[:-2], place[-1])}
        bill["state"] += 4 * len(remembered)
    return bill


for _ in range(4):
    shapes = {
        f"p{i}": tuple(int(n) for n in draw.integers(1, 6, size=axes))
        for i, axes in enumerate((0, 1, 2, 2, 3, 4))
    }
    names = list(shapes)
    chosen = [name for name in names if draw.random() < 0.5] or names[:1]
    for some in (chosen, names, []):
        for optimiser in ("sgd", "momentum", "adam", "adafactor"):
            for mixed in (True, False):
                words = f"{len(some)} of six tensors of 0 to 4 axes trained, {optimiser}, mixed={mixed}"
                check.close(
                    step_bytes(shapes, some, optimiser, mixed),
                    entry_by_entry(shapes, some, optimiser, mixed),
                    f"random shapes: {words}",
                )
    halves = [
        step_bytes({n: shapes[n] for n in part}, [n for n in part if n in chosen])
        for part in (names[:3], names[3:])
    ]
    check.close(
        {post: halves[0][post] + halves[1][post] for post in halves[0]},
        step_bytes(shapes, chosen),
        "the bill of two models together must be the sum of their bills",
    )


@check.probe
def refused(shapes, trained, optimiser):
    try:
        step_bytes(shapes, trained, optimiser)
    except ValueError:
        return 1
    return 0


check.close(
    refused({"a": (2,)}, ["b"], "adam"),
    1,
    "a trained name without a shape must be a ValueError",
)
check.close(
    refused({"a": (2,)}, ["a"], "adamw8"),
    1,
    "an unknown optimiser must be a ValueError",
)
check.close(refused({"a": (2,)}, ["a"], "sgd"), 0, "'sgd' must not be refused")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A layer with an adapter, after it or beside it
#
# The chapter's adapter works on what it is given. This one wraps a linear layer $\mathrm{base}:\mathbb R^n\to\mathbb R^d$ and knows two places to stand:
#
# $$\text{after: } y = h + W_{up}\,\phi(W_{down}h + b) + b',\quad h = \mathrm{base}(x) \qquad\qquad \text{beside: } y = \mathrm{base}(x) + W_{up}\,\phi(W_{down}x + b) + b' .$$
#
# Both start as the base layer, exactly. The one lengthens the chain of operations and the other does not. They differ in shape too, where $n\ne d$.
#
# <details><summary>Hint 1</summary>What enters <code>down</code> in either mode, and how wide is it? What leaves <code>up</code>?</details>
# <details><summary>Hint 2</summary><code>base.requires_grad_(False)</code> freezes both of its parameters. <code>nn.init.zeros_</code> on the weight and the bias of <code>up</code>, and on no other weight.</details>
# <details><summary>Hint 3</summary><code>nn.Linear(..., dtype=base.weight.dtype)</code>: a base in float64 gets an adapter in float64.</details>


# %% solution="AdaptedLayer" difficulty=2 minutes=20
class AdaptedLayer(nn.Module):
    """A frozen linear layer with a bottleneck adapter.

    base: an nn.Linear from n to d, kept as it is and frozen.
    m: width of the bottleneck.
    mode: "after", the adapter works on the output of base, or "beside", on its input.
    act: a function of a tensor, entry by entry.
    Attributes: base, down (an nn.Linear to m, with bias), up (an nn.Linear from m, with
    bias). All of the base's dtype. up starts at zero, weight and bias; down.weight does
    not, so that training can begin.
    """

    ### BEGIN SOLUTION
    def __init__(self, base, m, mode="after", act=F.gelu):
        super().__init__()
        n, d = base.in_features, base.out_features
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(d if mode == "after" else n, m, dtype=base.weight.dtype)
        self.up = nn.Linear(m, d, dtype=base.weight.dtype)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.mode, self.act = mode, act

    def forward(self, x):
        """x: (..., n). Returns (..., d)."""
        h = self.base(x)
        read = h if self.mode == "after" else x
        return h + self.up(self.act(self.down(read)))

    ### END SOLUTION


# %% test="AdaptedLayer" points=2
@check.probe
def at_the_start(mode):
    base = nn.Linear(5, 7)
    layer = AdaptedLayer(base, 3, mode)
    x = torch.linspace(-1, 1, 10).view(2, 5)
    count = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    return count, base(x).detach(), layer(x).detach()


for mode, width in (("after", 7), ("beside", 5)):
    count, before, after = at_the_start(mode)
    check.close(
        after,
        before,
        f"{mode}: at the start the layer must do what base does; is up zero?",
    )
    check.close(
        count,
        3 * width + 3 + 7 * 3 + 7,
        f"{mode}: down ({width} to 3) and up (3 to 7) are trained, base is frozen",
    )
### BEGIN HIDDEN TESTS
draw = check.generator("AdaptedLayer")


@check.probe
def with_weights(weights, mode, act, x):
    w, b, w_down, b_down, w_up, b_up = weights
    base = nn.Linear(w.shape[1], w.shape[0], dtype=w.dtype)
    layer = AdaptedLayer(base, w_down.shape[0], mode, getattr(torch, act))
    shapes = [
        tuple(p.shape)
        for p in (layer.down.weight, layer.down.bias, layer.up.weight, layer.up.bias)
    ]
    pairs = ((base, w, b), (layer.down, w_down, b_down), (layer.up, w_up, b_up))
    with torch.no_grad():
        for linear, weight, bias in pairs:
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
    return shapes, layer(x).detach(), x


def wanted(weights, mode, act, x):
    """One row after the other, one hidden unit after the other."""
    w, b, w_down, b_down, w_up, b_up = weights
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        h = w @ row + b
        read = h if mode == "after" else row
        y = h + b_up
        for j in range(len(b_down)):
            y = y + w_up[:, j] * getattr(torch, act)(w_down[j] @ read + b_down[j])
        rows.append(y)
    return torch.stack(rows).view(*x.shape[:-1], len(b))


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for mode in ("after", "beside"):
    for n, d, m, lead, act in [
        (4, 6, 2, (3,), "tanh"),
        (5, 5, 1, (2, 3), "relu"),
        (7, 3, 8, (1,), "sigmoid"),
        (2, 9, 4, (), "square"),
    ]:
        width = d if mode == "after" else n
        weights = [
            normal(d, n),
            normal(d),
            normal(m, width),
            normal(m),
            normal(d, m),
            normal(d),
        ]
        x = normal(*lead, n)
        words = f"mode={mode}, from {n} to {d}, m = {m}, {act}"
        shapes, got, x_after = with_weights(weights, mode, act, x)
        check.close(
            shapes,
            [(m, width), (m,), (d, m), (d,)],
            f"shapes of down and up, {words}",
        )
        check.close(
            got, wanted(weights, mode, act, x), f"random weights, float64, {words}"
        )
        check.close(x_after, x, "the input was changed in place")
        weights[4:] = [0 * weights[4], 0 * weights[5]]
        check.close(
            with_weights(weights, mode, act, x)[1],
            x @ weights[0].T + weights[1],
            f"up = 0 must leave the base layer, {words}",
        )
x = normal(4, 3).T
weights = [normal(6, 4), normal(6), normal(2, 6), normal(2), normal(6, 2), normal(6)]
check.close(
    with_weights(weights, "after", "tanh", x)[1],
    wanted(weights, "after", "tanh", x),
    "a non-contiguous input gives another answer",
)
### END HIDDEN TESTS


# %% test="AdaptedLayer" aspect="gradient" points=1
@check.probe
def two_steps(mode, act, m, x, target):
    n, d = x.shape[-1], target.shape[-1]
    base = nn.Linear(n, d, dtype=torch.float64)
    before = base.weight.detach().clone()
    layer = AdaptedLayer(base, m, mode, act=getattr(torch, act))
    parts = (layer.up.weight, layer.up.bias, layer.down.weight)
    trained = [p for p in layer.parameters() if p.requires_grad]
    start = layer(x).detach()
    largest, losses = [], []
    for _ in range(2):
        for p in trained:
            p.grad = None
        loss = ((layer(x) - target) ** 2).sum()
        loss.backward()
        with torch.no_grad():
            for p in trained:
                p -= 0 if p.grad is None else 0.01 * p.grad
        largest.append(
            [0.0 if p.grad is None else float(p.grad.abs().max()) for p in parts]
        )
        losses.append(float(loss.detach()))
    return {
        "largest": largest,
        "losses": losses,
        "moved": (base.weight.detach() - before).abs().max(),
        "base": sum(int(p.requires_grad) for p in base.parameters()),
        "start": start - base(x).detach(),
    }


for mode in ("after", "beside"):
    x, target = torch.eye(4).double(), torch.ones(4, 6).double()
    seen = two_steps(mode, "tanh", 3, x, target)
    check.close(seen["base"], 0, f"{mode}: both parameters of base must be frozen")
    first, second = seen["largest"]
    check.close(
        int(first[0] > 0),
        1,
        f"{mode}: in the first step a gradient must reach up.weight; is down zero too?",
    )
    check.close(
        int(second[2] > 0),
        1,
        f"{mode}: in the second step a gradient must reach down.weight",
    )
### BEGIN HIDDEN TESTS
draw = check.generator("AdaptedLayer_gradient")
for mode in ("after", "beside"):
    for act in ("tanh", "relu", "sigmoid"):
        n, d, m = torch.randint(5, 9, (3,), generator=draw).tolist()
        points = torch.randn(8, n, dtype=torch.float64, generator=draw)
        goal = torch.randn(8, d, dtype=torch.float64, generator=draw)
        found = two_steps(mode, act, m, points, goal)
        words = f"mode={mode}, {act}, random sizes"
        check.close(
            found["start"],
            torch.zeros(8, d).double(),
            f"the start must be the base layer exactly, {words}",
        )
        check.close(
            found["moved"],
            torch.tensor(0.0).double(),
            f"two steps must leave base as it was, {words}",
        )
        check.close(found["base"], 0, f"the base layer must be frozen, {words}")
        one, two = found["largest"]
        check.close(
            one[2],
            0.0,
            f"with up = 0 no gradient reaches down at the first step, {words}",
        )
        for size, name in (
            (one[0], "up.weight at step one"),
            (one[1], "up.bias at step one"),
            (two[2], "down.weight at step two"),
        ):
            check.close(int(size > 1e-9), 1, f"a gradient must reach {name}, {words}")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Into a model that must not notice
#
# Give certain linear layers of any model an adapter after them. Everything else about the model stays: its output, its parameters and their names. A checkpoint saved yesterday must load tomorrow, so a layer may not be wrapped in a module that renames its weight. And it must be possible to take the adapters out again: one base, many tasks.
#
# The adapter is given:


# %%
class Adapter(nn.Module):
    """h + up(relu(down(h))), the identity at the start."""

    def __init__(self, d, m):
        super().__init__()
        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h):
        return h + self.up(F.relu(self.down(h)))


# %% [markdown]
# <details><summary>Hint 1</summary>A forward hook may replace the output: <code>module.register_forward_hook(f)</code> calls <code>f(module, inputs, output)</code> and takes what it returns. It gives back a handle with <code>.remove()</code>.</details>
# <details><summary>Hint 2</summary>Make the adapter a submodule of the layer: <code>layer.adapter = Adapter(...)</code>. Then it is saved, moved and trained with the model, and no other name changes. <code>del layer.adapter</code> takes it away.</details>
# <details><summary>Hint 3</summary><code>re.fullmatch(pattern, name)</code> for the names of <code>model.named_modules()</code>; make a list of them before you add modules. Freeze first, insert afterwards; in a second call the adapters of the first must not be frozen, nor be doubled.</details>


# %% solution="insert_adapters" difficulty=4 minutes=30
def insert_adapters(model, pattern, m):
    """Freeze a model and put an adapter after each layer that a pattern names.

    model: an nn.Module. pattern: a regular expression; an adapter goes after each
    module whose whole name in model.named_modules() matches it, all of them nn.Linear.
    The layer's output h becomes Adapter(d, m)(h), of the layer's dtype. m: its width.
    Parameters that the model had before any adapter came stop asking for a gradient
    and keep their names in the state dict; the adapters' own are trained. A layer that
    has an adapter keeps that one and gets no other.
    Returns a function without arguments that takes away what this call has inserted:
    the outputs and the keys of the state dict are then as they were before the call.
    Raises ValueError if the pattern names no module.
    """
    ### BEGIN SOLUTION
    layers = [x for name, x in model.named_modules() if re.fullmatch(pattern, name)]
    if not layers:
        raise ValueError(f"no module is called {pattern}")
    adapters = [x for x in model.modules() if isinstance(x, Adapter)]
    model.requires_grad_(False)
    for adapter in adapters:
        adapter.requires_grad_(True)
    layers = [layer for layer in layers if not hasattr(layer, "adapter")]
    handles = []
    for layer in layers:
        layer.adapter = Adapter(layer.out_features, m).to(layer.weight)
        hook = layer.register_forward_hook(lambda own, x, h: own.adapter(h))
        handles.append(hook)

    def remove():
        for layer, hook in zip(layers, handles):
            hook.remove()
            del layer.adapter

    return remove
    ### END SOLUTION


# %% test="insert_adapters" points=3
@check.probe
def into_two_layers(pattern, m, generator):
    from lib.peft import vit

    size = vit.Size(2, 2, 6, 1, 1, 1, 1)
    model = vit.ViT(size, generator)
    x = torch.linspace(0, 1, 128).view(2, 1, 8, 8)
    before, old = model(x).detach(), dict(model.named_parameters())
    names = [name for name, _ in model.named_modules()]
    insert_adapters(model, pattern, m)
    known = {id(p) for p in old.values()}
    new = [tuple(p.shape) for p in model.parameters() if id(p) not in known]
    now = dict(model.named_parameters())
    return {
        "before": before,
        "after": model(x).detach(),
        "places": sum(int(re.fullmatch(pattern, name) is not None) for name in names),
        "new": sorted(new),
        "frozen": sum(int(p.requires_grad) for p in old.values()),
        "renamed": sum(int(now.get(name) is not p) for name, p in old.items()),
    }


seen = into_two_layers(
    r"blocks\.\d+\.(attention\.out|mlp\.down)", 2, check.generator("insert_adapters")
)
check.close(
    seen["new"],
    sorted(seen["places"] * [(2, 6), (2,), (6, 2), (6,)]),
    "two layers, two places each: the new parameters are those of four adapters",
)
check.close(
    seen["after"],
    seen["before"],
    "the output must not change when adapters are inserted",
)
check.close(seen["frozen"], 0, "no parameter of the base may ask for a gradient")
check.close(
    seen["renamed"],
    0,
    "every parameter of the base must keep its name, and be the same object",
)
### BEGIN HIDDEN TESTS
from lib.peft import adapters as reference
from lib.peft import vit


@check.probe
def life_of_a_model(patterns, m, generator, double, x):
    """Insert, shake, insert again, remove; what is seen on the way, as data."""
    from lib.peft import vit

    model = vit.ViT(vit.Size(2, 2, 6, 1, 1, 1, 1), generator)
    model = model.double() if double else model
    state = {name: value.clone() for name, value in model.state_dict().items()}
    seen = {"0 output": model(x).detach(), "0 keys": sorted(state)}
    old, last = {id(p) for p in model.parameters()}, patterns[-1]

    def shake():
        with torch.no_grad():
            for p in model.parameters():
                if id(p) not in old and not int((p.flatten()[-1] == 0.7).item()):
                    p.copy_(torch.arange(1.0, p.numel() + 1).sin().view(p.shape))
                    p.view(-1)[-1] = 0.7

    removers = []
    for number, pattern in enumerate(patterns, 1):
        removers.append(insert_adapters(model, pattern, m))
        seen[f"{number} unshaken"] = model(x).detach()
        shake()
        seen[f"{number} output"] = model(x).detach()
        seen[f"{number} old"] = sum(
            int(p.requires_grad) for p in model.parameters() if id(p) in old
        )
        seen[f"{number} new"] = sum(
            int(p.requires_grad) * p.numel()
            for p in model.parameters()
            if id(p) not in old
        )
        missing, unexpected = model.load_state_dict(state, strict=False)
        seen[f"{number} missing"] = sum(
            model.get_parameter(name).numel() for name in missing
        )
        seen[f"{number} unexpected"] = len(unexpected)
    inserted = [
        x
        for x in model.modules()
        if hasattr(x, "down") and id(x.down.weight) not in old
    ]
    one_by_one = []
    for adapter in inserted:
        with torch.no_grad():
            kept = adapter.up.bias.clone()
            adapter.up.bias.add_(1.0)
            one_by_one.append(model(x).detach())
            adapter.up.bias.copy_(kept)
    seen["one by one"] = sorted(one_by_one, key=lambda y: float(y.sum()))
    for remove in reversed(removers):
        remove()
        seen[f"{len(patterns)} back"] = model(x).detach()
        patterns = patterns[:-1]
    seen["end keys"] = sorted(model.state_dict())
    insert_adapters(model, last, m)
    seen["again"] = sum(int(p.requires_grad) * p.numel() for p in model.parameters())
    return seen


def referee(patterns, m, generator, double, x):
    """The outputs after each insertion, from the library of the course."""
    model = vit.ViT(vit.Size(2, 2, 6, 1, 1, 1, 1), generator)
    model = model.double() if double else model
    outputs = [model(x).detach()]
    for pattern in patterns:
        reference.inject_adapters(model, pattern, m, act=torch.relu)
        model = model.to(x.dtype)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "adapter" in name:
                    p.copy_(torch.arange(1.0, p.numel() + 1).sin().view(p.shape))
                    p.view(-1)[-1] = 0.7
        outputs.append(model(x).detach())
    count = sum(p.numel() for name, p in model.named_parameters() if "adapter" in name)
    moved = []
    for adapter in [x for x in model.modules() if isinstance(x, reference.Adapter)]:
        with torch.no_grad():
            kept = adapter.up.bias.clone()
            adapter.up.bias += 1
            moved.append(model(x).detach())
            adapter.up.bias.copy_(kept)
    alone = reference.inject_adapters(
        vit.ViT(vit.Size(2, 2, 6, 1, 1, 1, 1), generator), patterns[-1], m
    )
    again = reference.trainable_parameters(alone)
    return outputs, count, sorted(moved, key=lambda y: float(y.sum())), again


draw = check.generator("insert_adapters")
BOTH, LAST = r"blocks\.\d+\.(attention\.out|mlp\.down)", r"blocks\.1\.mlp\.down"
for patterns, m, double, words in [
    ([BOTH], 2, False, "two places a layer"),
    ([LAST], 3, True, "one layer only, float64"),
    ([r".*\.(q|v)"], 4, False, "queries and values"),
    ([r"blocks\.0\.mlp\.up", LAST], 1, False, "one place, then another"),
    ([LAST, BOTH], 2, True, "a place that is among those of the second call"),
    ([BOTH, BOTH], 2, False, "the same call twice"),
    ([BOTH, BOTH, r"head"], 3, True, "the same call twice, then the head"),
]:
    dtype = torch.float64 if double else torch.float32
    x = torch.rand(3, 1, 8, 8, generator=draw).to(dtype)
    # Both build the model from the same numbers.
    weights = [check.generator(f"insert_adapters {words}") for _ in range(2)]
    seen = life_of_a_model(patterns, m, weights[0], double, x)
    outputs, count, moved, again = referee(patterns, m, weights[1], double, x)
    loose = {"rtol": 1e-3, "atol": 1e-4} if not double else {}
    for number, want in enumerate(outputs):
        check.close(
            seen[f"{number} output"],
            want,
            f"{words}: after call {number}, every number of every adapter drawn anew",
            **loose,
        )
        if number:
            check.close(
                seen[f"{number} unshaken"],
                outputs[number - 1],
                f"{words}: call {number} must not change the output",
                **loose,
            )
            check.close(
                seen[f"{number} back"],
                outputs[number - 1],
                f"{words}: removing what call {number} inserted",
                **loose,
            )
            check.close(
                seen[f"{number} old"],
                0,
                f"{words}: the base must be frozen after call {number}",
            )
            check.close(
                seen[f"{number} unexpected"],
                0,
                f"{words}: yesterday's state dict has keys that the model does not know",
            )
            check.close(
                seen[f"{number} missing"],
                seen[f"{number} new"],
                f"{words}: what a state dict of the base lacks must be the adapters, all trained",
            )
    check.close(
        seen[f"{len(patterns)} new"],
        count,
        f"{words}: how many numbers are trained in the end",
    )
    check.close(
        seen["one by one"],
        moved,
        f"{words}: each adapter moved alone, must reach the output through its own layer",
        **loose,
    )
    check.close(
        seen["again"],
        again,
        f"{words}: all removed, one call more must insert its adapters anew",
    )
    check.close(
        seen["end keys"],
        seen["0 keys"],
        f"{words}: removed, the keys of the state dict must be the old ones",
    )


@check.probe
def exact_names(pattern, x):
    model = nn.ModuleDict(
        {"up": nn.Linear(4, 4), "upper": nn.Linear(4, 4), "cup": nn.Linear(4, 4)}
    )
    old = {id(p) for p in model.parameters()}
    before = [layer(x).detach() for layer in model.values()]
    insert_adapters(model, pattern, 2)
    with torch.no_grad():
        for p in model.parameters():
            if id(p) not in old:
                p.fill_(1.0)
    return [
        int((layer(x).detach() != y).any()) for layer, y in zip(model.values(), before)
    ]


@check.probe
def without_a_match():
    try:
        insert_adapters(nn.Sequential(nn.Linear(2, 2)), "1", 2)
    except ValueError:
        return 1
    return 0


ones = torch.ones(3, 4)
for pattern, want in (("up", [1, 0, 0]), ("cup|upper", [0, 1, 1]), ("u.*", [1, 1, 0])):
    check.close(
        exact_names(pattern, ones),
        want,
        "exactly the layers whose whole name matches must change",
    )
check.close(without_a_match(), 1, "a pattern that names no module must be a ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Can it be folded?
#
# What follows a linear layer can be folded into its weight if, and only if, it is affine: $f(h) = Ah + c$. The scale vectors of IA³ are; an adapter without activation is; an adapter with one is not, and hence it costs depth for ever.
#
# Given a function that you may call but not read, fold it, or say that nothing can.
#
# <details><summary>Hint 1</summary>If f is affine, what is f at zero? At the unit vectors? Two calls give A and c.</details>
# <details><summary>Hint 2</summary>They give some A and c of <em>every</em> function. Whether f is A h + c you see elsewhere: at random points of both signs, small and large.</details>
# <details><summary>Hint 3</summary>A(Wx + b) + c = (AW)x + (Ab + c). Rows are points, so f(eye) − f(0) holds A transposed.</details>


# %% solution="fold" difficulty=3 minutes=20
def fold(weight, bias, f):
    """The linear layer that does what a linear layer and then f do.

    weight: (d, n), bias: (d,), float64; the layer is x @ weight.T + bias.
    f: a function of points (rows, d), which gives (rows, k), each row by itself, in
    float64. k need not be d. Where f is not affine, f differs from every affine
    function by more than a hundredth at a good part of the points of one of the
    lengths 0.1, 1, 10 and 100 (some, in every direction).
    Returns (new_weight, new_bias), of shapes (k, n) and (k,), or None if f is not
    affine and nothing can be folded.
    """
    ### BEGIN SOLUTION
    d = len(bias)
    c = f(torch.zeros(1, d, dtype=weight.dtype))[0]
    a = (f(torch.eye(d, dtype=weight.dtype)) - c).T
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 200, d, dtype=weight.dtype, generator=generator)
    lengths = torch.tensor([0.1, 1.0, 10.0, 100.0], dtype=weight.dtype)
    points = F.normalize(points, dim=-1) * lengths[:, None, None]
    points = points.flatten(0, 1)
    if not torch.allclose(f(points), points @ a.T + c, rtol=1e-6, atol=1e-6):
        return None
    return a @ weight, a @ bias + c
    ### END SOLUTION


# %% test="fold" points=2
weight = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
bias = torch.tensor([0.5, -1.0], dtype=torch.float64)


def scaled(h):
    return h * torch.tensor([3.0, 0.5], dtype=torch.float64)


def bent(h):
    return h + torch.relu(h)


check.close(
    fold(weight, bias, scaled),
    (
        torch.tensor([[3.0, 6.0, 0.0], [0.0, 0.5, -0.5]], dtype=torch.float64),
        torch.tensor([1.5, -0.5], dtype=torch.float64),
    ),
    "IA³ scales the rows of the weight, and the bias with them",
)
check.close(fold(weight, bias, bent), None, "h + relu(h) is no affine function: None")
### BEGIN HIDDEN TESTS
draw = check.generator("fold")


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=draw)


for d, n, k in [(4, 3, 4), (2, 5, 6), (5, 5, 1), (1, 2, 3)]:
    weight, bias = normal(n, d).T, normal(d)
    matrix, offset = normal(k, d), 3 * normal(k)
    up, down, small, shift = normal(d, 2), normal(2, d), normal(2), normal(d)

    def affine(h, matrix=matrix, offset=offset):
        return h @ matrix.T + offset

    def homogeneous(h, matrix=matrix):
        return h @ matrix.T

    def shifted(h, shift=shift):
        return h + shift

    def linear_adapter(h, up=up, down=down, small=small, shift=shift):
        return h + (h @ down.T + small) @ up.T + shift

    x = normal(6, n)
    for f, words in (
        (affine, "a matrix and an offset"),
        (homogeneous, "a matrix alone"),
        (shifted, "an offset alone"),
        (linear_adapter, "an adapter without activation"),
    ):
        found = fold(weight, bias, f)
        y = f(x @ weight.T + bias)
        check.close(
            (type(found).__name__, [tuple(part.shape) for part in found or ()]),
            ("tuple", [(y.shape[1], n), (y.shape[1],)]),
            f"{words}, d = {d}, n = {n}, k = {k}: shapes of the new layer",
        )
        check.close(
            x @ found[0].T + found[1],
            y,
            f"{words}, d = {d}, n = {n}, k = {k}: one layer must do what the two did",
            atol=1e-6,
        )

    def with_relu(h, up=up, down=down, small=small):
        return h + torch.relu(h @ down.T + small) @ up.T

    def with_gelu(h, up=up, down=down, small=small):
        return h + F.gelu(h @ down.T + small) @ up.T

    def magnitude(h):
        return h.abs()

    def positive(h):
        return h.clamp(min=0)

    def norm_added(h):
        return h + h.norm(dim=-1, keepdim=True)

    def bent_far_out(h):
        return h + (h.norm(dim=-1, keepdim=True) - 30).clamp(min=0)

    def bent_within(h):
        return h + (0.5 - h.norm(dim=-1, keepdim=True)).clamp(min=0)

    def shell(h):
        return h + (1 - (h.norm(dim=-1, keepdim=True) - 10).abs()).clamp(min=0)

    def square(h):
        return h * h

    def cubic(h):
        return h + h**3

    for f, words in (
        (with_relu, "an adapter with ReLU"),
        (with_gelu, "an adapter with GELU"),
        (magnitude, "the magnitude, which doubles when h does"),
        (positive, "the positive part"),
        (norm_added, "the length of h added"),
        (bent_far_out, "affine near zero, bent far away"),
        (bent_within, "bent near zero only"),
        (shell, "affine near zero and far away, bent between"),
        (square, "a square, which the unit vectors do not tell from h"),
        (cubic, "an odd function"),
    ):
        check.close(fold(weight, bias, f), None, f"{words}, d = {d}: cannot be folded")


@check.probe
def arguments_after(weight, bias):
    def double(h):
        return 2 * h

    fold(weight, bias, double)
    return weight, bias


weight, bias = normal(3, 4), normal(3)
check.close(
    arguments_after(weight.clone(), bias.clone()),
    (weight, bias),
    "an argument was changed in place",
)
### END HIDDEN TESTS
