# Whole numbers only: (n/e)^(m-e) against (max/e)^c, no logarithm.
# keeps: all

# %% solution="bucket_of"
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    m = num_buckets // 2 if bidirectional else num_buckets
    e = m // 2

    def one(r):
        n = abs(r) if bidirectional else max(-r, 0)
        bucket = min(n, e)
        if n >= e:
            steps = m - e
            while (
                bucket < m - 1
                and n**steps * e ** (bucket + 1 - e)
                >= max_distance ** (bucket + 1 - e) * e**steps
            ):
                bucket += 1
        return bucket + (m if bidirectional and r > 0 else 0)

    return torch.tensor([one(r) for r in rel.flatten().tolist()]).view(rel.shape)
