-- Take over one pending entry to process it by itself, under another consumer's name: if the learner dies meanwhile,
-- that name says which entry killed it. Only for the lease's holder, as in read.lua.
-- KEYS: lease, stream.  ARGV: token, ttl in ms, group, consumer, id.  Returns the entry, or an empty list if it is gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('XCLAIM', KEYS[2], ARGV[3], ARGV[4], 0, ARGV[5])
