# The base is always 10,000.
# loses: test_shift_matrix

# %% solution="shift_matrix"
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    theta = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    channels = torch.arange(d)
    if layout == "half":
        sine, cosine = channels.chunk(2)
    else:
        sine, cosine = channels[0::2], channels[1::2]
    shift = torch.zeros(d, d, dtype=torch.float64)
    angle = m * theta
    shift[sine, sine] = shift[cosine, cosine] = angle.cos()
    shift[sine, cosine] = angle.sin()
    shift[cosine, sine] = -angle.sin()
    return shift
