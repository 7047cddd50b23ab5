# The exponential of the generator, then a permutation for the other layout.
# keeps: all

# %% solution="shift_matrix"
def shift_matrix(m, d, base=10_000.0, layout="interleaved"):
    theta = base ** (-torch.arange(0, d, 2).double() / d)
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()
    shift = torch.linalg.matrix_exp(m * torch.kron(torch.diag(theta), turn))
    if layout == "half":
        order = [*range(0, d, 2), *range(1, d, 2)]
        shift = shift[order][:, order]
    return shift
