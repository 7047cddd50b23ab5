# Times by torch, in float64; the repeats by a running maximum of t - i.
# keeps: all

# %% solution="plan_steps"
def plan_steps(T, S, spacing):
    i = torch.arange(S, dtype=torch.float64)
    if spacing == "leading":
        t = i * (T // S)
    elif spacing == "trailing":
        t = ((i + 1) * T / S).round() - 1
    elif spacing == "linspace":
        t = torch.linspace(0, T - 1, S, dtype=torch.float64).round()
    elif spacing == "quadratic":
        whole = torch.arange(S)
        cut = torch.div(4 * T * whole**2, 5 * (S - 1) ** 2, rounding_mode="floor")
        t = (cut - whole).cummax(0).values + whole
    else:
        raise ValueError(spacing)
    falling = [*t.flip(0).long().tolist(), -1]
    return [(falling[i], falling[i + 1]) for i in range(S)]
