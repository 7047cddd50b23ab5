# Bidirectional: all buckets for one direction, half of them added for the other.
# loses: test_bucket_of

# %% solution="bucket_of"
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    m = num_buckets
    e = m // 2
    n = rel.abs() if bidirectional else (-rel).clamp(min=0)
    share = (n.clamp(min=e) / e).log() / math.log(max_distance / e)
    far = (e + (share * (m - e)).long()).clamp(max=m - 1)
    bucket = torch.where(n < e, n, far)
    return bucket + num_buckets // 2 * (rel > 0) if bidirectional else bucket
