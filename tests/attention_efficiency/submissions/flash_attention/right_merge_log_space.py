# In log space, with a sigmoid of the difference.
# keeps: all

# %% solution="merge_partial"
def merge_partial(a, b):
    gap = (b[1] - a[1]).nan_to_num(0.0, torch.inf, -torch.inf)
    share = gap.sigmoid()[..., None]
    return a[0] + share * (b[0] - a[0]), torch.logaddexp(a[1], b[1])
