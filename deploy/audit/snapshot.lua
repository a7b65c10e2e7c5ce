#!lua flags=no-writes
-- Read the state of streams without the payloads of their entries.
-- KEYS: streams. ARGV: the group. Returns for each stream: entries ever added, length, pending ids, unread ids.
local PAGE = 100

local function fields(flat)
  local map = {}
  for i = 1, #flat, 2 do
    map[flat[i]] = flat[i + 1]
  end
  return map
end

local views = {}
for i, key in ipairs(KEYS) do
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then  -- the stream does not exist
    views[i] = {0, 0, {}, {}}
  else
    info = fields(info)
    local pending, unread, delivered = {}, {}, '0-0'
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      group = fields(group)
      if group.name == ARGV[1] then
        delivered = group['last-delivered-id']
        for _, entry in ipairs(redis.call('XPENDING', key, ARGV[1], '-', '+', group.pending + 1)) do
          pending[#pending + 1] = entry[1]
        end
      end
    end
    repeat
      local page = redis.call('XRANGE', key, '(' .. delivered, '+', 'COUNT', PAGE)
      for _, entry in ipairs(page) do
        delivered = entry[1]
        unread[#unread + 1] = delivered
      end
    until #page < PAGE
    views[i] = {info['entries-added'], info.length, pending, unread}
  end
end
return views
