#!lua flags=allow-oom
-- The commit: what was consumed, what was learnt from it, and the counters that say so, all or nothing.
-- A script does not roll back, so every check comes before the first write. It is allowed beyond maxmemory: it is
-- what frees memory.
--
-- KEYS: 1 lease, 2 head, 3 latest, 4 versions, 5 learner, 6 stats, 7 rejected, 8 staged learner,
--       9 staged weights, 10 weights, 11 weights to drop, 12 ledger, 13 candidate, 14 best, 15 evaluation,
--       16 staged restore point, 17 restore point, 18... the streams consumed from
-- ARGV: 1 one msgpack map:
--   token, ttl_ms, group, commit, parent, epoch, version (of the parent),
--   learner_bytes, weights_bytes (0: this commit publishes nothing), restore_point_bytes (0: it stays),
--   head, stats: flat lists of fields and values, all absolute,
--   latest, entry_id, entry, versions_kept: the new version's pointer and its stream entry,
--   streams: for each its last consumed id and the number of entries consumed up to it,
--   rejected_entries: entries as flat lists, rejected_kept,
--   ledger: the learner's part of the ledger entry, ledger_kept,
--   plan ('': unchanged), new_candidate, new_best: for greedy games
-- Returns 'ok', or 'already' if the same commit has succeeded before.
local c = cmsgpack.unpack(ARGV[1])

-- The ids from one index to another as short text: 7-1..4,7-6. Cheap in the usual case that no id is missing.
local function ranges(ids, from, to)
  if from == to then
    return ids[from]
  end
  local incarnation, first = string.match(ids[from], '^(%d+)-(%d+)$')
  local newest, last = string.match(ids[to], '^(%d+)-(%d+)$')
  -- No id is missing if there are as many ids as numbers. Lua's numbers are doubles, exact up to 2^53.
  if incarnation == newest and #last < 16 and last - first == to - from then
    return incarnation .. '-' .. first .. '..' .. last
  end
  local middle = math.floor((from + to) / 2)
  return ranges(ids, from, middle) .. ',' .. ranges(ids, middle + 1, to)
end

if redis.call('GET', KEYS[1]) ~= c.token then
  return redis.error_reply('FENCED the lease is not ' .. c.token)
end
local head = redis.call('HMGET', KEYS[2], 'commit', 'epoch', 'version')
if head[1] == c.commit then
  return 'already'
end
local found = (head[1] or '') .. ' ' .. (head[2] or '0') .. ' ' .. (head[3] or '0')
local expected = c.parent .. ' ' .. c.epoch .. ' ' .. c.version
if found ~= expected then
  return redis.error_reply('LINEAGE head is ' .. found .. ', expected ' .. expected)
end
if redis.call('STRLEN', KEYS[8]) ~= c.learner_bytes or
    (c.weights_bytes > 0 and redis.call('STRLEN', KEYS[9]) ~= c.weights_bytes) or
    (c.restore_point_bytes > 0 and redis.call('STRLEN', KEYS[16]) ~= c.restore_point_bytes) then
  return redis.error_reply('STAGED a blob is missing or incomplete')
end
local consumed, by_actor = {}, {}
for i, stream in ipairs(c.streams) do
  local last, count = stream[1], stream[2]
  -- Ask for one more than expected, to detect a pending entry in between that the learner did not count.
  local pending = redis.call('XPENDING', KEYS[17 + i], c.group, '-', last, count + 1)
  if #pending ~= count or pending[count][1] ~= last then
    return redis.error_reply('PENDING ' .. KEYS[17 + i] .. ' has ' .. #pending .. ' entries up to ' .. last ..
      ', expected ' .. count)
  end
  local ids = {}
  for j = 1, count do
    ids[j] = pending[j][1]
  end
  consumed[i] = ids
  by_actor[string.match(KEYS[17 + i], '[^:]+$')] = ranges(ids, 1, count)
end
local entry = {'consumed', cjson.encode(by_actor)}
for _, fields in ipairs({c.head, c.ledger}) do
  for _, part in ipairs(fields) do
    entry[#entry + 1] = part
  end
end

if c.weights_bytes > 0 then
  -- This is the only write that can be refused (its id must be the highest), so it comes first.
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', c.versions_kept, c.entry_id, unpack(c.entry))
  redis.call('RENAME', KEYS[9], KEYS[10])
  redis.call('PERSIST', KEYS[10])
  redis.call('SET', KEYS[3], c.latest)
  redis.call('UNLINK', KEYS[11])
end
if c.plan ~= '' then
  -- GET and SET, and not COPY: with that right a learner could double what an actor has added to its stream.
  if c.new_best then
    redis.call('SET', KEYS[14], redis.call('GET', KEYS[13]) or '')
  end
  if c.new_candidate then
    redis.call('SET', KEYS[13], redis.call('GET', KEYS[10]))
  end
  redis.call('SET', KEYS[15], c.plan)
end
redis.call('RENAME', KEYS[8], KEYS[5])
redis.call('PERSIST', KEYS[5])
if c.restore_point_bytes > 0 then
  redis.call('RENAME', KEYS[16], KEYS[17])
  redis.call('PERSIST', KEYS[17])
end
for _, entry in ipairs(c.rejected_entries) do
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', c.rejected_kept, '*', unpack(entry))
end
for i, ids in ipairs(consumed) do
  for from = 1, #ids, 1000 do  -- Lua's stack has room for about 8,000 arguments
    local to = math.min(from + 999, #ids)
    redis.call('XACK', KEYS[17 + i], c.group, unpack(ids, from, to))
    redis.call('XDEL', KEYS[17 + i], unpack(ids, from, to))
  end
end
redis.call('XADD', KEYS[12], 'MAXLEN', '~', c.ledger_kept, '*', unpack(entry))
redis.call('HSET', KEYS[2], unpack(c.head))
redis.call('HSET', KEYS[6], unpack(c.stats))
redis.call('PEXPIRE', KEYS[1], c.ttl_ms)
return 'ok'
