# The frequencies of one half of the channels only, the rest stay.
# loses: test_shift_matrix

# %% solution="shift_matrix"
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    shift = torch.eye(d, dtype=torch.float64)
    for i in range((d // 2 + 1) // 2):
        sine, cosine = (i, i + d // 2) if layout == "half" else (2 * i, 2 * i + 1)
        c, s = (m * theta[i]).cos(), (m * theta[i]).sin()
        shift[sine, sine] = shift[cosine, cosine] = c
        shift[sine, cosine], shift[cosine, sine] = s, -s
    return shift
