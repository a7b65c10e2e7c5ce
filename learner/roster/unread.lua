#!lua flags=allow-oom
-- Look at streams that are not read, and delete those that are to be deleted. At the memory limit too: they may be what
-- has filled the server.
-- KEYS: lease, roster, then for each actor its heartbeat, incarnation and stream.
-- ARGV: token, then for each actor its name, and 'keep', 'delete', or 'spare': to be deleted unless the actor is on the
--   roster, or may still be admitted, as in join.lua.
-- Returns for each, one after the other: the entries, about how many bytes they take, and 1 where they were deleted.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
local found = {}
for i = 2, #ARGV, 2 do
  local at = 3 * i / 2
  local heartbeat, incarnation, stream = KEYS[at], KEYS[at + 1], KEYS[at + 2]
  local length, bytes, deleted = redis.pcall('XLEN', stream), 0, 0
  if type(length) == 'table' then  -- no stream
    length = 0
  elseif length > 0 then
    -- Exact up to some thousand entries, which takes a tenth of a millisecond.
    bytes = redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', length > 4096 and 256 or 0)
    if ARGV[i + 1] == 'delete' or (ARGV[i + 1] == 'spare' and not redis.call('HGET', KEYS[2], ARGV[i]) and
        redis.call('EXISTS', heartbeat, incarnation) == 0) then
      redis.call('UNLINK', stream)
      deleted = 1
    end
  end
  found[#found + 1], found[#found + 2], found[#found + 3] = length, bytes, deleted
end
return found
