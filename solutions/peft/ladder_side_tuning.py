# ---
# jupyter:
#   hide: [peft/activations]
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Ladder side-tuning
#
# The chapter built a ladder beside a vision transformer and weighed what each way of fine-tuning keeps for the backward pass. Three tasks: a ladder with missing rungs beside any backbone, one that somebody forgot to freeze; the bill of a stack of layers, layer by layer, as autograd writes it; and the same bill foretold, from nothing but the list of operations.

# %%
import torch
from torch import nn

from course import check

# %% [markdown]
# ## 1 · A ladder with missing rungs
#
# The backbone is any list of layers, $h_i = f_i(h_{i-1})$, $h_0 = x$. A rung stands after some of them only, at $i_1 < i_2 < \dots < i_R$. The side network starts with $s_0 = W_0 h_0$ and goes on with
#
# $$ s_k = g_k\big(\mu_k\,s_{k-1} + (1-\mu_k)\,W_k h_{i_k}\big), \qquad \mu_k = \mathrm{sigmoid}(\alpha_k / T), \quad T = 0.1 . $$
#
# The result is what leaves the backbone, corrected by the ladder: $h_L + W_\mathrm{up}\,s_R$.
#
# Nobody froze the backbone: its parameters require gradients, and so may $x$. See to it that none arrives there, and that none is ever on its way.
#
# <details><summary>Hint 1</summary>Which of the h are read by something that is trained? All of these must have no graph, not only the last.</details>
# <details><summary>Hint 2</summary>Two passes are the easiest: first all features, where no graph is built; then the side network, where one is.</details>
# <details><summary>Hint 3</summary>Weights are (out, in), as in nn.Linear: W h for the last axis is <code>h @ W.T</code>.</details>


# %% solution="lst_forward" difficulty=2 minutes=20
def lst_forward(backbone, side, x):
    """What leaves the backbone, plus what the ladder beside it has to say.

    backbone: a list of L functions of tensors (B, n, d), trained or not.
    side: a dict. "rungs": a list of R numbers from 1 to L, increasing: after which
    layers a rung stands. "down": a list of 1 + R tensors (s, d), the first for x.
    "alpha": (R,). "blocks": a list of R functions of tensors (B, n, s). "up": (d, s).
    x: (B, n, d). It may require a gradient, and gets none.
    Returns (B, n, d). Gradients flow into side, and nowhere else.
    """
    ### BEGIN SOLUTION
    features = [x.detach()]
    with torch.no_grad():
        for layer in backbone:
            features.append(layer(features[-1]))
    s = features[0] @ side["down"][0].T
    for k, i in enumerate(side["rungs"]):
        mu = torch.sigmoid(side["alpha"][k] / 0.1)
        rung = features[i] @ side["down"][k + 1].T
        s = side["blocks"][k](mu * s + (1 - mu) * rung)
    return features[-1] + s @ side["up"].T
    ### END SOLUTION


# %% test="lst_forward" points=2
@check.probe
def run(layers, rungs, down, alpha, blocks, up, x):
    def backbone_layer(a):
        return lambda h: torch.tanh(h @ a.T)

    def side_block(c):
        return lambda s: s + torch.sin(s @ c.T)

    side = {"rungs": rungs, "down": down, "alpha": alpha, "up": up}
    side["blocks"] = [side_block(c) for c in blocks]
    return lst_forward([backbone_layer(a) for a in layers], side, x).detach()


one, zero = torch.ones(1, 1), torch.zeros(1, 1)
two_layers = [one, 2 * one]
h = [torch.ones(1, 1, 1)]
for a in two_layers:
    h.append(torch.tanh(h[-1] @ a.T))
