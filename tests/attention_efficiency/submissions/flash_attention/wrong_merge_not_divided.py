# Rescales by the maximum and does not divide.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    m = torch.maximum(a[1], b[1])
    m = m.masked_fill(m == -torch.inf, 0.0)
    left, right = (a[1] - m).exp(), (b[1] - m).exp()
    o = left[..., None] * a[0] + right[..., None] * b[0]
    return o, m + (left + right).log()
