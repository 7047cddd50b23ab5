# All three from the same product of exponentials.
# keeps: all

# %% solution="draws_needed"
def draws_needed(kind, q, k, error):
    sign = -1 if kind == "trigonometric" else 1
    s = torch.linalg.vector_norm(q + sign * k, dim=-1) ** 2
    up, down = torch.expm1(s), torch.expm1(-s)
    single = up if kind == "positive" else -up * down / 2
    return torch.maximum(torch.ceil(single / error / error), torch.ones_like(s)).long()
