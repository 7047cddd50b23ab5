# The sizes of FlashAttention, M / 4d.
# loses: test_least_traffic

# %% solution="least_traffic"
def least_traffic(n_q, n_k, d, M):
    block = max(1, M // (4 * d))
    passes = -(-n_q // block)
    return 2 * n_q * d + n_q + passes * 2 * n_k * d