check.close(
    run(two_layers, [1], [8 * one, 4 * one], torch.zeros(1), [zero], one, h[0]),
    h[2] + (8 * h[0] + 4 * h[1]) / 2,
    "alpha = 0, a block that changes nothing, one rung after the first layer: the "
    "output of the last layer plus the plain mean of 8 x and 4 h_1. Is h_1 what "
    "leaves the first layer? Was the backbone's own output forgotten?",
)
check.close(
    run(two_layers, [2], [8 * one, 4 * one], torch.zeros(1) + 0.1, [zero], one, h[0]),
    h[2] + torch.sigmoid(one) * 8 * h[0] + torch.sigmoid(-one) * 4 * h[2],
    "alpha = 0.1: the gate is sigmoid(alpha / 0.1) = sigmoid(1), and it stands "
    "before what came so far, 1 less the gate before the rung",
)
### BEGIN HIDDEN TESTS
from lib.peft import ladder_side_tuning as reference

draw = check.generator("lst_forward")


@check.probe
def given_back(layers, rungs, down, alpha, blocks, up, x):
    side = {"rungs": rungs, "down": down, "alpha": alpha, "up": up}
    side["blocks"] = [lambda s, c=c: s + torch.sin(s @ c.T) for c in blocks]
    lst_forward([lambda h, a=a: torch.tanh(h @ a.T) for a in layers], side, x)
    return layers, down, alpha, blocks, up, x


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def drawn(batch, n, d, s, depth, rungs):
    return (
        [normal(d, d) / d**0.5 for _ in range(depth)],
        rungs,
        [normal(s, d) for _ in range(1 + len(rungs))],
        0.1 * normal(len(rungs)),
        [normal(s, s) for _ in rungs],
        normal(d, s),
        normal(batch, n, d),
    )


def expected(layers, rungs, down, alpha, blocks, up, x):
    passed = [x]
    for a in layers:
        passed.append(torch.einsum("bnd,ed->bne", passed[-1], a).tanh())
    so_far = torch.einsum("bnd,sd->bns", x, down[0])
    for mu, w, c, i in zip(reference.gate(alpha), down[1:], blocks, rungs):
        mixed = so_far.lerp(torch.einsum("bnd,sd->bns", passed[i], w), 1 - mu)
        so_far = mixed + torch.einsum("bns,ts->bnt", mixed, c).sin()
    return passed[-1] + torch.einsum("bns,ds->bnd", so_far, up)


for sizes in [
    (2, 3, 5, 2, 3, [1, 2, 3]),
    (3, 4, 6, 3, 4, [2, 4]),
    (1, 5, 4, 1, 4, [1, 3]),
    (4, 1, 3, 4, 2, [1]),
    (2, 2, 4, 2, 5, [4]),
]:
    data = drawn(*sizes)
    words = f"random ladder, {sizes[4]} layers, rungs after some of them"
    want = expected(*data)
    check.close(run(*data), want, words, rtol=1e-10, atol=1e-10)
    single = [
        [t.float() for t in part] if isinstance(part, list) else part.float()
        for part in data
        if part is not data[1]
    ]
    single.insert(1, data[1])
    check.close(
        run(*single),
        want.float(),
        f"{words}: float32 in must give float32 out",
        rtol=1e-3,
        atol=1e-3,
    )

layers, rungs, down, alpha, blocks, up, x = drawn(3, 4, 6, 2, 3, [1, 3])
kept = (layers, rungs, down, alpha, blocks, up)
strided = normal(6, 4, 3).permute(2, 1, 0)
check.close(
    run(*kept, strided),
    run(*kept, strided.contiguous()),
    "a non-contiguous x gives another answer",
)
check.close(
    run(layers, rungs, down, torch.full_like(alpha, -60.0), blocks, up, x),
    run(layers, rungs, [0 * down[0], *down[1:]], alpha - 60.0, blocks, up, x),
    "gates that are closed to what came so far must let the rungs through alone",
)
check.close(
    run(*kept[:-1], 0 * up, x),
    expected(*kept[:-1], 0 * up, x),
    "with a ladder that says nothing the backbone's own output must remain",
)
check.close(
    given_back(*kept, strided),
    (layers, down, alpha, blocks, up, strided),
    "an argument was changed in place",
)
### END HIDDEN TESTS


