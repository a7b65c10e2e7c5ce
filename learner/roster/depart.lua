-- Strike an actor off the roster, with its stream, if it is silent and everything it sent has been consumed.
-- KEYS: lease, roster, heartbeat, incarnation, stream.  ARGV: token, actor, 1 to make room: it may be alive.
-- Returns 1 where it was struck off.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
if (ARGV[3] ~= '1' and redis.call('EXISTS', KEYS[3]) == 1) or redis.call('XLEN', KEYS[5]) > 0 then
  return 0
end
redis.call('DEL', KEYS[4], KEYS[5])
return redis.call('HDEL', KEYS[2], ARGV[2])
