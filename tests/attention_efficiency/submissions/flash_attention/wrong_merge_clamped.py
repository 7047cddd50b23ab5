# Takes any log-sum-exp below -1000 for nothing.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    lse = torch.logaddexp(a[1], b[1])
    finite = lse.clamp(min=-1000.0)
    shares = [(part[1] - finite).exp()[..., None] for part in (a, b)]
    return shares[0] * a[0] + shares[1] * b[0], lse
