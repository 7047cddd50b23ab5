# Quadratic times that repeat are dropped: fewer than S steps.
# loses: test_plan_steps

# %% solution="plan_steps"
def plan_steps(T, S, spacing):
    if spacing == "leading":
        times = [i * (T // S) for i in range(S)]
    elif spacing == "trailing":
        times = [round((i + 1) * T / S) - 1 for i in range(S)]
    elif spacing == "linspace":
        times = [round(i * (T - 1) / (S - 1)) for i in range(S)]
    elif spacing == "quadratic":
        times = []
        for i in range(S):
            time = 4 * T * i * i // (5 * (S - 1) ** 2)
            if time not in times:
                times.append(time)
    else:
        raise ValueError(f"no such spacing: {spacing!r}")
    times.reverse()
    return list(zip(times, [*times[1:], -1]))
