# One key after the other, one pair after the other.
# keeps: all

# %% solution="cached_scores"
def cached_scores(q, k, inv_freq, window, leak=math.inf):
    columns = []
    for j in range(k.shape[2]):
        t = k.shape[2] - 1 - j
        far = t if t <= window else window + (t - window) / leak
        score = 0
        for i, theta in enumerate(inv_freq.tolist()):
            c, s = math.cos(far * theta), math.sin(far * theta)
            a, b = k[:, :, j, 2 * i], k[:, :, j, 2 * i + 1]
            x, y = q[:, :, 2 * i], q[:, :, 2 * i + 1]
            score = score + (x * a + y * b) * c + (x * b - y * a) * s
        columns.append(score)
    return torch.stack(columns, -1)
