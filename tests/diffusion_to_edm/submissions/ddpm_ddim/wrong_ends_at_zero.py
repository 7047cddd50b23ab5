# The last step ends at time 0, not at the data.
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
            times.append(max(time, times[-1] + 1) if times else time)
    else:
        raise ValueError(f"no such spacing: {spacing!r}")
    times.reverse()
    return list(zip(times, [*times[1:], 0]))
