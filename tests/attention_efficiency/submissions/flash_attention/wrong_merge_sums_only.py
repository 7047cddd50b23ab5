# Adds the outputs as if they shared one sum: the accumulator is not rescaled.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    return a[0] + b[0], torch.logaddexp(a[1], b[1])
