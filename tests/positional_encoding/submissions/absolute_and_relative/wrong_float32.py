# Right numbers in float32.
# loses: test_shift_matrix

# %% solution="shift_matrix"
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, d, 2) / d)
    channels = torch.arange(d)
    if layout == "half":
        sine, cosine = channels.chunk(2)
    else:
        sine, cosine = channels[0::2], channels[1::2]
    shift = torch.zeros(d, d)
    shift[sine, sine] = shift[cosine, cosine] = (m * theta).cos()
    shift[sine, cosine] = (m * theta).sin()
    shift[cosine, sine] = -(m * theta).sin()
    return shift
