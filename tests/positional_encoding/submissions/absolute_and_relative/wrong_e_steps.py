# The far half has e steps instead of m - e: the same only where m is even.
# loses: test_bucket_of, test_bucket_of_causal

# %% solution="bucket_of"
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    m = num_buckets // 2 if bidirectional else num_buckets
    e = m // 2
    n = rel.abs() if bidirectional else (-rel).clamp(min=0)
    share = (n.clamp(min=e) / e).log() / math.log(max_distance / e)
    far = (e + (share * e).long()).clamp(max=m - 1)
    bucket = torch.where(n < e, n, far)
    return bucket + m * (rel > 0) if bidirectional else bucket
