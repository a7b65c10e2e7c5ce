#!lua flags=no-writes
-- Whether entries wait, and whether any actor may send more. What heartbeats hold stays on the server: an actor may
-- write as much as it likes into its own.
-- KEYS: for each actor its stream and its heartbeat.  ARGV: 1 in lock step.
-- Returns two numbers, 0 or 1.
local wait, come = 0, 0
for i = 1, #KEYS, 2 do
  local stream, heartbeat = KEYS[i], KEYS[i + 1]
  local length = redis.pcall('XLEN', stream)
  if length ~= 0 and type(length) == 'number' then
    wait = 1
  end
  if ARGV[1] == '1' then
    if length == 0 and redis.pcall('HSTRLEN', heartbeat, 'lock_step') == 1 and
        redis.call('HGET', heartbeat, 'lock_step') == '1' then
      come = 1
    end
  elseif redis.call('EXISTS', heartbeat) == 1 then
    come = 1
  end
end
return {wait, come}
