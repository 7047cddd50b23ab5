# By way of the triples (m, l, acc) of the chapter.
# keeps: all

# %% solution="merge_partial"
def merge_partial(a, b):
    m = torch.maximum(a[1], b[1])
    m = torch.where(m == -torch.inf, torch.zeros_like(m), m)
    scales = [torch.exp(part[1] - m) for part in (a, b)]
    total = scales[0] + scales[1]
    acc = scales[0][..., None] * a[0] + scales[1][..., None] * b[0]
    return acc / torch.where(total > 0, total, 1.0)[..., None], m + total.log()
