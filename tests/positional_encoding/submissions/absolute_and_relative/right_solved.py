# Solves for R from d fractional positions and where they arrive.
# keeps: all

# %% solution="shift_matrix"
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    columns = []
    for i in range(d // 2):
        # Two positions of this pair alone, a quarter turn apart, and both m later.
        theta = base ** (-2 * i / d)
        before = [0.0, math.pi / 2]
        after = [angle + m * theta for angle in before]
        table = [
            torch.tensor([[math.sin(a) for a in x], [math.cos(a) for a in x]]).double()
            for x in (before, after)
        ]
        columns.append(table[1] @ torch.linalg.inv(table[0]))
    shift = torch.block_diag(*columns)
    if layout == "half":
        order = torch.arange(d).view(-1, 2).T.flatten()
        shift = shift[order][:, order]
    return shift
