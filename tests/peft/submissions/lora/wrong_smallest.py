# eigh sorts upwards, and the first vectors are the least.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    Y = dW @ x.T
    _, U = torch.linalg.eigh(Y @ Y.T)
    return U[:, :r].contiguous(), U[:, :r].T @ dW
