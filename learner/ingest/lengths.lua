#!lua flags=no-writes
-- How much there is to read in streams: the size is asked for before the content.
-- KEYS: streams.  ARGV: group, then for each stream the id after which it is read.
-- Returns for each stream that may have something, one after the other: its index, the number of entries, and the
-- bytes of the whole stream. A number of -1: the learner's group is gone, or the key is no stream.
local found = {}
local function add(i, entries, bytes)
  found[#found + 1], found[#found + 2], found[#found + 3] = i, entries, bytes
end
for i, stream in ipairs(KEYS) do
  local length = redis.pcall('XLEN', stream)
  local after = ARGV[i + 1]
  if type(length) == 'table' then
    add(i, -1, 0)
  elseif length > 0 or after ~= '>' then
    local pending = redis.pcall('XPENDING', stream, ARGV[1])
    if pending.err then
      add(i, -1, 0)
    elseif after ~= '>' then
      add(i, pending[1], redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', 0))
    elseif length > pending[1] then
      add(i, length - pending[1], redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', 0))
    end
  end
end
return found