# %% test="lst_forward" aspect="gradient" points=2
@check.probe
def gradients(layers, rungs, down, alpha, blocks, up, x, weight):
    """Those of the side network in its order; then how much arrived elsewhere."""
    layers, x = [a.clone().requires_grad_() for a in layers], x.clone()
    down, blocks, alpha, up = (
        [t.clone().requires_grad_() for t in part]
        for part in (down, blocks, [alpha], [up])
    )
    side = {"rungs": rungs, "down": down, "alpha": alpha[0], "up": up[0]}
    side["blocks"] = [lambda s, c=c: s + torch.sin(s @ c.T) for c in blocks]
    backbone = [lambda h, a=a: torch.tanh(h @ a.T) for a in layers]
    y = lst_forward(backbone, side, x.requires_grad_())
    (y * weight).sum().backward()
    ours = [torch.zeros(0) if t.grad is None else t.grad for t in down + blocks]
    ours += [torch.zeros(0) if t.grad is None else t.grad for t in alpha + up]
    elsewhere = [0 if t.grad is None else t.grad.numel() for t in [*layers, x]]
    todo, seen, leaves = [y.grad_fn], set(), 0
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaves += hasattr(node, "variable")
        todo += [parent for parent, _ in node.next_functions]
    return ours, elsewhere, int(leaves)


one = torch.ones(1, 1)
data = [one, one], [1], [one, 3 * one], torch.zeros(1), [0 * one], one, one[None]
ours, elsewhere, leaves = gradients(*data, one[None])
check.close(
    elsewhere,
    [0, 0, 0],
    "entries of .grad that two layers of the backbone and x got, where None is asked "
    "for: every feature that the ladder reads must be without a graph, and so must "
    "the output that it corrects",
)
check.close(
    ours[3],
    (1 - 3 * torch.tanh(one[0])) / 4 / 0.1,
    "the gradient of alpha: sigmoid' = 1/4 over T, times x less the rung. An empty one "
    "means that the side network has no graph either",
)
### BEGIN HIDDEN TESTS
draw = check.generator("lst_forward_gradient")


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def loss_of(layers, rungs, down, alpha, blocks, up, x, weight):
    with torch.no_grad():
        passed = [x]
        for a in layers:
            passed.append((passed[-1] @ a.mT).tanh())
    so_far = x @ down[0].mT
    for k, i in enumerate(rungs):
        share = 1 / (1 + (-10 * alpha[k]).exp())
        mixed = share * so_far + (1 - share) * (passed[i] @ down[k + 1].mT)
        so_far = mixed + (mixed @ blocks[k].mT).sin()
    return ((passed[-1] + so_far @ up.mT) * weight).sum()


