-- Strike an actor off the roster, with its stream, if it is silent and everything it sent has been consumed.
-- KEYS: lease, roster, heartbeat, stream.  ARGV: token, actor.  Returns 1 if it was struck off, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
if redis.call('EXISTS', KEYS[3]) == 1 or redis.call('XLEN', KEYS[4]) > 0 then
  return 0
end
redis.call('DEL', KEYS[4])
return redis.call('HDEL', KEYS[2], ARGV[2])
