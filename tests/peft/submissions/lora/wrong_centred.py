# Subtracts the mean input, whose output counts too.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, _, _ = torch.linalg.svd(dW @ (x - x.mean(0)).T, full_matrices=True)
    return U[:, :r], U[:, :r].T @ dW
