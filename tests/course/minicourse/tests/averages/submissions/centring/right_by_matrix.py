# Multiplies by the projection matrix, slow but right.
# keeps: all

# %% solution="centre_backward"
def centre_backward(grad):
    d = grad.shape[-1]
    return grad @ (torch.eye(d, dtype=grad.dtype) - torch.full((d, d), 1 / d).to(grad))
