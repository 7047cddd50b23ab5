# Adds 1e-6 to the sum instead of treating empty rows.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    m = torch.maximum(a[1], b[1]).clamp(min=-1e4)
    left, right = (a[1] - m).exp()[..., None], (b[1] - m).exp()[..., None]
    total = left + right + 1e-6
    return (left * a[0] + right * b[0]) / total, m + total[..., 0].log()
