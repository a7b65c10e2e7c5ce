-- Take over one pending entry to process it by itself, under another consumer's name: if the learner dies meanwhile,
-- that name says which entry killed it. Only for the lease's holder, as in read.lua.
-- KEYS: lease, stream.  ARGV: token, ttl in ms, group, consumer, id, bytes of an entry at most, bytes that are shown of
--   each field of a larger one.
-- Returns the entry's id, its fields, and its bytes where it is too large, else 0; nothing where it is gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local entry = redis.call('XCLAIM', KEYS[2], ARGV[3], ARGV[4], 0, ARGV[5])[1]
if not entry then
  return {}
end
local fields, bytes = entry[2], 0
for _, part in ipairs(fields or {}) do
  bytes = bytes + #part
end
if bytes <= tonumber(ARGV[6]) then
  return {entry[1], fields, 0}
end
local shown = {}
for i = 1, math.min(#fields, 64) do
  shown[i] = string.sub(fields[i], 1, ARGV[7])
end
return {entry[1], shown, bytes}
