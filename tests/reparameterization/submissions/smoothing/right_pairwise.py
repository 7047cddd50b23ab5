# One entry after the other by logaddexp.
# keeps: all

# %% solution="masked_extremum"
def masked_extremum(x, allowed, k, dim):
    total = None
    for entry, counts in zip(x.unbind(dim), allowed.unbind(dim)):
        power = (k * entry).masked_fill(
            ~counts, -1e300 if x.dtype == torch.float64 else -1e38
        )
        total = power if total is None else torch.logaddexp(total, power)
    return total / k