for batch, n, d, s, depth, rungs in [
    (2, 3, 5, 2, 3, [1, 2, 3]),
    (1, 2, 4, 3, 4, [2, 3]),
    (3, 1, 3, 1, 3, [1]),
]:
    layers = [normal(d, d) / d**0.5 for _ in range(depth)]
    down = [normal(s, d) for _ in range(1 + len(rungs))]
    blocks = [normal(s, s) for _ in rungs]
    alpha, up = 0.1 * normal(len(rungs)), normal(d, s)
    x, weight = normal(batch, n, d), normal(batch, n, d)
    given = (layers, rungs, down, alpha, blocks, up, x, weight)
    own, elsewhere, leaves = gradients(*given)
    trained = [t.clone().requires_grad_() for t in [*down, *blocks, alpha, up]]
    count = len(down)
    value = loss_of(
        layers,
        rungs,
        trained[:count],
        trained[-2],
        trained[count:-2],
        trained[-1],
        x,
        weight,
    )
    check.close(
        own,
        list(torch.autograd.grad(value, trained)),
        "gradients of down, blocks, alpha and up, random ladder",
        rtol=1e-9,
        atol=1e-9,
    )
    check.close(
        elsewhere,
        [0] * (depth + 1),
        "a gradient arrived in the backbone or in x, random ladder",
    )
    check.close(
        leaves,
        len(trained),
        "the graph of the result must reach the side network's tensors and no others",
    )
    step = 1e-6 * torch.eye(len(rungs), dtype=torch.float64)
    slope = torch.stack(
        [
            loss_of(layers, rungs, down, alpha + e, blocks, up, x, weight)
            - loss_of(layers, rungs, down, alpha - e, blocks, up, x, weight)
            for e in step
        ]
    )
    check.close(
        own[-2],
        slope / 2e-6,
        "the gradient of alpha must be the slope of the loss, by finite differences",
        rtol=1e-4,
        atol=1e-4,
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The bill, layer by layer
#
# The chapter summed up what a graph keeps. Here the sum is broken down: which *layer* makes autograd keep how many bytes? What is kept is a storage, and each is charged once, to the first layer during whose forward pass it is saved; whoever saves it again gets it for nothing.
#
# Not charged is what is there anyway: `x`, and the parameters and buffers of all layers, however autograd looks at them. (It keeps a frozen weight transposed; that is no `nn.Parameter` any more, and no new storage either.)
#
# <details><summary>Hint 1</summary><code>torch.autograd.graph.saved_tensors_hooks(pack, unpack)</code> is a context manager; <code>pack</code> is called with every tensor that is saved while it is open.</details>
# <details><summary>Hint 2</summary><code>t.untyped_storage()</code> has <code>data_ptr()</code>, which tells storages apart, and <code>nbytes()</code>, its size.</details>
# <details><summary>Hint 3</summary>One context for each layer; one set of storages that are charged already. Put into it, before anything runs, what is there anyway.</details>


# %% solution="bytes_by_layer" difficulty=3 minutes=15
def bytes_by_layer(layers, x):
    """What each layer makes autograd keep for the backward pass, in bytes.

    layers: a list of nn.Modules, called one after the other, the first with x; they
    may be frozen, in part or all, and may share parameters.
    x: a tensor of floating-point numbers.
    Returns a list of ints, one for each layer. Call each layer once.
    """
    ### BEGIN SOLUTION
    there = [x]
    for layer in layers:
        there += [*layer.parameters(), *layer.buffers()]
    charged = {t.untyped_storage().data_ptr() for t in there}
    bill = []
    for layer in layers:
        bill.append(0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in charged:
                charged.add(storage.data_ptr())
                bill[-1] += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
    ### END SOLUTION


# %% test="bytes_by_layer" points=3
@check.probe
def bill_of(kinds, frozen, width, rows):
    made = {
        "linear": lambda: nn.Linear(width, width),
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "softmax": lambda: nn.Softmax(-1),
    }
    layers = [made[kind]() for kind in kinds]
    for i in frozen:
        layers[i].requires_grad_(False)
    return bytes_by_layer(layers, torch.zeros(rows, width))


check.close(
    bill_of(["linear", "linear", "linear"], [], 3, 5),
    [0, 60, 60],
    "three linear layers of 3 numbers, 5 rows: each keeps its input, 5 · 3 · 4 bytes, "
    "but x is there anyway. Are weights counted, or the input, or numbers for bytes?",
)
check.close(
    bill_of(["linear", "relu", "linear"], [], 3, 5),
    [0, 60, 0],
    "a ReLU keeps its output, and the next layer the same storage: charged once, to "
    "the first that saves it",
)
check.close(
    bill_of(["linear", "linear", "linear"], [1, 2], 3, 5),
    [0, 0, 0],
    "a frozen layer passes the gradient on with its weight alone, and the weight, "
    "transposed or not, is there anyway",
)
### BEGIN HIDDEN TESTS
from lib.peft import activations as reference


@check.probe
def bill_of_more(names, frozen, width, rows, double):
    class Widened(nn.Module):
        def forward(self, h):
            return h.mean(0, keepdim=True).expand_as(h)

    class Sine(nn.Module):
        def forward(self, h):
            return h.sin()

    class Sorted(nn.Module):
        def forward(self, h):
            return h.sort(-1).values

    class Piece(nn.Module):
        def forward(self, h):
            return h.exp().narrow(0, 0, 1)

    tied = nn.Linear(width, width)
    made = {
        "linear": lambda: nn.Linear(width, width),
        "tied": lambda: tied,
        "gelu": nn.GELU,
        "softmax": lambda: nn.Softmax(-1),
        "tanh": nn.Tanh,
        "norm": lambda: nn.LayerNorm(width),
        "batch norm": lambda: nn.BatchNorm1d(width),
        "widened": Widened,
        "sine": Sine,
        "sorted": Sorted,
        "piece": Piece,
    }
    layers = [made[name]() for name in names]
    for i in frozen:
        layers[i].requires_grad_(False)
    x = torch.ones(rows, width)
    if double:
        layers, x = [layer.double() for layer in layers], x.double()
    return bytes_by_layer(layers, x)


@check.probe
def calls_and_input(width, rows):
    count = [0]
    layers = [nn.Linear(width, width), nn.Tanh()]
    for layer in layers:
        layer.register_forward_hook(lambda *_: count.__setitem__(0, count[0] + 1))
    x = torch.ones(rows, width)
    bytes_by_layer(layers, x)
    return count[0], x


def foretold(names, frozen, width, rows, size):
    """By rules; what came from a layer and was kept there is free to the next."""
    bill, graph, shape, free = [], False, (rows, width), True
    for i, name in enumerate(names):
        whole = shape[0] * shape[1] * size
        weights = name in ("linear", "tied", "norm", "batch norm")
        learns = weights and i not in frozen
        cost, next_free = 0, False
        own_input = 0 if free else whole
        if name in ("linear", "tied"):
            cost = own_input if learns else 0
        elif name in ("norm", "batch norm") and (graph or learns):
            groups = shape[0] if name == "norm" else width
            cost = own_input + 2 * groups * size
        elif name in ("gelu", "sine") and graph:
            cost = own_input
        elif name in ("softmax", "tanh") and graph:
            cost, next_free = whole, True
        elif name == "sorted" and graph:
            cost = shape[0] * shape[1] * 8  # the places, 8 bytes each
        elif name == "piece":
            cost, next_free = (whole if graph else 0), graph
            shape = (1, width)
        bill.append(cost)
        graph, free = graph or learns, next_free
    return bill


for names, frozen in [
    (["linear", "gelu", "linear", "norm", "linear"], []),
    (["linear", "gelu", "linear", "norm", "linear"], [0, 2, 3]),
    (["linear", "gelu", "linear", "norm", "linear"], [0, 3]),
    (["norm", "linear", "tanh", "linear", "softmax"], []),
    (["linear", "tanh", "linear", "linear", "gelu"], [2, 3]),
    (["tied", "gelu", "tied", "gelu", "tied"], []),
    (["linear", "sine", "linear", "sine", "linear"], []),
    (["linear", "batch norm", "linear"], []),
    (["linear", "batch norm", "softmax", "linear"], [1]),
    (["linear", "piece", "linear", "tanh"], []),
    (["linear", "sorted", "linear", "tanh"], []),
    (["linear", "linear", "tanh"], [0, 1]),
    (["linear", "norm"], [0]),
]:
    for width, rows, double in [(3, 7, False), (5, 2, True), (4, 4, False)]:
        size = 8 if double else 4
        words = (
            f"{', '.join(names)}; {len(frozen)} of them frozen; {size} bytes a number"
        )
        check.close(
            bill_of_more(names, frozen, width, rows, double),
            foretold(names, frozen, width, rows, size),
            words,
        )

check.close(
    bill_of_more(["linear", "widened", "sine"], [], 6, 11, False),
    [0, 0, 6 * 4],
    "an expanded tensor has the storage of what was expanded: that is what is kept",
)
stack = nn.Sequential(nn.Linear(9, 9), nn.GELU(), nn.Linear(9, 9), nn.Tanh())
x = torch.zeros(13, 9)
check.close(
    sum(bill_of_more(["linear", "gelu", "linear", "tanh"], [], 9, 13, False)),
    reference.saved_activation_bytes(lambda: stack(x), [*stack.parameters(), x]),
    "the layers together must keep what the chapter counts for the whole graph",
)
check.close(
    calls_and_input(4, 3),
    (2, torch.ones(3, 4)),
    "each layer must be called once, and x stay as it was",
)
check.close(bill_of_more([], [], 3, 2, False), [], "no layers, no bill")
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The bill foretold
#
# No tensor is needed to know what will be kept. Every operation has a rule:
#
# | operation | what its backward pass needs |
# |---|---|
# | `linear(x, W)` | x if W needs a gradient; W if x needs one |
# | `mul(a, b)` | b if a needs a gradient; a if b needs one |
# | `gelu(a)` | a |
# | `softmax(a)`, `tanh(a)` | its own result |
# | `add(a, b)`, `double(a)` | nothing |
# | `detach(a)` | nothing; its result needs no gradient |
#
# A result needs a gradient if one of the inputs does; if none does, the operation keeps nothing. A graph is kept alive by the value one holds on to, the *last* result, and reaches what can be reached from there backwards along values that need gradients. What cannot be reached keeps nothing either: its memory was given back long ago.
#
# <details><summary>Hint 1</summary>Two walks: forwards, who needs a gradient; backwards from the last result, who is reached.</details>
# <details><summary>Hint 2</summary>In the second walk, go from an operation to those of its inputs that need a gradient, and keep by the rules on the way.</details>
# <details><summary>Hint 3</summary>A name that no line produces is a leaf, data or parameter. Leaves are there anyway.</details>


# %% solution="values_kept" difficulty=3 minutes=25
def values_kept(program, trained):
    """The names of the results that are kept for the backward pass of the last one.

    program: a list of lines (result, operation, inputs): a name, one of the operations
    of the table, a tuple of names. Every result has a name of its own; an input is an
    earlier result or a leaf. trained: a list of the leaves that need a gradient.
    Returns a sorted list of names, each once, results only.
    """
    ### BEGIN SOLUTION
    need, lines = set(trained), {}
    for result, operation, inputs in program:
        lines[result] = operation, inputs
        if operation != "detach" and need & set(inputs):
            need.add(result)
    kept, reached = set(), set()
    todo = [program[-1][0]]
    while todo:
        name = todo.pop()
        if name in reached or name not in need or name not in lines:
            continue
        reached.add(name)
        operation, inputs = lines[name]
        if operation in ("linear", "mul"):
            for one, other in (inputs, inputs[::-1]):
                if other in need:
                    kept.add(one)
        elif operation == "gelu":
            kept |= set(inputs)
        elif operation in ("softmax", "tanh"):
            kept.add(name)
        todo += inputs
    return sorted(kept & set(lines))
    ### END SOLUTION


# %% test="values_kept" points=2
layer = [
    ("up", "linear", ("x", "W1")),
    ("act", "gelu", ("up",)),
    ("down", "linear", ("act", "W2")),
    ("out", "add", ("x", "down")),
]
check.close(
    values_kept(layer, ["W1", "W2"]),
    ["act", "up"],
    "the GELU needs its input, W2 the input of its product; x is a leaf, and out is "
    "needed by nobody",
)
check.close(
    values_kept(layer, ["x"]),
    ["up"],
    "all frozen, but the gradient passes on to x: linear layers need only their "
    "weights, which are leaves",
)
check.close(
    values_kept(layer, ["W2"]),
    ["act"],
    "the first layer is frozen and nothing before it is trained: no gradient enters "
    "the GELU, and it keeps nothing",
)
check.close(
    values_kept([*layer, ("own", "detach", ("out",))], ["W1", "W2"]),
    [],
    "a detached result has no graph: nothing is reached from it",
)
### BEGIN HIDDEN TESTS
import weakref

dice = check.rng("values_kept")


class Box:
    def __init__(self, tensor):
        self.tensor = tensor.detach()


def of_autograd(program, trained):
    """Which results are in the live graph of the last one, as PyTorch has it."""
    rules = {
        "linear": lambda a, b: a @ b.mT,
        "mul": lambda a, b: a * b,
        "gelu": torch.nn.functional.gelu,
        "softmax": lambda a: a.softmax(-1),
        "tanh": lambda a: a.tanh(),
        "add": lambda a, b: a + b,
        "double": lambda a: a * 2,
        "detach": lambda a: a.detach().clone(),
    }
    boxes, where = weakref.WeakSet(), {}

    def pack(tensor):
        box = Box(tensor)
        boxes.add(box)
        return box

    def last():
        values = {}
        for result, operation, inputs in program:
            for name in inputs:
                if name not in values:
                    values[name] = torch.eye(3).requires_grad_(name in trained)
            values[result] = rules[operation](*(values[name] for name in inputs))
            where[result] = values[result].detach()
        return values[program[-1][0]]

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        held = last()
    live = {box.tensor.data_ptr() for box in boxes}
    del held
    return sorted(name for name, value in where.items() if value.data_ptr() in live)


def invented(length):
    names = ["data", "A", "B", "C", "D"]
    program = []
    for i in range(length):
        operation = str(
            dice.choice(
                ["linear", "mul", "gelu", "softmax", "tanh", "add", "double", "detach"],
                p=[0.25, 0.15, 0.12, 0.1, 0.1, 0.13, 0.1, 0.05],
            )
        )
        recent = names[-4:] if dice.random() < 0.7 else names
        one = str(dice.choice(recent))
        two = str(dice.choice(names))
        pair = operation in ("linear", "mul", "add")
        result = f"r{(i * 7 + 3) % 97:02d}"
        program.append((result, operation, (one, two) if pair else (one,)))
        names.append(result)
    return program


for length in (1, 2, 3, 5, 8, 8, 12, 12, 20, 20, 40):
    for _ in range(6):
        program = invented(length)
        trained = [name for name in "ABCD" if dice.random() < 0.4]
        check.close(
            values_kept(list(program), list(trained)),
            of_autograd(program, trained),
            f"a random program of {length} lines, {len(trained)} trained leaves, "
            "beside what PyTorch's own graph keeps",
        )
        check.close(
            values_kept(program, []), [], "nothing is trained, so nothing is kept"
        )

ladder = [
    ("h1", "tanh", ("x",)),
    ("h2", "linear", ("h1", "V")),
    ("h3", "gelu", ("h2",)),
    ("s0", "linear", ("x", "down0")),
    ("s1", "linear", ("h1", "down1")),
    ("s2", "add", ("s0", "s1")),
    ("s3", "gelu", ("s2",)),
    ("s4", "linear", ("h3", "down2")),
    ("s5", "add", ("s3", "s4")),
    ("s6", "linear", ("s5", "up")),
    ("y", "add", ("h3", "s6")),
]
check.close(
    values_kept(ladder, ["down0", "down1", "down2", "up"]),
    ["h1", "h3", "s2", "s5"],
    "a ladder keeps the features that its trained rungs read, and no other of the "
    "backbone's results",
)
check.close(
    values_kept(ladder, ["x"]),
    ["h1", "h2", "s2"],
    "one trained input at the very bottom: the gradient passes through everything",
)
program = invented(25)
copy = [tuple(line) for line in program]
values_kept(program, ["A", "C"])
check.close(program, copy, "the program was changed in place")
### END HIDDEN TESTS
