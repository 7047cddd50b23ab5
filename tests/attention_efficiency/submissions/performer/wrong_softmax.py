# Softmax attention itself, by PyTorch.
# loses: test_favor_attention

# %% solution="favor_attention"
def favor_attention(q, k, v, W, causal):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
