#!lua flags=allow-oom
-- Publish the learner's demand, at the memory limit too: to say how much room there is takes none.
-- KEYS: 1 lease, 2 demand.  ARGV: token, demand.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
return redis.call('SET', KEYS[2], ARGV[2])
