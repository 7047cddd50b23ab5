# Ends first: built from the data backwards, in whole numbers only.
# keeps: all

# %% solution="plan_steps"
def plan_steps(T, S, spacing):
    place = {
        "leading": lambda i: T // S * i,
        "trailing": lambda i: (2 * (i + 1) * T + S) // (2 * S) - 1,
        "linspace": lambda i: (2 * i * (T - 1) + S - 1) // (2 * (S - 1)),
        "quadratic": lambda i: (T * i**2 * 4) // ((S - 1) ** 2 * 5),
    }
    if spacing not in place:
        raise ValueError(spacing)
    steps, end = [], -1
    for i in range(S):
        start = max(place[spacing](i), end + 1)
        steps.insert(0, (start, end))
        end = start
    return steps
