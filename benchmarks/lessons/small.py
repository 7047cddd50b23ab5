# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Two small tasks on tensors

# %%
import torch

from course import check

# %% [markdown]
# ## 1 · Doubling
#
# Twice as much.


# %% solution="double" difficulty=1 minutes=5
def double(x):
    """Twice x, a tensor of any shape."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double" points=2
check.close(double(torch.ones(3)), torch.full((3,), 2.0), "twice 1")
### BEGIN HIDDEN TESTS
draw = check.generator("double")
for shape in [(4,), (2, 3), (1, 5)]:
    x = torch.randn(shape, generator=draw)
    check.close(double(x), x + x, "random input")
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Tripling
#
# Three times as much.


# %% solution="triple" difficulty=1 minutes=5
def triple(x):
    """Three times x, a tensor of any shape."""
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION


# %% test="triple" points=2
check.close(triple(torch.ones(3)), torch.full((3,), 3.0), "thrice 1")
### BEGIN HIDDEN TESTS
draw = check.generator("triple")
for shape in [(4,), (2, 3), (1, 5)]:
    x = torch.randn(shape, generator=draw)
    check.close(triple(x), x + x + x, "random input")
### END HIDDEN TESTS
