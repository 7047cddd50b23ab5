# Weighs each input direction by its length, and forgets to divide again.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, S, Vh = torch.linalg.svd(dW * x.norm(dim=0), full_matrices=False)
    return U[:, :r] * S[:r], Vh[:r]
