# Exponentiates each log-sum-exp by itself.
# loses: test_merge_partial

# %% solution="merge_partial"
def merge_partial(a, b):
    left, right = a[1].exp(), b[1].exp()
    total = left + right
    safe = torch.where(total == 0, 1.0, total)[..., None]
    return (left[..., None] * a[0] + right[..., None] * b[0]) / safe, total.log()
