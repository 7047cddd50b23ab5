# Works with x / sqrt(abar) and sigma: the step is a move along the line to the data.
# keeps: all

# %% solution="step_with_data"
def step_with_data(x, x0, abar_t, abar_s, eta, noise):
    rows = []
    for i, (a, b) in enumerate(zip(abar_t.double().tolist(), abar_s.double().tolist())):
        now, after = math.sqrt((1 - a) / a), math.sqrt(max(1 - b, 0) / b)
        up = eta * after * math.sqrt(max(1 - (after / now) ** 2, 0))
        down = math.sqrt(max(after**2 - up**2, 0))
        place = x[i].double() / math.sqrt(a)
        place = x0[i].double() + down / now * (place - x0[i].double())
        rows.append(math.sqrt(b) * (place + up * noise[i].double()))
    return torch.stack(rows).to(x.dtype)
