#!lua flags=allow-oom
-- Admit actors: put each on the roster, and make the learner's group on its stream. At the memory limit too: the
-- learner must read in order to make room. From id 0: a group made at any other id has no true lag.
-- An actor is admitted that lives, or that has lived and left entries behind.
-- KEYS: lease, roster, then for each actor its heartbeat, incarnation and stream.
-- ARGV: token, group, time in ms, 1 to admit only whom the above holds for, then each actor's name.
-- Returns for each: 'new', 'known' where it had a group before, 'silent' where it is not admitted, 'no stream'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is not ' .. ARGV[1])
end
local answers = {}
for i = 5, #ARGV do
  local at = 3 * (i - 4)
  local heartbeat, incarnation, stream = KEYS[at], KEYS[at + 1], KEYS[at + 2]
  local length = redis.pcall('XLEN', stream)
  if type(length) == 'table' then
    answers[#answers + 1] = 'no stream'
  elseif ARGV[4] == '1' and redis.call('EXISTS', heartbeat) == 0 and
      (length == 0 or redis.call('EXISTS', incarnation) == 0) then
    answers[#answers + 1] = 'silent'
  else
    local made = redis.pcall('XGROUP', 'CREATE', stream, ARGV[2], '0', 'MKSTREAM')
    if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
      return made
    end
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[3])
    answers[#answers + 1] = made.err and 'known' or 'new'
  end
end
return answers
