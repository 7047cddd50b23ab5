# The parameters are counted.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    return [sum(p.nbytes for p in layer.parameters()) for layer in layers]
