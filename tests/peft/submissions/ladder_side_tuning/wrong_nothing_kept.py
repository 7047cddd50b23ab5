# Run without a graph: nothing is ever saved.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    bill = []
    for layer in layers:
        with torch.no_grad():
            sizes = []
            with torch.autograd.graph.saved_tensors_hooks(sizes.append, lambda t: t):
                x = layer(x)
        bill.append(sum(t.untyped_storage().nbytes() for t in sizes))
    return bill
