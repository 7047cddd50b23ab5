# Finds the largest block of queries by bisection.
# keeps: all

# %% solution="least_traffic"
def least_traffic(n_q, n_k, d, M):
    low, high = 1, n_q + 1
    while high - low > 1:
        middle = (low + high) // 2
        if middle * (2 * d + 3) + 2 * d <= M:
            low = middle
        else:
            high = middle
    return n_q * d + n_q * d + n_q + len(range(0, n_q, low)) * (n_k * d + n_k * d)
