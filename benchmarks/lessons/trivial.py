# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # Two tasks that import nothing slow
#
# All that a kernel takes for them is the kernel's own.

# %%
import math

assert math.pi > 3

# %% [markdown]
# ## 1 · Doubling
#
# Twice as much.


# %% solution="double" difficulty=1 minutes=5
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double" points=2
assert double(1) in {2}, "twice 1"
### BEGIN HIDDEN TESTS
assert double(21) in {42}, "twice 21"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Tripling
#
# Three times as much.


# %% solution="triple" difficulty=1 minutes=5
def triple(x):
    """Three times x."""
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION


# %% test="triple" points=2
assert triple(1) in {3}, "thrice 1"
### BEGIN HIDDEN TESTS
assert triple(7) in {21}, "thrice 7"
### END HIDDEN TESTS
