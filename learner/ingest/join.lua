#!lua flags=allow-oom
-- Make the learner's group on an actor's stream, at the memory limit too: the learner must read in order to make room.
-- The group starts at id 0, because Redis does not know the lag of a group that starts at another id.
-- KEYS: stream.  ARGV: group.  Replies BUSYGROUP if the group exists, WRONGTYPE if the key is not a stream.
return redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
