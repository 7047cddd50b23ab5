# Every layer is charged its output, trained or not, kept or not.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    bill = []
    for layer in layers:
        x = layer(x)
        bill.append(x.untyped_storage().nbytes())
    return bill
