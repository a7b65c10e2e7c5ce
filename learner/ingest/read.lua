-- Read trajectories, if and only if the caller still holds the lease. Used only on a server at its memory
-- limit that queues no transaction; fenced_read.py has the usual read.
-- KEYS: lease, streams...  ARGV: token, ttl in ms, group, consumer, count, ids...
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local command = {'XREADGROUP', 'GROUP', ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'STREAMS'}
for i = 2, #KEYS do
  command[#command + 1] = KEYS[i]
end
for i = 6, #ARGV do
  command[#command + 1] = ARGV[i]
end
return redis.call(unpack(command))
