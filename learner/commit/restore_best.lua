#!lua flags=allow-oom
-- Put the best version's weights back where the server has lost them.
-- KEYS: 1 lease, 2 best.  ARGV: token, weights.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
return redis.call('SET', KEYS[2], ARGV[2])
