-- One field of one hash.
-- ARGV: name of the hash, field
-- Returns its value or nil.
local name, field = take(), take()
return redis.call('HGET', key(name), field)
