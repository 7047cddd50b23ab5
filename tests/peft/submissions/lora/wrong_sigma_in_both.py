# The singular values stand in both factors.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, S, _ = torch.linalg.svd(dW @ x.T, full_matrices=True)
    S = F.pad(S, (0, len(U) - len(S)))
    return U[:, :r] * S[:r], S[:r, None] * U[:, :r].T @ dW
