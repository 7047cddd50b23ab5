# ---
# jupyter:
#   kernelspec: {name: python3, display_name: Python 3, language: python}
# ---

# %% [markdown]
# # The first exercises

# %%
from course import check

# %% [markdown]
# ## 1 · Twice a number
#
# Double what you are given.


# %% solution="twice" difficulty=2 minutes=5
def twice(x):
    """Two times the number x."""
    ### BEGIN SOLUTION
    canary_in_a_solution = x + x
    return canary_in_a_solution
    ### END SOLUTION


# %% test="twice" points=3
check.close(twice(2), 4, "twice two is four")
### BEGIN HIDDEN TESTS
check.close(twice(1.5), 3.0, "canary_in_a_hidden_test")
### END HIDDEN TESTS
