#!lua flags=no-writes
-- How much there is to read in streams: the size is asked for before the content.
-- KEYS: streams.  ARGV: group, from how many entries on bytes are not counted, as that takes the longer the more there
--   are, then for each stream the id after which it is read.
-- Returns for each stream that may have something, one after the other: its index, the number of entries, and the
-- bytes of the whole stream, or -1 where they are not counted. A number of -1: the learner's group is gone, or the key
-- is no stream.
local found = {}
local function add(i, entries, bytes)
  found[#found + 1], found[#found + 2], found[#found + 3] = i, entries, bytes
end
local function bytes_of(stream, length)
  return length > tonumber(ARGV[2]) and -1 or redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', 0)
end
for i, stream in ipairs(KEYS) do
  local length = redis.pcall('XLEN', stream)
  local after = ARGV[i + 2]
  if type(length) == 'table' then
    add(i, -1, 0)
  elseif length > 0 or after ~= '>' then
    local pending = redis.pcall('XPENDING', stream, ARGV[1])
    if pending.err then
      add(i, -1, 0)
    elseif after ~= '>' then
      add(i, pending[1], bytes_of(stream, length))
    elseif length > pending[1] then
      add(i, length - pending[1], bytes_of(stream, length))
    end
  end
end
return found
