# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Centring
#
# The chapter takes the mean away from a vector. Here you go back through that step,
# and then fix the range instead of the mean.

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · The gradient of centring
#
# Let $y = x - \bar x$, and let $g$ be the gradient of a loss with respect to $y$.
# Find the gradient with respect to $x$.
#
# <details><summary>Hint</summary>Each $x_i$ also acts through the mean.</details>


# %% solution="centre_backward" difficulty=2 minutes=10
def centre_backward(grad):
    """Gradient of sum(grad * (x - mean(x))) with respect to x.

    grad: (..., d), any floating dtype. Returns (..., d) of the same dtype.
    """
    ### BEGIN SOLUTION
    return grad - grad.mean(-1, keepdim=True)
    ### END SOLUTION


# %% test="centre_backward" points=2
check.close(
    centre_backward(torch.tensor([1.0, 1.0])),
    torch.zeros(2),
    "moving all entries alike changes nothing: the gradient must lose its mean",
)
### BEGIN HIDDEN TESTS
from lib.averages import centring as reference  # noqa: E402

draw = check.generator("centre_backward")
for shape in [(4,), (1, 5), (3, 2, 7)]:
    x = torch.randn(shape, dtype=torch.float64, generator=draw).requires_grad_()
    grad = torch.randn(shape, dtype=torch.float64, generator=draw)
    (want,) = torch.autograd.grad((grad * reference.centre(x)).sum(), x)
    check.close(centre_backward(grad), want, "the gradient differs from autograd's")
### END HIDDEN TESTS

# %% test="centre_backward" aspect="unchanged" points=1
grad = torch.tensor([[1.0, 2.0, 6.0]])
got = centre_backward(grad)
check.close(got, torch.tensor([[-2.0, -1.0, 3.0]]), "subtract the mean")
check.close(grad, torch.tensor([[1.0, 2.0, 6.0]]), "the argument must stay as it was")


### BEGIN HIDDEN TESTS
@check.probe
def argument_after(grad):
    centre_backward(grad)
    return grad


grad = torch.randn(2, 3, generator=check.generator("unchanged"))
check.close(argument_after(grad.clone()), grad, "the argument was changed in place")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A given range
#
# Map every vector linearly so that its smallest entry becomes 0 and its largest 1.


# %% solution="to_unit_range" difficulty=1 minutes=5 device="gpu"
def to_unit_range(x):
    """Map each vector of x, along the last axis, onto the range from 0 to 1.

    x: (..., d), no vector constant. Returns (..., d) of the same dtype.
    """
    ### BEGIN SOLUTION
    low = x.amin(-1, keepdim=True)
    return (x - low) / (x.amax(-1, keepdim=True) - low)
    ### END SOLUTION


# %% test="to_unit_range" points=3
check.close(
    to_unit_range(torch.tensor([2.0, 4.0, 3.0])),
    torch.tensor([0.0, 1.0, 0.5]),
    "the smallest entry becomes 0 and the largest 1",
)
### BEGIN HIDDEN TESTS
draw = check.generator("to_unit_range")
x = torch.randn(4, 5, dtype=torch.float64, generator=draw)
score = 1.0
try:
    got = to_unit_range(x)
    check.close(got.amax(-1), torch.ones(4).double(), "each row has its own range")
    score = 2.0
    check.close(to_unit_range(3 * x + 1), got, "a linear change of x must not matter")
    score = 3.0
except check.Wrong:
    pass
float(score)
### END HIDDEN TESTS
