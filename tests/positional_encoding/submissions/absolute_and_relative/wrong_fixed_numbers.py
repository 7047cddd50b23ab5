# 8, 16 and 128 whatever is asked for.
# loses: test_bucket_of, test_bucket_of_causal

# %% solution="bucket_of"
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    m = 16 if bidirectional else 32
    e = m // 2
    n = rel.abs() if bidirectional else (-rel).clamp(min=0)
    share = (n.clamp(min=e) / e).log() / math.log(max_distance / e)
    far = (e + (share * (m - e)).long()).clamp(max=m - 1)
    bucket = torch.where(n < e, n, far)
    return bucket + m * (rel > 0) if bidirectional else bucket
