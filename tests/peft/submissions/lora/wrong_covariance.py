# The covariance where its root belongs: long directions count twice over.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, _, _ = torch.linalg.svd(dW @ x.T @ x)
    return U[:, :r], U[:, :r].T @ dW
