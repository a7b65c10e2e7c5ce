#!lua flags=allow-oom
-- Make the learner's group on an actor's stream, at the memory limit too: the learner must read in order to make room.
-- From id 0: a group made at any other id has no true lag.
-- KEYS: stream.  ARGV: group.  Answers BUSYGROUP where there is one, WRONGTYPE where the key is no stream.
return redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
