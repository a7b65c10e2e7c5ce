-- Read one stream entry by entry, up to a number of bytes. An entry that is too large is not returned: its fields are
-- cut short. For streams that hold more than one read may bring. Only for the lease's holder, as in read.lua.
-- KEYS: lease, stream.
-- ARGV: token, group, consumer, id after which to read, entries and bytes at most, bytes of an entry at most, bytes
--   that are shown of each field of a larger one.
-- Returns for each entry its id, its fields, and its bytes where it is too large, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
local found, total, after = {}, 0, ARGV[4]
for _ = 1, ARGV[5] do
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', 1, 'STREAMS', KEYS[2], after)
  local entry = reply and reply[1][2][1]
  if not entry then
    break
  end
  local fields, bytes = entry[2], 0
  for _, part in ipairs(fields or {}) do
    bytes = bytes + #part
  end
  if bytes > tonumber(ARGV[7]) then
    local shown = {}
    for i = 1, math.min(#fields, 64) do
      shown[i] = string.sub(fields[i], 1, ARGV[8])
    end
    found[#found + 1] = {entry[1], shown, bytes}
  else
    found[#found + 1] = {entry[1], fields, 0}
    total = total + bytes
  end
  if after ~= '>' then
    after = entry[1]
  end
  if total >= tonumber(ARGV[6]) then
    break
  end
end
return found
