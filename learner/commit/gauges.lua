#!lua flags=allow-oom
-- Write gauges into the statistics between two commits, at the memory limit too: a full server may let none through.
-- KEYS: lease, stats.  ARGV: token, then fields and values.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
return redis.call('HSET', KEYS[2], unpack(ARGV, 2))
