# The short SVD: too few columns when the inputs are few.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, _, _ = torch.linalg.svd(dW @ x.T, full_matrices=False)
    return U[:, :r], U[:, :r].T @ dW
