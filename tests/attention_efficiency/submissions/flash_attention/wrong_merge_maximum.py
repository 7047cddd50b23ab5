# Returns the greater log-sum-exp.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    lse = torch.logaddexp(a[1], b[1])
    finite = lse.masked_fill(lse == -torch.inf, 0.0)
    shares = [(part[1] - finite).exp()[..., None] for part in (a, b)]
    return shares[0] * a[0] + shares[1] * b[0], torch.maximum(a[1], b[1])
