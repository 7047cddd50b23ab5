# Makes the tensor, without memory, and asks it.
# keeps: all

# %% solution="row_major_strides"
def row_major_strides(shape):
    return torch.empty(shape, device="meta").stride()
