#!lua flags=allow-oom
-- Take the run's lease if nobody holds it, under a fencing number never given before. Also at the memory limit: only a
-- learner can make room.
-- KEYS: lease, fence.  ARGV: nonce, ttl in ms, and the number of the lease that the caller had: it takes it again only if
--   none was given since; empty: in any case.
-- Returns the token, or nil if the lease is held, or was given to another.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return false
end
if ARGV[3] ~= '' then
  local last = redis.call('GET', KEYS[2])
  if last and last ~= ARGV[3] then
    return false
  end
  redis.call('SET', KEYS[2], ARGV[3])  -- it may have been removed with the lease
end
-- The number alone could repeat after a failover to a replica that lacks the last increments; the nonce cannot.
local token = redis.call('INCR', KEYS[2]) .. '-' .. ARGV[1]
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
