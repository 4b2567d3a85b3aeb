-- Whose token this is, as far as the index knows.
-- ARGV: hash
-- Returns `<merchant>|<integration>` or nil.
return redis.call('HGET', key('tk'), take())
