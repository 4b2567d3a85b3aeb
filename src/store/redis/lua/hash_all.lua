-- All of one hash that is known to be small.
-- ARGV: name of the hash
-- Returns field, value, …
return redis.call('HGETALL', key(take()))
