# Writes into the left part.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    lse = torch.logaddexp(a[1], b[1])
    finite = lse.masked_fill(lse == -torch.inf, 0.0)
    o = a[0]
    o *= (a[1] - finite).exp()[..., None]
    o += (b[1] - finite).exp()[..., None] * b[0]
    return o, lse
